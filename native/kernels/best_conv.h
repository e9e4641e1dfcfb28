// The choice between the forms of a convolution's weights.
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Keeps `weights` in the form whose estimated time for this shape is least; where shape.height is 0
// (not known), the share of zeros decides.
std::unique_ptr<ConvWeights> best_conv(const float* weights, const ConvShape& shape);

}  // namespace laconic::kernels
