// Byte planes: the first (lowest) bytes of all items, then the second bytes, and so on
// (spec/coders.md, `planes`).
#pragma once

#include "coding/status.h"

namespace laconic::coding {

// Byte `index` (0 is the lowest, below sizeof(T)) of each item turned left by `turn` bits (0 to 7).
template <typename T>
void plane_split(const T* items, std::size_t count, int index, int turn, std::uint8_t* plane);

// Sets what plane_split read of each item and leaves the other bits.
template <typename T>
void plane_join(const std::uint8_t* plane, int index, int turn, T* items, std::size_t count);

}  // namespace laconic::coding
