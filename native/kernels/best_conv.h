// The choice between the forms of a convolution's weights.
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Keeps `weights` in the form whose estimated time for this shape is least; where shape.height is 0
// (not known), the share of zeros decides. With `int8`, forms that round the inputs to 8 bits take
// part, for weights that are on a grid of 8 bits (int8_grid.h).
std::unique_ptr<ConvWeights> best_conv(const float* weights, const ConvShape& shape,
                                       bool int8 = false);

}  // namespace laconic::kernels
