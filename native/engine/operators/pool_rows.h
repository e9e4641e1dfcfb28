// How a pool computes: each row of the output from the rows of the input that its windows see.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/operators/copying.h"
#include "engine/operators/windows.h"
#include "kernels/pooling.h"

namespace laconic::engine {

using kernels::RowWindows;

// What lies outside the input never wins.
template <typename T>
constexpr T LOWEST = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                          : std::numeric_limits<T>::lowest();

// The inner loops of kernels::Pooling for items of any type.
template <typename T>
struct Loops {
  static T larger(T a, T b) { return a != a || a > b ? a : b; }
  static void largest_of_rows(const T* const* rows, std::int64_t count, T* y, std::int64_t width) {
    for (std::int64_t i = 0; i < width; ++i) {
      y[i] = rows[0][i];
      for (std::int64_t row = 1; row < count; ++row) y[i] = larger(y[i], rows[row][i]);
    }
  }
  static void sum_of_rows(const T* const* rows, std::int64_t count, T* y, std::int64_t width) {
    for (std::int64_t i = 0; i < width; ++i) {
      y[i] = rows[0][i];
      for (std::int64_t row = 1; row < count; ++row) y[i] = static_cast<T>(y[i] + rows[row][i]);
    }
  }
  static void largest_in_windows(const T* x, const RowWindows& windows, T* y) {
    for (std::int64_t i = 0; i < windows.count; ++i) {
      const T* first = x + i * windows.stride;
      y[i] = *first;
      for (std::int64_t k = 1; k < windows.kernel; ++k) {
        y[i] = larger(y[i], first[k * windows.dilation]);
      }
    }
  }
  static void mean_in_windows(const T* x, const RowWindows& windows, const T* cells, T* y) {
    for (std::int64_t i = 0; i < windows.count; ++i) {
      const T* first = x + i * windows.stride;
      T total = *first;
      for (std::int64_t k = 1; k < windows.kernel; ++k) {
        total = static_cast<T>(total + first[k * windows.dilation]);
      }
      y[i] = static_cast<T>(total / cells[i]);
    }
  }
};
template <>
struct Loops<float> {
  static void largest_of_rows(const float* const* rows, std::int64_t count, float* y,
                              std::int64_t width) {
    kernels::pooling().largest_of_rows(rows, count, y, width);
  }
  static void sum_of_rows(const float* const* rows, std::int64_t count, float* y,
                          std::int64_t width) {
    kernels::pooling().sum_of_rows(rows, count, y, width);
  }
  static void largest_in_windows(const float* x, const RowWindows& windows, float* y) {
    kernels::pooling().largest_in_windows(x, windows, y);
  }
  static void mean_in_windows(const float* x, const RowWindows& windows, const float* cells,
                              float* y) {
    kernels::pooling().mean_in_windows(x, windows, cells, y);
  }
};

// The cells of one window along one axis that lie in the input.
struct Span {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t cells = 0;  // those that a mean divides by
};

inline std::vector<Span> spans_of(const WindowAxis& axis, bool count_pads) {
  std::vector<Span> out;
  for (std::int64_t i = 0; i < axis.count; ++i) {
    Span span;
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      const std::int64_t at = i * axis.stride - axis.pad_begin + k * axis.dilation;
      const bool inside = at >= 0 && at < axis.size;
      if (inside && span.count++ == 0) span.first = at;
      if (inside || (count_pads && at < axis.size + axis.pad_end)) ++span.cells;
    }
    out.push_back(span);
  }
  return out;
}

// A row of the output at a time: the rows of the input that its windows see are met into one row
// with its pads around it, and the windows along that row give the output.
struct PreparedPool : Prepared {
  std::vector<WindowAxis> axes;
  std::vector<std::vector<Span>> spans;   // for each axis
  std::vector<std::int64_t> row_strides;  // of the input's axes, in items
  std::int64_t planes = 1, area = 1;      // of the input
  std::int64_t rows = 1, most_rows = 1;   // of the output's plane, and seen by one window
  RowWindows windows;
  std::size_t scratch_bytes = 0;  // of one thread

  const WindowAxis& last() const { return axes.back(); }
};

// Working memory of one thread.
template <typename T>
struct Desk {
  Desk(std::byte* scratch, const PreparedPool& pool, int worker) {
    std::byte* at = scratch + static_cast<std::size_t>(worker) * pool.scratch_bytes;
    rows = reinterpret_cast<const T**>(at);
    at += (static_cast<std::size_t>(pool.most_rows) * sizeof(T*) + 63) / 64 * 64;
    row = reinterpret_cast<T*>(at);
    cells = row + pool.windows.readable();
  }
  const T** rows;  // [most_rows]
  T* row;          // [readable]
  T* cells;        // [count]
};

// The rows of a plane that the windows of one row of the output see. Gives how many there are; and
// in `cells` how many a mean divides by.
template <typename T>
std::int64_t rows_seen(const PreparedPool& pool, const T* plane, std::int64_t row, const T** rows,
                       std::int64_t& cells) {
  rows[0] = plane;
  cells = 1;
  std::int64_t count = 1;
  for (std::size_t i = pool.axes.size() - 1; i-- > 0;) {
    const WindowAxis& axis = pool.axes[i];
    const Span& span = pool.spans[i][static_cast<std::size_t>(row % axis.count)];
    row /= axis.count;
    cells *= span.cells;
    // Each row so far, once for each cell of this axis; backwards, so that none is lost.
    for (std::int64_t k = span.count; k-- > 0;) {
      const std::int64_t offset = (span.first + k * axis.dilation) * pool.row_strides[i];
      for (std::int64_t r = 0; r < count; ++r) rows[k * count + r] = rows[r] + offset;
    }
    count *= span.count;
  }
  return count;
}

template <typename T, bool mean>
void pool_rows(const Running& running) {
  const auto& pool = running.prepared<PreparedPool>();
  const T* x = running.input(0).as<T>();
  T* y = running.output(0).as<T>();
  const std::vector<Span>& spans = pool.spans.back();
  const std::int64_t items = pool.planes * pool.area;
  share(running.pool(), items, pool.planes * pool.rows,
        [&](std::int64_t begin, std::int64_t end, int worker) {
          const Desk<T> desk(running.scratch(), pool, worker);
          T* inside = desk.row + pool.last().pad_begin;
          std::fill_n(desk.row, pool.windows.readable(), mean ? T{0} : LOWEST<T>);
          for (std::int64_t index = begin; index < end; ++index) {
            const T* plane = x + index / pool.rows * pool.area;
            T* out = y + index * pool.windows.count;
            std::int64_t cells = 0;
            const std::int64_t seen = rows_seen(pool, plane, index % pool.rows, desk.rows, cells);
            if (seen == 0) {
              std::fill_n(inside, pool.last().size, mean ? T{0} : LOWEST<T>);
            } else if (mean) {
              Loops<T>::sum_of_rows(desk.rows, seen, inside, pool.last().size);
            } else {
              Loops<T>::largest_of_rows(desk.rows, seen, inside, pool.last().size);
            }
            if (!mean) {
              Loops<T>::largest_in_windows(desk.row, pool.windows, out);
              continue;
            }
            for (std::size_t i = 0; i < spans.size(); ++i) {
              desk.cells[i] = static_cast<T>(cells * spans[i].cells);
            }
            Loops<T>::mean_in_windows(desk.row, pool.windows, desk.cells, out);
          }
        });
}

}  // namespace laconic::engine
