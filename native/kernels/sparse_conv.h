// Convolution with stored non-zeros: work in proportion to the non-zeros, NCHW in and out.
//
// The output plane is cut into tiles of a few vectors: whole rows, or pieces of rows where they are
// long. For a tile, the input rows that it reads are copied into a slab in which stride, dilation
// and padding are gone: output pixel q of the tile (row * pitch + column) reads
// slab[offset + q + shift] for a tap of the kernel. The offset is a multiple of the vector's length
// where the pitch is one. The shift, the horizontal part, is the same for all taps of a run: the
// sums of a run are slid by so many lanes once, in registers, at its end. So the loads of the inner
// loop are aligned and the input lies in the slab once, not once for each tap. Rows much shorter
// than a vector are folded: those of the tile's upper and lower half share vectors, so that the
// next row is the next vector. Where rows begin with a vector and rows of zeros lie between the
// planes of the input, it is its own slab.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

// One tile and one block of input channels, for some outputs. What is per output begins at
// first_output where it is said to be so, else at output 0.
struct SparseTile {
  const float* slab;
  // A non-zero adds value * slab[offset * unit + q] to sum q; a unit is 1 << unit_bits bytes.
  const std::uint16_t* offsets;
  const float* values;
  int unit_bits;
  // Run r of output first_output + o holds the terms starts[o * runs + r] to before
  // starts[o * runs + r + 1].
  const std::int32_t* starts;
  std::int64_t first_output, outputs;
  int runs;
  // The sums of run r are slid so that lane q takes lane q + shifts[r], |shift| < LANES; run 1 has
  // shift 0 where there are several runs, run 0 where there is one.
  const int* shifts;
  // [runs][vectors]: a bit for each lane, set where lane q + shift lies in the row of lane q; null
  // for a run whose sums need no mask.
  const std::uint16_t* const* masks;
  // [outputs][vectors * LANES], from first_output on: sums over the blocks of channels; unused
  // where there is one.
  float* partial;
  bool first, last;  // of the blocks of channels
  float* hold;       // [vectors * LANES], for the kernel's own use

  // Where the outputs go: `rows` rows of `width` pixels, y_row floats apart, y_plane an output.
  float* y;
  std::int64_t y_plane, y_row, addend_plane;
  int rows, width;
  bool spill;  // a row may be written beyond its end: the tile's next row follows there
  // Pixel (row, column) of the output is lane row * pitch + column. Where rows are folded, so many
  // share a vector: it is lane (row % fold_rows) * LANES + row / fold_rows * pitch + column.
  int pitch;
  int fold_rows;        // 0 where they are not
  const float* scale;   // by output, or null
  const float* bias;    // by output, or null
  const float* addend;  // as y, addend_plane floats an output, or null
  float low, high;
};

constexpr int SPARSE_VECTORS = 16;  // the most vectors in a tile, of any set of instructions

struct SparseConvKernels {
  int lanes;
  int vectors;                                      // the most vectors in a tile
  void (*tile[SPARSE_VECTORS])(const SparseTile&);  // tile[n - 1] for n vectors
};
LACONIC_KERNELS(SparseConvKernels, sparse_conv_kernels)

// Stores the non-zeros of `weights` [outputs, channels / groups, kernel_height, kernel_width] as a
// 16-bit position and a float each. A zero that is not stored is not multiplied: an infinity or a
// NaN of the input reaches only the outputs whose weight for it is not zero, where the dense
// product would be NaN. Weights are finite. The order of each sum depends on the weights, the sizes
// and the set of instructions alone.
std::unique_ptr<ConvWeights> sparse_conv(const float* weights, const ConvShape& shape);

// Nanoseconds that one image takes on one thread, about, for the set of instructions in use.
double sparse_conv_cost(const ConvShape& shape, std::int64_t nonzeros);

}  // namespace laconic::kernels
