// Convolution of floats with weights that are +alpha or -alpha: additions alone.
//
// The sums of four inputs under every pattern of four signs are computed once for all outputs; each
// output then adds one of these 16 where a multiply-add for each of four weights stood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

constexpr int BINARY_BLOCK = 64;     // positions of the depth whose tables are in the cache at once
constexpr int BINARY_PATTERNS = 16;  // of the signs of four

struct BinaryConvKernels {
  int width;  // floats in a row of a table: pixels that are computed together
  // The tables of `positions` (at most BINARY_BLOCK) rows, x + offsets[k], of `width` floats each:
  // tables[(g * 16 + n) * width + i] is the sum over j < 4 of row 4 g + j, item i, negative where
  // bit j of n is 1. Rows that do not exist are 0; there are tables for whole fours.
  void (*tabulate)(const float* x, const std::int64_t* offsets, int positions, float* tables);
  // sums[o * width + i] (+)= the sum over the `fours` tables of the entry that the next four bits
  // of signs[o] choose.
  void (*accumulate)(const float* tables, int fours, const std::uint64_t* signs,
                     std::int64_t outputs, bool add_to_sums, float* sums);
  // y[i] = min(high, max(low, scale * sums[i] + bias + addend[i])); the addend may be null. Up to
  // 15 floats after the sums are read.
  void (*finish)(const float* sums, std::int64_t count, float scale, float bias,
                 const float* addend, float low, float high, float* y);
};

LACONIC_KERNELS(BinaryConvKernels, binary_conv)

// weights [outputs, channels / groups, kernel_height, kernel_width], for which is_binary (signs.h)
// holds; form() is "binary".
std::unique_ptr<ConvWeights> binary_conv(const float* weights, const ConvShape& shape);

// An estimate of the nanoseconds that one image takes on one thread; see dense_conv_cost.
double binary_conv_cost(const ConvShape& shape);

}  // namespace laconic::kernels
