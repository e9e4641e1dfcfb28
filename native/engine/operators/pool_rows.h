// How a pool computes: some rows of the output at a time. The rows of the input that the windows of
// a row see are met into one with its pads around it; windows along these rows give the output.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/operators/copying.h"
#include "engine/operators/windows.h"
#include "kernels/pooling.h"

namespace laconic::engine {

using kernels::RowsSeen;
using kernels::RowWindows;

// What lies outside the input never wins.
template <typename T>
constexpr T LOWEST = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                          : std::numeric_limits<T>::lowest();

// The functions of kernels::PoolingOf, in plain loops.
template <typename T>
struct Loops {
  static T larger(T a, T b) { return a != a || a > b ? a : b; }
  static T sum(T a, T b) { return static_cast<T>(a + b); }

  template <T (*meet)(T, T)>
  static void meet_rows(const T* plane, const RowsSeen& seen, std::int64_t begin, std::int64_t end,
                        T* y, std::int64_t pitch, std::int64_t width) {
    for (std::int64_t row = begin; row < end; ++row, y += pitch) {
      for (std::int64_t at = seen.first[row]; at < seen.first[row + 1]; ++at) {
        const T* x = plane + seen.offsets[at];
        const bool first = at == seen.first[row];
        for (std::int64_t i = 0; i < width; ++i) y[i] = first ? x[i] : meet(y[i], x[i]);
      }
    }
  }
  template <T (*meet)(T, T)>
  static T met(const T* x, const RowWindows& windows) {
    T out = *x;
    for (std::int64_t k = 1; k < windows.kernel; ++k) out = meet(out, x[k * windows.dilation]);
    return out;
  }
  static void largest_in_windows(const T* x, std::int64_t pitch, const RowWindows& windows,
                                 std::int64_t rows, T* y) {
    for (std::int64_t i = 0; i < rows * windows.count; ++i) {
      y[i] =
          met<larger>(x + i / windows.count * pitch + i % windows.count * windows.stride, windows);
    }
  }
  static void mean_in_windows(const T* x, std::int64_t pitch, const RowWindows& windows,
                              std::int64_t rows, const T* row_cells, const T* cells, T* y) {
    for (std::int64_t i = 0; i < rows * windows.count; ++i) {
      const std::int64_t row = i / windows.count, at = i % windows.count;
      y[i] = static_cast<T>(met<sum>(x + row * pitch + at * windows.stride, windows) /
                            (row_cells[row] * cells[at]));
    }
  }
};

template <typename T>
const kernels::PoolingOf<T>& pooling_of() {
  using Inner = Loops<T>;
  static constexpr kernels::PoolingOf<T> functions = {
      Inner::template meet_rows<Inner::larger>, Inner::template meet_rows<Inner::sum>,
      Inner::largest_in_windows, Inner::mean_in_windows};
  return functions;
}
template <>
inline const kernels::PoolingOf<float>& pooling_of<float>() {
  return kernels::pooling();
}

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

// What a pool works out for one size of input.
class PoolPlan : public Prepared {
 public:
  PoolPlan(const std::vector<WindowAxis>& windows, std::int64_t all_planes, bool count_pads);

  // Bytes that one thread needs, for items of `item` bytes.
  std::size_t desk_bytes(std::size_t item) const;

  // The largest items of all windows, or their means; scratch has desk_bytes for each thread.
  template <typename T, bool mean>
  void run(const T* x, T* y, std::byte* scratch, Pool& pool) const;

  std::vector<WindowAxis> axes;
  std::vector<std::vector<Span>> spans;   // of each axis
  std::vector<std::int64_t> row_strides;  // of the input's axes, in items
  std::int64_t planes = 1, area = 1;      // of the input
  std::int64_t rows = 1;                  // of the output's plane

 private:
  void add_row(std::int64_t row);
  // Rows that are met before their windows are looked at: enough to hide how long a store takes
  // to be seen by a load.
  std::int64_t batch() const;
  std::int64_t readable() const {
    return (windows_.count + 16) * windows_.stride + windows_.kernel * windows_.dilation;
  }
  template <typename T, bool mean>
  void run_rows(const T* x, T* y, std::byte* desk, std::int64_t begin, std::int64_t end) const;

  RowWindows windows_;
  // Rows stand side by side and no window reaches from one into the next: they are one long row.
  bool tight_ = false;
  std::vector<std::int64_t> first_, offsets_;  // RowsSeen
  std::vector<std::int64_t> row_cells_;        // of each row, that a mean divides by
};

}  // namespace laconic::engine
