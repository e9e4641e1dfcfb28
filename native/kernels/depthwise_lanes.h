// Convolution of each channel with a filter of its own: LANES outputs side by side, pixel by pixel.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Rows of LANES outputs of an image, of which the first `count` exist.
struct DepthwiseStrip {
  const float* inputs;          // vectors of LANES channels; what is no pixel is zero
  const float* weights;         // [taps][LANES]
  const std::int32_t* offsets;  // [taps], in floats of `inputs`
  int taps;
  std::int64_t rows, width;  // of the output
  std::int64_t row, column;  // from one output's inputs to the next ones', in floats
  float* outputs;            // [rows * width][LANES]
  int count;
  const float *scale, *bias;  // null, or of the first output on
};

struct DepthwiseKernels {
  int lanes;
  // outputs = scale * product + bias
  void (*multiply)(const DepthwiseStrip& strip);
};

LACONIC_KERNELS(DepthwiseKernels, depthwise_lanes)

}  // namespace laconic::kernels
