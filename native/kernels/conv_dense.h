// Convolution with weights that are stored in full: any kernel size, stride, padding, dilation and
// number of groups.
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Copies and packs `weights` [outputs, channels / groups, kernel_height, kernel_width]; form() is
// "dense", or "winograd" (conv_winograd.h) where that is estimated to be faster. What is planned
// from them keeps their strides, dilations and groups.
std::unique_ptr<ConvWeights> dense_conv(const float* weights, const ConvShape& shape);

// An estimate of the nanoseconds that one image takes on one thread, with the instructions that are
// in use now. It is what the choice between forms compares.
double dense_conv_cost(const ConvShape& shape);

}  // namespace laconic::kernels
