// Byte planes: the first (lowest) bytes of all items, then the second bytes, and so on
// (spec/coders.md, `planes`).
#pragma once

#include "coding/status.h"

namespace laconic::coding {

// Byte `index` (0 is the lowest) of each item. `index` must be below sizeof(T).
template <typename T>
void plane_split(const T* items, std::size_t count, int index, std::uint8_t* plane);

// Sets byte `index` of each item and leaves the others.
template <typename T>
void plane_join(const std::uint8_t* plane, int index, T* items, std::size_t count);

}  // namespace laconic::coding
