// Non-zeros of a matrix, output by output, within blocks of columns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/sparse_linear.h"

namespace laconic::kernels {

class SparseRows {
 public:
  static constexpr std::int64_t GROUP = 16;  // outputs between two places that are known

  // Blocks of at most `most_columns` (65,536 at most) columns, all about as wide. Non-zeros come in
  // by `add`, in the order of blocks, then outputs, each of which `end_output` ends.
  SparseRows(std::int64_t outputs, std::int64_t depth, std::int64_t most_columns);
  void add(std::int64_t column, std::uint8_t code) {
    add_column(column);
    codes_.push_back(code);
  }
  void add(std::int64_t column, float value) {
    add_column(column);
    values_.push_back(value);
  }
  void end_output();
  void finish();

  std::int64_t outputs() const { return outputs_; }
  std::int64_t depth() const { return depth_; }
  std::int64_t blocks() const { return blocks_; }
  std::int64_t groups() const { return groups_; }
  std::int64_t width() const { return width_; }  // columns in a block
  std::int64_t non_zeros() const { return static_cast<std::int64_t>(columns_.size()); }
  std::size_t bytes() const;

  // Calls visit(output, block, run) for the outputs of the groups [begin, end), block by block.
  // `table` (see SparseRun) belongs to the codes.
  template <typename Visit>
  void walk(std::int64_t begin, std::int64_t end, const std::vector<float>& table,
            const Visit& visit) const {
    SparseRun run;
    run.table = table.data();
    run.table_length = static_cast<std::int64_t>(table.size());
    for (std::int64_t block = 0; block < blocks_; ++block) {
      std::int64_t at = starts_[static_cast<std::size_t>(block * groups_ + begin)];
      const std::uint16_t* counts = counts_.data() + block * outputs_;
      for (std::int64_t output = begin * GROUP; output < std::min(outputs_, end * GROUP);
           ++output) {
        run.columns = columns_.data() + at;
        run.codes = values_.empty() ? codes_.data() + at : nullptr;
        run.values = values_.empty() ? nullptr : values_.data() + at;
        run.count = counts[output];
        visit(output, block, run);
        at += run.count;
      }
    }
  }

 private:
  void add_column(std::int64_t column) {
    columns_.push_back(static_cast<std::uint16_t>(column - width_ * (ended_ / outputs_)));
  }

  std::int64_t outputs_, depth_, blocks_, width_, groups_;
  std::int64_t ended_ = 0, last_end_ = 0;
  std::vector<std::uint16_t> columns_;  // within their block
  std::vector<std::uint8_t> codes_;     // one of these two is empty
  std::vector<float> values_;
  std::vector<std::uint16_t> counts_;  // [blocks][outputs]
  std::vector<std::int64_t> starts_;   // [blocks][groups]: the first non-zero of the group
};

}  // namespace laconic::kernels
