// Sums of products of signs: words of 32 of them, an exclusive or and a count of bits; or, where no
// instruction counts bits, a table of the counts of four that a shuffle of bytes looks up.
#pragma once

#include <cstddef>
#include <cstdint>

namespace laconic::kernels {

// The signs under some output pixels (the columns of unfold.h), and the filters to multiply.
struct XnorTile {
  const std::uint32_t* columns;  // [taps][words][vectors * lanes]
  const std::uint32_t* inside;   // [taps][vectors * lanes], 0 in the padding; null: none is there
  const std::int32_t* most;      // [vectors * lanes]: the products that a pixel has
  std::int64_t taps, words;
  int vectors;
  std::byte* panel;              // memory for `arrange`
  const std::uint32_t* weights;  // [outputs][taps][words]
  std::int64_t outputs;
  std::int32_t* sums;  // [outputs][vectors * lanes]: products of +1 less products of -1
};

struct XnorKernels {
  int lanes;                              // pixels in a vector
  int vectors;                            // in a tile, at most
  std::size_t panel_bytes;                // for each word of `columns`
  void (*arrange)(const XnorTile& tile);  // once for each tile of columns, before `multiply`
  void (*multiply)(const XnorTile& tile);
};

}  // namespace laconic::kernels
