// Transcendental functions of arrays; bounds stand in simd_math.h.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// y[i] = f(x[i]) for i < count; y may be x. A value does not depend on its place.
struct Transcendental {
  using Function = void (*)(const float* x, float* y, std::int64_t count);
  Function exp, log, sigmoid, tanh, erf, sine, cosine;
};
LACONIC_KERNELS(Transcendental, transcendental)

}  // namespace laconic::kernels
