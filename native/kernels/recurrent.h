// The item-by-item parts of recurrent cells that no elementwise function covers.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Arrays of `count` items; an output may be one of the inputs.
struct RecurrentKernels {
  // y = min(limit, max(-limit, a + b + p c)); b may be null, p (and c) too. A NaN stays one.
  void (*gate)(const float* a, const float* b, const float* p, const float* c, float limit,
               float* y, std::int64_t count);
  // y = a x + b z.
  void (*blend)(const float* a, const float* x, const float* b, const float* z, float* y,
                std::int64_t count);
  // y = (1 - a) x + a z.
  void (*mix)(const float* a, const float* x, const float* z, float* y, std::int64_t count);
};
LACONIC_KERNELS(RecurrentKernels, recurrent)

}  // namespace laconic::kernels
