// Convolution of each channel with filters of its own, stored in full.
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Copies `weights` [outputs, 1, kernel_height, kernel_width]; needs channels == groups, and outputs
// a multiple of them. form() is "depthwise".
std::unique_ptr<ConvWeights> depthwise_conv(const float* weights, const ConvShape& shape);

// The same for 3 x 3 or 5 x 5 taps, strides of 1 or 2 and no dilation: reads the images where they
// are. depthwise_conv() makes it for the shapes for which it is faster.
bool suits_depthwise_rows(const ConvShape& shape);
std::unique_ptr<ConvWeights> depthwise_rows_conv(const float* weights, const ConvShape& shape);

// An estimate of the nanoseconds that one image takes on one thread; see dense_conv_cost.
double depthwise_conv_cost(const ConvShape& shape);

}  // namespace laconic::kernels
