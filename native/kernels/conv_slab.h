// Copying the part of an image that a convolution reads into planes in which every kernel offset is
// a mere shift of the address: padding is written out, strides are gone.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// to[row * width + column] = from[first_y + row * step_y][first_x + column * step_x], 0 outside.
struct SlabPlane {
  const float* from;  // [height, width_in], dense; nothing outside is read
  std::int64_t height, width_in;
  std::int64_t first_y, step_y, first_x, step_x;
  float* to;  // up to 16 floats beyond the plane may be overwritten
  std::int64_t rows, width;
};

struct ConvSlabKernels {
  void (*copy)(const SlabPlane& plane);
};

LACONIC_KERNELS(ConvSlabKernels, conv_slab)

}  // namespace laconic::kernels
