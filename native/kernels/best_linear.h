// The form of linear weights that should run fastest.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Keeps `weights` [outputs, depth] in the form whose estimated time for `rows` rows (1 where the
// number is not known) is least; among forms that are about as fast, the smallest. With
// `int8`, forms that round the inputs to 8 bits take part, for weights that are on a grid of 8 bits
// (int8_grid.h).
std::unique_ptr<LinearWeights> best_linear(const float* weights, std::int64_t outputs,
                                           std::int64_t depth, std::int64_t rows,
                                           bool int8 = false);

}  // namespace laconic::kernels
