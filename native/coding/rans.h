// Interleaved range coding by asymmetric numeral systems (spec/coders.md, `rans`; arXiv:1311.2540).
//
// A model is given by its symbols (2 to 4096, all different), a frequency for each and `precision`
// (5 to 12); frequencies are at least 1 and add up to exactly 2^precision, else the functions throw
// std::invalid_argument. Item i belongs to lane i mod `lanes`, a power of two from 1 to 32. A lane
// is a 32-bit state of its own; all of them share one row of 16-bit words.
#pragma once

#include "coding/status.h"

namespace laconic::coding {

constexpr int kLeastPrecision = 5;
constexpr int kMostPrecision = 12;
constexpr std::size_t kMostLanes = 32;
constexpr std::uint32_t kLowestState = std::uint32_t{1} << 16;

// Writes states and words to the end of `out`, whose size must be 4 * lanes + 2 * count, and
// returns where they begin. Throws when a value is none of the symbols.
template <typename T>
std::int64_t rans_encode(const T* values, std::size_t count, const T* symbols,
                         const std::uint16_t* frequencies, std::size_t symbol_count, int precision,
                         std::size_t lanes, std::uint8_t* out, std::size_t size);

// Reads `count` values. Returns kGood, or the position of the first byte that is missing or left
// over, or of the state that is below the lowest one at first or differs from it at last; `out`
// then holds unspecified values.
template <typename T>
std::int64_t rans_decode(const std::uint8_t* data, std::size_t size, const T* symbols,
                         const std::uint16_t* frequencies, std::size_t symbol_count, int precision,
                         std::size_t lanes, T* out, std::size_t count);

}  // namespace laconic::coding
