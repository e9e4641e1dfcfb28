#include "kernels/sparse_linear.h"

#include <algorithm>
#include <cmath>

#include "kernels/distinct.h"
#include "kernels/linear_rows.h"
#include "kernels/sparse_rows.h"
#include "kernels/tile_plan.h"

namespace laconic::kernels {
namespace {

constexpr std::int64_t GROUP = SparseRows::GROUP;
constexpr std::int64_t BUNDLE = 8;  // groups of outputs whose sums are kept at hand

// Columns of a block, whose inputs should stay in the nearest caches.
std::int64_t block_for(std::int64_t rows) { return rows < 3 ? 8192 : 1024; }

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Nanoseconds of one non-zero for one row: looked up in registers, from a table in memory, plain.
double single_ns(const LinearSurvey& survey) {
  const bool plain = instructions() == Instructions::portable;
  if (survey.table.empty()) return plain ? 0.37 : 0.22;
  return plain ? 0.43 : survey.table.size() <= 32 ? 0.28 : 0.43;
}

// Nanoseconds of one row, in runs of non-zeros of one output each.
double row_cost(const LinearSurvey& survey, std::int64_t blocks) {
  return static_cast<double>(survey.non_zeros) * single_ns(survey) +
         4 * static_cast<double>(survey.outputs * blocks);
}

class SparseLinear final : public LinearWeights {
 public:
  SparseLinear(const float* weights, const LinearSurvey& survey, std::int64_t rows)
      : outputs_(survey.outputs),
        depth_(survey.depth),
        table_(survey.table),
        non_zeros_(outputs_, depth_, block_for(rows)),
        row_ns_(row_cost(survey, non_zeros_.blocks())),
        kernels_(sparse_linear_kernels()),
        rows_(linear_rows()) {
    pack(weights);
    if (!table_.empty()) table_.resize(table_.size() <= 32 ? 32 : 256, 0.0f);
  }

  const char* form() const override { return "sparse"; }
  std::size_t bytes() const override { return non_zeros_.bytes() + table_.size() * sizeof(float); }

  std::size_t scratch_bytes(std::int64_t rows, int) const override {
    if (rows < fewest_lanes()) return 0;
    const std::int64_t stride = vectors_for(rows) * kernels_.lanes;
    const std::int64_t places = round_up(depth_, 16) + non_zeros_.groups() * GROUP;
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
    for (std::int64_t block = 0; block < non_zeros_.blocks(); ++block) {
      const std::int64_t begin = std::min(depth_, block * non_zeros_.width());
      const std::int64_t end = std::min(depth_, begin + non_zeros_.width());
      for (std::int64_t output = 0; output < outputs_; ++output) {
        for (std::int64_t column = begin; column < end; ++column) {
          const float weight = weights[output * depth_ + column];
          if (weight == 0) continue;
          if (table_.empty()) {
            non_zeros_.add(column, weight);
          } else {
            non_zeros_.add(column, code_of(weight));
          }
        }
        non_zeros_.end_output();
      }
    }
    non_zeros_.finish();
  }

  void run_row(const float* x, float* y, const Epilogue& epilogue, Pool& pool) const {
    pool.split(non_zeros_.groups(), row_ns_, [&](std::int64_t begin, std::int64_t end, int) {
      float sums[BUNDLE * GROUP];
      for (std::int64_t bundle = begin; bundle < end; bundle += BUNDLE) {
        const std::int64_t bundle_end = std::min(end, bundle + BUNDLE);
        const std::int64_t first = bundle * GROUP;
        std::fill(sums, sums + BUNDLE * GROUP, 0.0f);
        non_zeros_.walk(bundle, bundle_end, table_,
                        [&](std::int64_t output, std::int64_t block, const SparseRun& run) {
                          sums[output - first] += kernels_.dot(run, x + block * non_zeros_.width());
                        });
        rows_.finish(sums, first, std::min(outputs_, bundle_end * GROUP), y, epilogue);
      }
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
    pool.split(non_zeros_.groups(), [&](std::int64_t begin, std::int64_t end, int) {
      std::fill(sums + begin * GROUP * stride, sums + end * GROUP * stride, 0.0f);
      non_zeros_.walk(
          begin, end, table_, [&](std::int64_t output, std::int64_t block, const SparseRun& run) {
            kernels_.lanes_dot(run, scratch + block * non_zeros_.width() * stride, stride,
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

  std::int64_t outputs_, depth_;
  std::vector<float> table_;  // the distinct non-zeros; empty when there are too many
  SparseRows non_zeros_;
  double row_ns_;  // about
  const SparseLinearKernels& kernels_;
  const LinearRowsKernels& rows_;
};

double rows_cost(const LinearSurvey& survey, std::int64_t rows) {
  const auto count = static_cast<double>(survey.non_zeros);
  const std::int64_t block = block_for(rows), blocks = (survey.depth + block - 1) / block;
  const auto runs = static_cast<double>(survey.outputs * blocks);
  const double bytes = count * (survey.table.empty() ? 6 : 3);
  const double read = bytes * read_ns(bytes);
  if (rows < 3) {
    const double one = row_cost(survey, blocks);
    return 200 + 1.05 * std::max(read, static_cast<double>(rows) * one);
  }
  const int lanes = sparse_linear_kernels().lanes;
  const double vectors = std::ceil(static_cast<double>(rows) / lanes);
  // Inputs that do not fit into the first cache.
  const double far = survey.depth <= 1024 ? 0.0 : lanes == 16 ? 0.25 : 0.1;
  const double single = instructions() == Instructions::portable ? 0.7 : 0.33 + far;
  return 200 + std::max(read, vectors * (count * single + 7 * runs)) +
         static_cast<double>(rows * survey.depth) * 0.3;
}

// Several rows share what a step loads and looks up for its weights.
double tiles_cost(const LinearSurvey& survey, const TilePlan& plan, std::int64_t rows) {
  if (plan.choice < 0) return plan.row_ns;
  const auto count = static_cast<double>(rows);
  const auto groups = static_cast<double>((survey.outputs + 15) / 16);
  return 200 + plan.row_ns * (0.4 + 0.6 * count) + 8 * groups * count +
         plan.bytes * read_ns(plan.bytes);
}

}  // namespace

std::unique_ptr<LinearWeights> sparse_linear(const float* weights, std::int64_t outputs,
                                             std::int64_t depth, std::int64_t rows) {
  return sparse_linear(weights, survey_linear(weights, outputs, depth), rows);
}

std::unique_ptr<LinearWeights> sparse_linear(const float* weights, const LinearSurvey& survey,
                                             std::int64_t rows) {
  const TilePlan plan =
      plan_tiles(weights, survey.outputs, survey.depth, static_cast<int>(survey.table.size()));
  if (tiles_cost(survey, plan, rows) < rows_cost(survey, rows))
    return tiled_linear(weights, survey, plan);
  return std::make_unique<SparseLinear>(weights, survey, rows);
}

double sparse_linear_cost(const float* weights, const LinearSurvey& survey, std::int64_t rows) {
  const TilePlan plan =
      plan_tiles(weights, survey.outputs, survey.depth, static_cast<int>(survey.table.size()));
  return std::min(tiles_cost(survey, plan, rows), rows_cost(survey, rows));
}

}  // namespace laconic::kernels
