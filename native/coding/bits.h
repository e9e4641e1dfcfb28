// Numbers of one width, packed without gaps, low bits first (spec/coders.md, `fixed`).
#pragma once

#include "coding/status.h"

namespace laconic::coding {

// Bytes that `count` numbers of `width` bits take. Throws when that is no std::size_t.
std::size_t packed_size(std::size_t count, int width);

// Writes the low `width` bits (0 to 64) of each of `count` values. Bits that are left over in the
// last byte are zero. `size` must be packed_size(count, width).
// T: std::uint8_t, std::uint16_t, std::uint32_t or std::uint64_t, here and below.
template <typename T>
void pack_bits(const T* values, std::size_t count, int width, std::uint8_t* out, std::size_t size);

// Reads them again. `width` must be at most 8 * sizeof(T). Returns kGood, or the position of the
// first byte that is missing or left over, or the last byte when its spare bits are not zero.
template <typename T>
std::int64_t unpack_bits(const std::uint8_t* data, std::size_t size, int width, T* out,
                         std::size_t count);

}  // namespace laconic::coding
