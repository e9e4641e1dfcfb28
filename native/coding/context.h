// An adaptive binary arithmetic coder whose probabilities come from context_model.inc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "coding/context_tables.h"
#include "coding/status.h"

namespace laconic::coding {

// Writes `items`, less `origin` each, and returns the bytes taken; −1 when `room` is too small.
// Item − origin, as a signed number of the type's width, has a magnitude below
// 2^(most_exponent + 1). Columns, kernel and width must divide as Geometry says.
template <typename T>
std::int64_t context_encode(const T* items, std::size_t count, const Geometry& shape, T origin,
                            int most_exponent, std::uint8_t* out, std::size_t room);

// Reads what `context_encode` writes into `items`.
template <typename T>
std::int64_t context_decode(const std::uint8_t* data, std::size_t size, const Geometry& shape,
                            T origin, int most_exponent, T* items, std::size_t count);

}  // namespace laconic::coding
