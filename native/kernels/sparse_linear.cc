#include "kernels/sparse_linear.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/distinct.h"
#include "kernels/linear_rows.h"

namespace laconic::kernels {
namespace {

constexpr std::int64_t GROUP = 16;    // outputs between two places that are known
constexpr std::int64_t BLOCK = 4096;  // columns: their inputs stay in the nearest caches

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

class SparseLinear final : public LinearWeights {
 public:
  SparseLinear(const float* weights, std::int64_t outputs, std::int64_t depth)
      : outputs_(outputs),
        depth_(depth),
        blocks_(std::max<std::int64_t>(1, (depth + BLOCK - 1) / BLOCK)),
        width_(round_up((depth + blocks_ - 1) / blocks_, 16)),
        groups_((outputs + GROUP - 1) / GROUP),
        table_(distinct_values(weights, outputs * depth, 256, true)),
        kernels_(sparse_linear_kernels()),
        rows_(linear_rows()) {
    pack(weights);
  }

  const char* form() const override { return "sparse"; }
  std::size_t bytes() const override {
    return columns_.size() * sizeof columns_[0] + codes_.size() + values_.size() * sizeof(float) +
           counts_.size() * sizeof counts_[0] + starts_.size() * sizeof starts_[0] +
           table_.size() * sizeof(float);
  }

  std::size_t scratch_bytes(std::int64_t rows, int) const override {
    if (rows < fewest_lanes()) return 0;
    const std::int64_t stride = vectors_for(rows) * kernels_.lanes;
    const std::int64_t places = round_up(depth_, 16) + groups_ * GROUP;
    return static_cast<std::size_t>(places * stride) * sizeof(float);
  }

  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
           Pool& pool) const override {
    std::int64_t row = 0;
    while (row < rows) {
      const std::int64_t left = rows - row;
      Epilogue here = epilogue;
      if (here.addend) here.addend += row * y_stride;
      if (left < fewest_lanes()) {
        run_row(x + row * x_stride, y + row * y_stride, here, pool);
        row += 1;
        continue;
      }
      const std::int64_t vectors = vectors_for(left);
      const std::int64_t taken = std::min(left, vectors * kernels_.lanes);
      run_lanes(x + row * x_stride, x_stride, y + row * y_stride, y_stride, taken, vectors, here,
                reinterpret_cast<float*>(scratch), pool);
      row += taken;
    }
  }

 private:
  // From this many rows on, a vector of rows costs less than the rows one by one.
  std::int64_t fewest_lanes() const { return 3; }
  std::int64_t vectors_for(std::int64_t rows) const { return rows > kernels_.lanes ? 2 : 1; }

  void pack(const float* weights) {
    const CodeOf code_of(table_);
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const std::int64_t begin = std::min(depth_, block * width_);
      const std::int64_t end = std::min(depth_, begin + width_);
      for (std::int64_t output = 0; output < outputs_; ++output) {
        if (output % GROUP == 0) starts_.push_back(static_cast<std::int64_t>(columns_.size()));
        const std::size_t before = columns_.size();
        for (std::int64_t column = begin; column < end; ++column) {
          const float weight = weights[output * depth_ + column];
          if (weight == 0) continue;
          columns_.push_back(static_cast<std::uint16_t>(column - begin));
          if (table_.empty()) {
            values_.push_back(weight);
          } else {
            codes_.push_back(code_of(weight));
          }
        }
        counts_.push_back(static_cast<std::uint16_t>(columns_.size() - before));
      }
    }
    columns_.shrink_to_fit();
    codes_.shrink_to_fit();
    values_.shrink_to_fit();
  }

  // Calls visit(output, block, run) for the outputs of the groups [begin, end), block by block.
  template <typename Visit>
  void walk(std::int64_t begin, std::int64_t end, const Visit& visit) const {
    SparseRun run;
    run.table = table_.data();
    for (std::int64_t block = 0; block < blocks_; ++block) {
      std::int64_t at = starts_[static_cast<std::size_t>(block * groups_ + begin)];
      const std::uint16_t* counts = counts_.data() + block * outputs_;
      for (std::int64_t output = begin * GROUP; output < std::min(outputs_, end * GROUP);
           ++output) {
        run.columns = columns_.data() + at;
        run.codes = table_.empty() ? nullptr : codes_.data() + at;
        run.values = table_.empty() ? values_.data() + at : nullptr;
        run.count = counts[output];
        visit(output, block, run);
        at += run.count;
      }
    }
  }

