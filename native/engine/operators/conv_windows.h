// The windows of a Conv along one or two axes, as kernels want to be told.
#pragma once

#include "engine/graph.h"
#include "kernels/layers.h"

namespace laconic::engine {

// Sets the sizes of the image and of the output, strides, dilations and pads of a shape whose
// channels are those of `weight` [outputs, channels / groups, *kernel]. Mismatch where x
// [images, channels, *sizes] has other channels, or a window does not fit.
void place_windows(const Node& node, const Tensor& x, const Tensor& weight,
                   kernels::ConvShape& shape);

}  // namespace laconic::engine
