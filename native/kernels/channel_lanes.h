// Between planes of channels and vectors that hold one pixel of LANES channels.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Pixels of LANES channels that lie one after the other in each channel's plane.
struct LaneInput {
  const float* x;                // of the first pixel
  const std::int64_t* channels;  // [LANES]: where each lane's channel begins, from x on
  std::int64_t pixels;
  const std::int32_t* places;  // [pixels]: where each pixel's vector goes in `to`, in floats
  float* to;
};

// Pixels of LANES outputs, of which the first `count` exist, that will lie one after the other.
struct LaneOutput {
  const float* from;  // [pixels, up to a multiple of LANES][LANES]
  std::int64_t pixels;
  float* y;            // of the first output and pixel
  std::int64_t plane;  // from one output to the next
  int count;
  const float* addend;  // null, or placed as y
  float low, high;      // y = min(high, max(low, value + addend))
};

struct ChannelLanesKernels {
  int lanes;
  void (*gather)(const LaneInput& input);
  void (*scatter)(const LaneOutput& output);
};

LACONIC_KERNELS(ChannelLanesKernels, channel_lanes)

}  // namespace laconic::kernels