  void run_row(const float* x, float* y, const Epilogue& epilogue, Pool& pool) const {
    pool.split(groups_, [&](std::int64_t begin, std::int64_t end, int) {
      walk(begin, end, [&](std::int64_t output, std::int64_t block, const SparseRun& run) {
        const float sum = kernels_.dot(run, x + block * width_);
        y[output] = block == 0 ? sum : y[output] + sum;
      });
      rows_.finish(y + begin * GROUP, begin * GROUP, std::min(outputs_, end * GROUP), y, epilogue);
    });
  }

  void run_lanes(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
                 std::int64_t rows, std::int64_t vectors, const Epilogue& epilogue, float* scratch,
                 Pool& pool) const {
    const std::int64_t lanes = kernels_.lanes, stride = vectors * lanes;
    float* sums = scratch + round_up(depth_, 16) * stride;
    pool.split((depth_ + 15) / 16, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = 0; row < stride; row += lanes) {
        const std::int64_t count = std::max<std::int64_t>(0, std::min(lanes, rows - row));
        rows_.to_lanes(x + row * x_stride + begin * 16, x_stride, static_cast<int>(count),
                       std::min(depth_, end * 16) - begin * 16, scratch + begin * 16 * stride + row,
                       stride);
      }
    });
    pool.split(groups_, [&](std::int64_t begin, std::int64_t end, int) {
      std::fill(sums + begin * GROUP * stride, sums + end * GROUP * stride, 0.0f);
      walk(begin, end, [&](std::int64_t output, std::int64_t block, const SparseRun& run) {
        kernels_.lanes_dot(run, scratch + block * width_ * stride, stride,
                           static_cast<int>(vectors), sums + output * stride);
      });
      for (std::int64_t row = 0; row < rows; row += lanes) {
        Epilogue here = epilogue;
        if (here.addend) here.addend += row * y_stride;
        rows_.finish_lanes(sums + begin * GROUP * stride + row, stride, begin * GROUP,
                           std::min(outputs_, end * GROUP),
                           static_cast<int>(std::min(lanes, rows - row)), y + row * y_stride,
                           y_stride, here);
      }
    });
  }

  std::int64_t outputs_, depth_, blocks_, width_, groups_;
  std::vector<float> table_;            // the distinct non-zeros; empty when there are too many
  std::vector<std::uint16_t> columns_;  // within their block; by block, then by output
  std::vector<std::uint8_t> codes_;     // places in the table
  std::vector<float> values_;           // where there is no table
  std::vector<std::uint16_t> counts_;   // [blocks][outputs]
  std::vector<std::int64_t> starts_;    // [blocks][groups]: the first non-zero of the group
  const SparseLinearKernels& kernels_;
  const LinearRowsKernels& rows_;
};

}  // namespace

std::unique_ptr<LinearWeights> sparse_linear(const float* weights, std::int64_t outputs,
                                             std::int64_t depth) {
  return std::make_unique<SparseLinear>(weights, outputs, depth);
}

double sparse_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t non_zeros,
                          bool codes, std::int64_t rows) {
  const double count = static_cast<double>(non_zeros);
  const double each = instructions() == Instructions::portable ? 1.0 : codes ? 0.45 : 0.4;
  const double lanes = sparse_linear_kernels().lanes;
  const double vectors = std::ceil(static_cast<double>(rows) / lanes);
  const double by_row =
      static_cast<double>(rows) * (count * each + 6.0 * static_cast<double>(outputs));
  const double by_lanes = vectors * (count * 0.6 + 10.0 * static_cast<double>(outputs)) +
                          static_cast<double>(rows * depth) * 0.3;
  return rows < 3 ? by_row : by_lanes;
}

}  // namespace laconic::kernels
