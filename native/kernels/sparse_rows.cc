#include "kernels/sparse_rows.h"

namespace laconic::kernels {

SparseRows::SparseRows(std::int64_t outputs, std::int64_t depth, std::int64_t most_columns)
    : outputs_(outputs),
      depth_(depth),
      blocks_(std::max<std::int64_t>(1, (depth + most_columns - 1) / most_columns)),
      width_(((depth + blocks_ - 1) / blocks_ + 15) / 16 * 16),
      groups_((outputs + GROUP - 1) / GROUP) {
  counts_.reserve(static_cast<std::size_t>(blocks_ * outputs_));
  starts_.reserve(static_cast<std::size_t>(blocks_ * groups_));
  if (outputs_ > 0) starts_.push_back(0);
}

void SparseRows::end_output() {
  counts_.push_back(static_cast<std::uint16_t>(non_zeros() - last_end_));
  last_end_ = non_zeros();
  ++ended_;
  const std::int64_t next = ended_ % outputs_;
  if (next % GROUP == 0 && ended_ < blocks_ * outputs_) starts_.push_back(last_end_);
}

void SparseRows::finish() {
  columns_.shrink_to_fit();
  codes_.shrink_to_fit();
  values_.shrink_to_fit();
}

std::size_t SparseRows::bytes() const {
  return columns_.size() * sizeof(std::uint16_t) + codes_.size() + values_.size() * sizeof(float) +
         counts_.size() * sizeof(std::uint16_t) + starts_.size() * sizeof(std::int64_t);
}

}  // namespace laconic::kernels
