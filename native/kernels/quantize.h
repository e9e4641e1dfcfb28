// Floats to 8-bit integers, and bytes to the words of int8_dot.h.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// x is about scale * (q - zero_point), q from 0 to 255.
struct Grid8 {
  float scale = 1.0f;
  std::int32_t zero_point = 0;
};

struct Quantize {
  // Lowers *low and raises *high to the extremes of x; a NaN is passed over.
  void (*range)(const float* x, std::int64_t count, float* low, float* high);
  // q[i] = min(255, max(0, round(x[i] / scale) + zero_point)), ties to even; 0 for a NaN.
  void (*bytes)(const float* x, std::int64_t count, Grid8 grid, std::uint8_t* q);
  // The same for up to four planes of `size` items, one after the other: plane c in byte c of the
  // words, 0 for planes that do not exist.
  void (*planes)(const float* x, int planes, std::int64_t size, Grid8 grid, std::uint32_t* words);
  // Planes of bytes to words, each byte with the bits of `flip` (0 or 128) changed.
  void (*interleave)(const std::uint8_t* x, int planes, std::int64_t size, std::uint8_t flip,
                     std::uint32_t* words);
};

LACONIC_KERNELS(Quantize, quantize)

// The grid of ONNX's DynamicQuantizeLinear: it spans the range, which holds 0.
Grid8 dynamic_grid(float low, float high);

}  // namespace laconic::kernels
