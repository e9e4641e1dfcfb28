// How the output plane of a sparse convolution is cut into tiles; see kernels/sparse_conv.h.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/layers.h"

namespace laconic::kernels {

// One axis of the kernel: tap k reads input position stride * (output + shift[k]) + phase[k].
struct SparseAxis {
  SparseAxis(std::int64_t taps, std::int64_t stride, std::int64_t dilation, std::int64_t pad);
  std::vector<std::int64_t> shift, phase;
  std::int64_t least, most;  // of the shifts
};

// What the cost of a tiling depends on besides the sizes.
struct SparseMachine {
  int lanes, vectors;  // of the kernels: floats in a vector, vectors in a tile
};

struct SparseTiling {
  // The output is cut into `pieces` side by side, `width` pixels each, and those into tiles of
  // `rows` rows; the last of each may be smaller.
  std::int64_t pieces, width, rows, row_tiles;
  // Whether horizontal shifts are slid in registers; else each has its own copy in the slab.
  bool slid;
  bool direct;             // the input itself is the slab, nothing is copied: row r is its row r
  bool aligned;            // whether rows that do not begin with a vector have copies that do
  std::int64_t pitch;      // lanes from one row of a tile to the next
  std::int64_t folds = 1;  // rows that share a vector, fold_rows apart; 1: rows follow each other
  std::int64_t fold_rows;  // of a whole tile
  std::int64_t columns;    // columns of the slab that are filled, from `first_column` on
  std::int64_t first_column;    // relative to the piece's first pixel, in steps of the stride
  std::int64_t slab_rows;       // in steps of a vector where rows are folded
  std::int64_t planes;          // copies of each channel: phases of the strides, alignments of rows
  std::int64_t plane_floats;    // in each
  std::int64_t channel_floats;  // in all planes of a channel, and what the last spills over
  std::int64_t lead;            // floats before each plane, where its first row may be moved to
  std::int64_t margin;          // floats before and behind the slab that loads may reach
  std::int64_t channel_block;   // input channels at once, for the first-level cache
  std::int64_t unit;            // floats that offsets in the slab are multiples of
  double cycles;                // for one image, about

  // Lanes of the slab from what a lane reads to what it reads of the next row.
  std::int64_t row_step() const { return pitch * folds; }
  std::int64_t vectors(std::int64_t tile_rows, int lanes) const {
    return folds > 1 ? fold_rows : (tile_rows * pitch + lanes - 1) / lanes;
  }
  std::int64_t tiles() const { return pieces * row_tiles; }
};

// Of one image, without groups' repetition: the shape of a 1x1 convolution without stride is one
// row of pixels, any other is unchanged.
ConvShape flattened(const ConvShape& shape);

// Rows of zeros above and below the input with which all rows that are read exist.
std::int64_t rows_outside(const ConvShape& shape, const SparseAxis& y);

// Negative cycles where no slab is small enough: with dilations of tens of thousands.
SparseTiling choose_tiling(const ConvShape& shape, std::int64_t nonzeros,
                           const SparseMachine& machine);

}  // namespace laconic::kernels
