// From sums of integers to the floats of a layer's output.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

struct FinishSums {
  // One output of a convolution: y[i] = min(high, max(low, scale * sums[i] + bias + addend[i])),
  // every operation rounded by itself; the addend may be null.
  void (*row)(const std::int32_t* sums, std::int64_t count, float scale, float bias,
              const float* addend, float low, float high, float* y);
};

LACONIC_KERNELS(FinishSums, finish_sums)

}  // namespace laconic::kernels
