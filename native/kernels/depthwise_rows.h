// One plane of a convolution of each channel with a filter of its own.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// y[r * width + c] = finish(sum over taps of weights[tap] * inputs[r * input_row + c +
// offsets[tap]])
struct DepthwisePlane {
  const float* inputs;  // a slab (conv_slab.h); a vector beyond a row's end may be read
  std::int64_t input_row;
  const float* weights;         // [taps]
  const std::int32_t* offsets;  // [taps]
  int taps;
  // Not 0: the taps are kernel columns of this many rows, each an input row below the one before.
  int column_rows;
  std::int64_t rows, width;  // of y
  float* y;
  const float* addend;  // null, or placed as y
  float scale, bias, low, high;
};

struct DepthwiseKernels {
  int lanes;
  void (*plane)(const DepthwisePlane& plane);
};

LACONIC_KERNELS(DepthwiseKernels, depthwise_rows)

}  // namespace laconic::kernels
