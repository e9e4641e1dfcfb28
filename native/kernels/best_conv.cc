#include "kernels/best_conv.h"

#include <algorithm>

#include "kernels/binary_conv.h"
#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/int8_conv.h"
#include "kernels/int8_grid.h"
#include "kernels/sign_inputs.h"
#include "kernels/signs.h"
#include "kernels/sparse_conv.h"

namespace laconic::kernels {

namespace {

// Where the size of the images is not known: above this share of zeros the sparse form was faster
// at every size that was measured.
constexpr double ZEROS_FOR_SPARSE = 0.6;

bool is_sparse_faster(const ConvShape& shape, std::int64_t nonzeros, bool depthwise) {
  if (shape.height == 0) {
    const auto size = static_cast<double>(shape.outputs * shape.depth());
    return static_cast<double>(nonzeros) < (1 - ZEROS_FOR_SPARSE) * size;
  }
  const double full = depthwise ? depthwise_conv_cost(shape) : dense_conv_cost(shape);
  return sparse_conv_cost(shape, nonzeros) < full;
}

// From this many outputs on the binary form was faster than the dense one at every size that was
// measured.
constexpr std::int64_t OUTPUTS_FOR_BINARY = 64;

bool is_binary_faster(const ConvShape& shape) {
  if (shape.height == 0) return shape.outputs / shape.groups >= OUTPUTS_FOR_BINARY;
  return binary_conv_cost(shape) < dense_conv_cost(shape);
}

bool is_int8_faster(const ConvShape& shape, std::int64_t nonzeros) {
  if (shape.height == 0) return !is_sparse_faster(shape, nonzeros, false);
  return int8_conv_cost(shape) <
         std::min(dense_conv_cost(shape), sparse_conv_cost(shape, nonzeros));
}

}  // namespace

std::unique_ptr<ConvWeights> best_conv(const float* weights, const ConvShape& shape, bool int8) {
  const float* const end = weights + shape.outputs * shape.depth();
  const std::int64_t nonzeros =
      std::count_if(weights, end, [](float weight) { return weight != 0.0f; });
  const bool depthwise = shape.channels == shape.groups && shape.outputs % shape.channels == 0;
  const bool binary = !depthwise && is_binary(weights, shape.outputs, shape.depth());
  Int8Weights grid;
  if (int8 && !depthwise && !binary && is_int8_faster(shape, nonzeros) &&
      int8_grid(weights, shape.outputs, shape.depth(), grid)) {
    return int8_conv(grid, shape);
  }
  if (is_sparse_faster(shape, nonzeros, depthwise)) return sparse_conv(weights, shape);
  if (binary) {
    return with_sign_inputs(
        is_binary_faster(shape) ? binary_conv(weights, shape) : dense_conv(weights, shape), weights,
        shape);
  }
  return depthwise ? depthwise_conv(weights, shape) : dense_conv(weights, shape);
}

}  // namespace laconic::kernels
