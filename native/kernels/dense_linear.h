// y = x W^T with weights that are stored in full.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Copies and packs `weights` [outputs, depth]; form() is "dense".
std::unique_ptr<LinearWeights> dense_linear(const float* weights, std::int64_t outputs,
                                            std::int64_t depth);

// An estimate of the nanoseconds that `rows` rows take on one thread, with the weights in memory
// and the instructions that are in use now. It is what the choice between forms compares.
double dense_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows);

}  // namespace laconic::kernels
