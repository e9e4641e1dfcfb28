// Windows over rows of floats: the inner loops of the pools.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Row r of the output of a plane sees the rows of its input that begin at offsets[i], for
// first[r] <= i < first[r + 1].
struct RowsSeen {
  const std::int64_t* first = nullptr;
  const std::int64_t* offsets = nullptr;
};

// Windows along a row: window i has the items x[i * stride + k * dilation], k < kernel.
struct RowWindows {
  std::int64_t count = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
};

// The functions for items of type T. A NaN in a window gives a NaN.
template <typename T>
struct PoolingOf {
  // For each row of the output from `begin` to before `end` that sees any row: the largest items,
  // or the sums, of these rows; `width` of them at y, for the next row at y + pitch, and so on.
  using Rows = void (*)(const T* plane, const RowsSeen& seen, std::int64_t begin, std::int64_t end,
                        T* y, std::int64_t pitch, std::int64_t width);
  Rows largest_of_rows, sum_of_rows;
  // Of whole vectors: up to (windows.count + 16) * windows.stride + windows.kernel *
  // windows.dilation items behind the begin of each row have to be readable.
  // The largest item of each window of `rows` rows, of which one begins `pitch` behind the other;
  // y [rows, windows.count].
  void (*largest_in_windows)(const T* x, std::int64_t pitch, const RowWindows& windows,
                             std::int64_t rows, T* y);
  // The sum of window i of row r / (row_cells[r] * cells[i]).
  void (*mean_in_windows)(const T* x, std::int64_t pitch, const RowWindows& windows,
                          std::int64_t rows, const T* row_cells, const T* cells, T* y);
};
using Pooling = PoolingOf<float>;
LACONIC_KERNELS(Pooling, pooling)

}  // namespace laconic::kernels
