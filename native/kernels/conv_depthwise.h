// Convolution of each channel with filters of its own, stored in full.
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Copies `weights` [outputs, 1, kernel_height, kernel_width]; needs channels == groups, and outputs
// a multiple of them. form() is "depthwise".
std::unique_ptr<ConvWeights> depthwise_conv(const float* weights, const ConvShape& shape);

// An estimate of the nanoseconds that one image takes on one thread; see dense_conv_cost.
double depthwise_conv_cost(const ConvShape& shape);

}  // namespace laconic::kernels
