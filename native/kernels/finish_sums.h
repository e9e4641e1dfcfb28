// From sums of integers to the floats of a layer's output; every operation is rounded by itself.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

struct FinishSums {
  // One output of a convolution: y[i] = min(high, max(low, scale * (sums[i] + offset) + bias +
  // addend[i])); the addend may be null.
  void (*row)(const std::int32_t* sums, std::int64_t count, std::int32_t offset, float scale,
              float bias, const float* addend, float low, float high, float* y);
  // Outputs of one row of a linear layer: y[i] = min(high, max(low, row_scale * scales[i] * sums[i]
  // * epilogue.scale[i] + ...)); the epilogue is that of these outputs and this row.
  void (*columns)(const std::int32_t* sums, std::int64_t count, float row_scale,
                  const float* scales, const Epilogue& epilogue, float* y);
};

LACONIC_KERNELS(FinishSums, finish_sums)

}  // namespace laconic::kernels
