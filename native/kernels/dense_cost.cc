// Estimates of the dense kernels' times. The constants were measured on a Zen 5 processor at
// 3.7 GHz; what matters is that they agree with those of the other forms.
#include <algorithm>

#include "kernels/conv_dense.h"
#include "kernels/conv_dense_plan.h"
#include "kernels/conv_depthwise.h"
#include "kernels/conv_winograd.h"
#include "kernels/dense_linear.h"
#include "kernels/dense_tile.h"
#include "kernels/depthwise_lanes.h"

namespace laconic::kernels {

namespace {

// Nanoseconds of a cycle, with what a full tile loses to the caches.
double cycle() { return instructions() == Instructions::portable ? 0.53 : 0.3; }

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

double plain_cost(const ConvShape& shape) {
  const DenseTileKernels& tile = dense_tile();
  const ConvLayout layout(shape, tile.lanes, tile.rows, channels_at_a_time(shape, tile.lanes));
  return 500 + layout.cycles() * cycle();
}

}  // namespace

bool prefers_winograd(const ConvShape& shape) {
  const bool possible = shape.kernel_height == 3 && shape.kernel_width == 3 &&
                        shape.stride_y == 1 && shape.stride_x == 1 && shape.dilation_y == 1 &&
                        shape.dilation_x == 1 && shape.groups == 1;
  // Both estimates of an image of unknown size are of nothing but their start.
  if (!possible || shape.height == 0) return false;
  return winograd_conv_cost(shape) < 0.9 * plain_cost(shape);
}

double dense_conv_cost(const ConvShape& shape) {
  return prefers_winograd(shape) ? winograd_conv_cost(shape) : plain_cost(shape);
}

double depthwise_conv_cost(const ConvShape& shape) {
  const std::int64_t lanes = depthwise_lanes().lanes;
  if (suits_depthwise_rows(shape)) {
    const auto vectors = static_cast<double>(shape.out_height * up(shape.out_width, lanes));
    const double vector = static_cast<double>(shape.depth()) * 0.8 + (shape.stride_x == 1 ? 0 : 6);
    return 300 + static_cast<double>(shape.outputs) * (120 + vectors * vector) * cycle();
  }
  const double blocks = static_cast<double>(up(shape.outputs, lanes));
  const double inputs = static_cast<double>(shape.height * shape.width);
  const double outputs = static_cast<double>(shape.out_height * shape.out_width);
  // Transposing moves a vector in a few cycles; a product reads an input and a weight.
  const double vector = 5 + static_cast<double>(shape.depth()) * 0.6;
  return 300 + blocks * (300 + inputs * 5 + outputs * vector) * cycle();
}

double dense_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows) {
  const DenseTileKernels& tile = dense_tile();
  const double weights = static_cast<double>(up(outputs, tile.lanes) * tile.lanes * depth);
  // Weights come from the caches or, when there are many, from memory.
  const double read = 0.042 + 0.07 * std::min(1.0, weights / 8e6);
  const double multiplied = static_cast<double>(rows) / (2 * tile.lanes) * cycle();
  return 100 + weights * std::max(read, multiplied);
}

}  // namespace laconic::kernels
