// Copying what a tile of a sparse convolution reads into its slab; see kernels/sparse_conv.h.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// to[(row * folds + fold) * pitch + column - skip] =
//     from[first_y + (row + fold * fold_rows) * step_y][first_x + column * step_x], 0 outside the
// image, for columns 0 to before `pitch`, and the same for each channel. From `skip` floats before
// `to` to a vector beyond the last may be overwritten.
struct SparsePlane {
  const float* from;  // [height, width], dense; nothing outside is read
  std::int64_t height, width;
  std::int64_t first_y, step_y, first_x, step_x;
  float* to;
  std::int64_t rows, folds, fold_rows, pitch, skip;
  std::int64_t channels, from_channel, to_channel;  // how many, floats from one to the next
};

struct SparseFillKernels {
  void (*fill)(const SparsePlane&);
};
LACONIC_KERNELS(SparseFillKernels, sparse_fill_kernels)

}  // namespace laconic::kernels
