// Convolution of each channel with a filter of its own, 3 x 3 or 5 x 5, read where the channel
// lies: a vector is a piece of a row, and walks down the rows.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Planes of outputs, counted over all images, from the rows first_row to before last_row of each.
struct DepthwisePlanes {
  const float* x;              // of plane 0: [height, width]; nothing outside is read
  std::int64_t x_plane;        // from one input plane to the next, in floats
  float* y;                    // of plane 0: [out_height, out_width]
  std::int64_t y_plane;        // from one output plane to the next
  const float* addend;         // null, or placed as y
  const float* zeros;          // [width], for rows that do not exist
  const float* weights;        // [outputs][taps][taps]
  const float *scale, *bias;   // null, or [outputs]
  float low, high;             // y = min(high, max(low, scale * product + bias + addend))
  std::int64_t outputs;        // of an image
  std::int64_t multiplier;     // outputs of a channel
  std::int64_t height, width;  // of an input plane
  std::int64_t out_width;      // of an output plane
  std::int64_t pad_top, pad_left;
  std::int64_t first_plane, last_plane, first_row, last_row;
  std::int64_t rows;  // at a time
};

struct DepthwiseRowsKernels {
  int lanes;
  // By taps along each axis, 3 and 5, then by stride along each axis, 1 and 2; no dilation.
  void (*convolve[2][2])(const DepthwisePlanes& planes);
};

LACONIC_KERNELS(DepthwiseRowsKernels, depthwise_rows)

}  // namespace laconic::kernels
