// Sums, extremes, softmax and normalisation of rows of floats, and of columns beside each other.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Sums run over vectors of partial sums, in blocks of 1024 items that are then added in double
// precision: an order that depends on the number of items alone.
struct Rows {
  // Of count >= 0 items: x, |x|, x^2.
  using Sum = double (*)(const float* x, std::int64_t count);
  Sum sum, sum_absolute, sum_square;
  // Sum of (x - centre)^2.
  double (*sum_square_about)(const float* x, std::int64_t count, float centre);
  // Of count >= 1 items; NaN where there is one.
  using Extreme = float (*)(const float* x, std::int64_t count);
  Extreme largest, smallest;

  // y[i] = f(x[i], x[i + stride], ...), depth >= 1 items, for i < count; with `more`, y[i] is one
  // of the items as well.
  using Columns = void (*)(const float* x, std::int64_t stride, std::int64_t depth, bool more,
                           float* y, std::int64_t count);
  Columns columns_sum, columns_sum_absolute, columns_sum_square, columns_largest, columns_smallest;

  // y = e^x / sum(e^x), or its logarithm, over each row of x [rows, count], count >= 1; y may be x.
  using Softmax = void (*)(const float* x, float* y, std::int64_t rows, std::int64_t count);
  Softmax softmax, log_softmax;
  // The same over the depth >= 1 items x[i], x[i + stride], ..., for each i < count.
  using SoftmaxColumns = void (*)(const float* x, float* y, std::int64_t stride, std::int64_t depth,
                                  std::int64_t count);
  SoftmaxColumns softmax_columns, log_softmax_columns;

  // y[i] = (x[i] - mean) factor scale[i] + bias[i]; a null scale is 1, a null bias 0; y may be x.
  void (*standardise)(const float* x, float* y, std::int64_t count, float mean, float factor,
                      const float* scale, const float* bias);
  // y[i] = (x[i] - mean) factor + shift; y may be x.
  void (*centre)(const float* x, float* y, std::int64_t count, float mean, float factor,
                 float shift);

  // Local response normalisation of one image (Krizhevsky et al. 2012, section 3.3) in the columns
  // i < count of x [channels, stride]: y = x (bias + alpha s)^-beta, where s is the sum of squares
  // of the channels from c - before to c + after.
  void (*local_response)(const float* x, float* y, std::int64_t channels, std::int64_t stride,
                         std::int64_t count, std::int64_t before, std::int64_t after, float alpha,
                         float beta, float bias);
};
LACONIC_KERNELS(Rows, rows)

}  // namespace laconic::kernels
