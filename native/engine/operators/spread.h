// The second half of a transposed convolution: every item of the input has made a kernel's worth of
// numbers, which are added up where they fall in the output.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace laconic::engine {

// One spatial axis: item i and cell k of the kernel fall on i * stride + k * dilation - pad.
struct SpreadAxis {
  std::int64_t size = 1, out_size = 1;
  std::int64_t kernel = 1, stride = 1, dilation = 1, pad = 0;
};

class Spread {
 public:
  explicit Spread(const std::vector<SpreadAxis>& axes);

  std::int64_t positions() const { return positions_; }  // of the input
  std::int64_t cells() const { return cells_; }          // of the kernel
  std::int64_t rows() const { return static_cast<std::int64_t>(first_tap_.size()) - 1; }
  std::int64_t row_items() const { return last_.out_size; }
  // Floats of working memory for `row`.
  std::int64_t desk_items() const { return last_.stride * phase_items_; }

  // One row of an output plane, from columns [cells, positions].
  void row(const float* columns, std::int64_t row, float bias, float* y, float* desk) const;

 private:
  // A row of the input that falls on a row of the output, by cell of the axes before the last.
  struct Tap {
    std::int64_t cell, source;
  };
  // Where a cell of the last axis puts items begin to before end: on stride * (i + shift) + phase.
  struct Run {
    std::int64_t phase, shift, begin, end;
  };

  void add_taps(const std::vector<SpreadAxis>& axes, std::int64_t row);

  SpreadAxis last_;
  std::int64_t positions_ = 1, cells_ = 1;
  std::int64_t phase_items_ = 0;
  std::vector<Run> runs_;
  std::vector<Tap> taps_;
  std::vector<std::size_t> first_tap_;  // of each row, and the end
};

}  // namespace laconic::engine
