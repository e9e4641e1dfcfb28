// Windows over rows of floats: the inner loops of the pools.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Windows along a row: window i has the items x[i * stride + k * dilation], k < kernel.
struct RowWindows {
  std::int64_t count = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;

  // How many floats at x have to be readable: whole vectors are read.
  std::int64_t readable() const { return (count + 16) * stride + kernel * dilation; }
};

// A NaN in a window gives a NaN.
struct Pooling {
  // y[i] = f(rows[0][i], rows[1][i], ...), for i < width; rows >= 1.
  using Columns = void (*)(const float* const* rows, std::int64_t count, float* y,
                           std::int64_t width);
  Columns largest_of_rows, sum_of_rows;
  // y[i] = the largest item of window i.
  void (*largest_in_windows)(const float* x, const RowWindows& windows, float* y);
  // y[i] = the sum of window i / cells[i].
  void (*mean_in_windows)(const float* x, const RowWindows& windows, const float* cells, float* y);
};
LACONIC_KERNELS(Pooling, pooling)

}  // namespace laconic::kernels
