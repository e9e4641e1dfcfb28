// The inputs under each output pixel of a convolution, as columns of a matrix.
#pragma once

#include <cstdint>

#include "kernels/layers.h"

namespace laconic::kernels {

// Output pixels of all images one after the other, `begin` to before `end`. Pixel begin + i is
// column i of a matrix whose rows have `width` >= end - begin places; the rest stays as it is.
struct PixelRange {
  std::int64_t begin = 0, end = 0, width = 0;
};

// columns[(tap * planes + p) * width + i] is the word of plane p under that tap of the kernel,
// `outside` where the tap lies in the padding. Each image is [planes, height, width] words and
// begins `image_step` words after the one before it.
void unfold(const std::uint32_t* images, std::int64_t image_step, std::int64_t planes,
            std::uint32_t outside, const ConvShape& shape, const PixelRange& pixels,
            std::uint32_t* columns);

// inside[tap * width + i] is all ones where the tap lies in the image, else 0. Returns whether all
// of them lie there.
bool unfold_inside(const ConvShape& shape, const PixelRange& pixels, std::uint32_t* inside);

}  // namespace laconic::kernels
