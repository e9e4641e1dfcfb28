// Arrays that are mostly zero: gaps between the non-zeros, or one bit for each item
// (spec/coders.md, `gap` and `bitmap`).
#pragma once

#include "coding/status.h"

namespace laconic::coding {

// Relative indices (arXiv:1510.00149, section 3). An entry is `gap` zeros and then one value. A run
// of zeros that does not fit `width` bits (1 to 16) is bridged by fillers: the largest gap and then
// the value zero. Zeros after the last non-zero have no entry. `entries` is the room in `gaps` and
// in `values`, and must be what is needed: for each non-zero after a run of r zeros,
// (r >> width) + 1.
template <typename T>
void gap_split(const T* dense, std::size_t count, int width, std::uint16_t* gaps, T* values,
               std::size_t entries);

// The dense array again. Returns kGood, or the first entry that lies behind the end of `dense`,
// which then holds unspecified values.
template <typename T>
std::int64_t gap_join(const std::uint16_t* gaps, const T* values, std::size_t entries, T* dense,
                      std::size_t count);

// One bit for each item, low bits first: is it a non-zero? And the non-zeros. `size` must be
// (count + 7) / 8 and `nonzeros` the number of non-zeros. Spare bits are zero.
template <typename T>
void bitmap_split(const T* dense, std::size_t count, std::uint8_t* bits, std::size_t size,
                  T* values, std::size_t nonzeros);

// The dense array again; `size` must be (count + 7) / 8. Returns kGood, or the position of the
// first byte of `bits` that asks for more values than there are, the last one when its spare bits
// are not zero, `size` when values are left over. `dense` then holds unspecified values.
template <typename T>
std::int64_t bitmap_join(const std::uint8_t* bits, std::size_t size, const T* values,
                         std::size_t nonzeros, T* dense, std::size_t count);

}  // namespace laconic::coding
