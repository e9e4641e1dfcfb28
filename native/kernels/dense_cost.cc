// Estimates of the dense kernels' times; the constants were measured on a Zen 5 processor.
#include <algorithm>
#include <cmath>

#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/dense_linear.h"
#include "kernels/instructions.h"

namespace laconic::kernels {

namespace {

struct Speeds {
  double multiplied;  // nanoseconds of a multiply-add in a full tile
  double read;        // of a weight that comes from memory
  int lanes, rows;    // of a full tile
};

Speeds speeds() {
  switch (instructions()) {
    case Instructions::avx512:
      return {0.009, 0.16, 16, 8};
    case Instructions::avx2:
      return {0.018, 0.16, 8, 4};
    default:
      return {0.07, 0.3, 4, 4};
  }
}

double up(std::int64_t count, int by) { return static_cast<double>((count + by - 1) / by * by); }

}  // namespace

double dense_conv_cost(const ConvShape& shape) {
  const Speeds speed = speeds();
  const double multiplied = up(shape.out_height * shape.out_width, speed.lanes) *
                            up(shape.outputs / shape.groups, speed.rows / 2) *
                            static_cast<double>(shape.depth() * shape.groups);
  const double copied = static_cast<double>(shape.channels * shape.height * shape.width);
  return 500 + multiplied * speed.multiplied + copied * 0.1;
}

double depthwise_conv_cost(const ConvShape& shape) {
  const Speeds speed = speeds();
  const double kernel = static_cast<double>(shape.kernel_height * shape.kernel_width);
  const double row = up(shape.out_width, speed.lanes);
  const double rows = static_cast<double>(shape.out_height * shape.outputs);
  return 500 + rows * (row * kernel * speed.multiplied * 2 + 5);
}

double dense_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows) {
  const Speeds speed = speeds();
  const double weights = up(outputs, speed.lanes) * static_cast<double>(depth);
  return 300 + weights * std::max(speed.read, speed.multiplied * static_cast<double>(rows));
}

}  // namespace laconic::kernels
