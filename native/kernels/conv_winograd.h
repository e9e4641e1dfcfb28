// 3x3 convolutions of stride 1 with fewer multiplications: Winograd's F(2x2, 3x3).
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// Whether winograd_conv takes such a convolution (3 x 3, neither stride nor dilation nor groups)
// and is estimated to be clearly faster than the plain sum; not for images of unknown size, of
// height 0.
bool prefers_winograd(const ConvShape& shape);

// Transforms and packs `weights` [outputs, channels, 3, 3] into 16 values for each 9; form() is
// "winograd". Rounding errors are those of the plain sum; an infinite input makes NaN of the
// outputs in its tile.
std::unique_ptr<ConvWeights> winograd_conv(const float* weights, const ConvShape& shape);

// An estimate of the nanoseconds that one image takes on one thread; see dense_conv_cost.
double winograd_conv_cost(const ConvShape& shape);

}  // namespace laconic::kernels
