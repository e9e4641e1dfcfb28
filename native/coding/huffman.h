// Canonical Huffman codes of at most 20 bits, high bits first (spec/coders.md, `huffman`).
//
// A code is given by its symbols, all different, and a length for each. Codes are numbered by
// length, then by place in the list. Kraft's sum must be exactly 1, except that one symbol alone
// has length 0; anything else throws std::invalid_argument, so that every string of bits has one
// meaning and the decoder's tables have no holes.
#pragma once

#include "coding/status.h"

namespace laconic::coding {

constexpr int kLongestCode = 20;
constexpr std::size_t kMostSymbols = 65536;

// Writes the codes of `count` values one after the other. `size` must be the bytes that they take;
// bits that are left over in the last one are zero. Throws when a value is none of the symbols.
template <typename T>
void huffman_encode(const T* values, std::size_t count, const T* symbols,
                    const std::uint8_t* lengths, std::size_t symbol_count, std::uint8_t* out,
                    std::size_t size);

// Reads `count` values. Returns kGood, or the position of the first byte that is missing or left
// over, or the last byte when its spare bits are not zero; `out` then holds unspecified values.
template <typename T>
std::int64_t huffman_decode(const std::uint8_t* data, std::size_t size, const T* symbols,
                            const std::uint8_t* lengths, std::size_t symbol_count, T* out,
                            std::size_t count);

}  // namespace laconic::coding
