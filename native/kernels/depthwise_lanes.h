// Convolution of each channel with a filter of its own: LANES outputs side by side, pixel by pixel.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Rows of an image, of one channel for each lane.
struct DepthwiseInput {
  const float* x;                // of the first row
  const std::int64_t* channels;  // [LANES]: where each lane's channel begins, from x on
  std::int64_t pixels;           // of all rows, which lie one after the other in each channel
  const std::int32_t* places;    // [pixels]: where each goes in `inputs`, in floats
  float* inputs;
};

// Rows of LANES outputs of an image, of which the first `count` exist.
struct DepthwiseStrip {
  const float* inputs;          // vectors of LANES channels; what is no pixel is zero
  const float* weights;         // [taps][LANES]
  const std::int32_t* offsets;  // [taps], in floats of `inputs`
  int taps;
  bool sliding;              // 3 x 3 taps, neither stride nor dilation along the row
  std::int64_t rows, width;  // of the output
  std::int64_t row, column;  // from one output's inputs to the next ones', in floats
  float* outputs;            // room for [rows * width, up to a multiple of LANES][LANES]
  float* y;                  // of the first output and row
  std::int64_t plane;        // from one output to the next
  int count;
  const float *scale, *bias;  // null, or of the first output on
  const float* addend;        // null, or placed as y
  float low, high;
};

struct DepthwiseKernels {
  int lanes;
  // Pixels of LANES channels become vectors of the channels of one pixel.
  void (*gather)(const DepthwiseInput& input);
  void (*multiply)(const DepthwiseStrip& strip);
};

LACONIC_KERNELS(DepthwiseKernels, depthwise_lanes)

}  // namespace laconic::kernels
