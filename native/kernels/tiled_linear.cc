// Sparse weights as tiles, and the non-zeros that do not fit into their steps one by one.
#include <algorithm>
#include <vector>

#include "kernels/distinct.h"
#include "kernels/linear_rows.h"
#include "kernels/sparse_rows.h"
#include "kernels/tile_plan.h"

namespace laconic::kernels {
namespace {

constexpr std::int64_t MOST_ROWS = 4;  // at once
// Groups whose tiles stay in a cache while the rows pass.
constexpr std::int64_t BUNDLE = 4;
constexpr int PLACE_OF_CODE = 128;  // in a slot, whose low bits are the column

class TiledLinear final : public LinearWeights {
 public:
  TiledLinear(const float* weights, const LinearSurvey& survey, const TilePlan& plan)
      : outputs_(survey.outputs),
        depth_(survey.depth),
        kernels_(tiled_linear_kernels()),
        singles_kernels_(sparse_linear_kernels()),
        rows_(linear_rows()),
        form_(plan.form),
        blocks_((depth_ + form_.width - 1) / form_.width),
        singles_(outputs_, depth_, 65520) {
    if (form_.table) {
      table_.push_back(0.0f);
      table_.insert(table_.end(), survey.table.begin(), survey.table.end());
    }
    pack(weights, plan);
    table_.resize(static_cast<std::size_t>(form_.table), 0.0f);
  }

  const char* form() const override { return "sparse"; }
  std::size_t bytes() const override {
    return slots_.size() * sizeof(std::uint16_t) + columns_.size() +
           values_.size() * sizeof(float) + steps_.size() + starts_.size() * sizeof(std::int64_t) +
           table_.size() * sizeof(float) + singles_.bytes();
  }
  std::size_t scratch_bytes(std::int64_t, int) const override { return 0; }

  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte*, Pool& pool) const override {
    pool.split(singles_.groups(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t bundle = begin; bundle < end; bundle += BUNDLE) {
        const std::int64_t bundle_end = std::min(end, bundle + BUNDLE);
        for (std::int64_t row = 0; row < rows; row += MOST_ROWS) {
          Epilogue here = epilogue;
          if (here.addend) here.addend += row * y_stride;
          const int taken = static_cast<int>(std::min(MOST_ROWS, rows - row));
          run_bundle(bundle, bundle_end, {x + row * x_stride, x_stride, depth_, taken},
                     y + row * y_stride, y_stride, here);
        }
      }
    });
  }

 private:
  // The outputs of groups [begin, end) of SparseRows for a few rows.
  void run_bundle(std::int64_t begin, std::int64_t end, const TileInputs& inputs, float* y,
                  std::int64_t y_stride, const Epilogue& epilogue) const {
    constexpr std::int64_t GROUP = SparseRows::GROUP;
    float sums[BUNDLE][MOST_ROWS][GROUP];
    for (std::int64_t group = begin; group < end; ++group) {
      tile(group, inputs, &sums[group - begin][0][0]);
    }
    singles_.walk(begin, end, table_,
                  [&](std::int64_t output, std::int64_t block, const SparseRun& run) {
                    const float* x = inputs.x + block * singles_.width();
                    for (int row = 0; row < inputs.rows; ++row) {
                      sums[output / GROUP - begin][row][output % GROUP] +=
                          singles_kernels_.dot(run, x + row * inputs.stride);
                    }
                  });
    for (int row = 0; row < inputs.rows; ++row) {
      Epilogue here = epilogue;
      if (here.addend) here.addend += row * y_stride;
      for (std::int64_t group = begin; group < end; ++group) {
        rows_.finish(sums[group - begin][row], group * GROUP,
                     std::min(outputs_, (group + 1) * GROUP), y + row * y_stride, here);
      }
    }
  }

  void tile(std::int64_t group, const TileInputs& inputs, float* sums) const {
    const std::int64_t start = starts_[static_cast<std::size_t>(group)];
    TileGroup tile = {};
    tile.table = table_.data();
    tile.steps = steps_.data() + group * blocks_;
    if (form_.table) {
      tile.slots = slots_.data() + start;
    } else {
      tile.columns = columns_.data() + start;
      tile.values = values_.data() + start;
    }
    kernels_.group(form_, tile, inputs, sums);
  }

  void pack(const float* weights, const TilePlan& plan);
  void pack_group(const float* weights, std::int64_t output, const std::uint8_t* steps,
                  const CodeOf& code_of);
  void pack_singles(const float* weights, const CodeOf& code_of);
  void place(std::int64_t at, std::int64_t column, float weight, const CodeOf& code_of) {
    if (form_.table) {
      slots_[static_cast<std::size_t>(at)] =
          static_cast<std::uint16_t>(column % form_.width + PLACE_OF_CODE * (code_of(weight)));
    } else {
      columns_[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(column % form_.width);
      values_[static_cast<std::size_t>(at)] = weight;
    }
  }

  std::int64_t outputs_, depth_;
  const TiledLinearKernels& kernels_;
  const SparseLinearKernels& singles_kernels_;
  const LinearRowsKernels& rows_;
  TileForm form_;
  std::int64_t blocks_;
  SparseRows singles_;
  std::vector<float> table_;           // the first is 0
  std::vector<std::uint16_t> slots_;   // with a table
  std::vector<std::uint8_t> columns_;  // without
  std::vector<float> values_;
  std::vector<std::uint8_t> steps_;   // [groups][blocks]
  std::vector<std::int64_t> starts_;  // [groups]: the first slot
};

void TiledLinear::pack(const float* weights, const TilePlan& plan) {
  const CodeOf code_of(table_);
  const std::int64_t lanes = SparseRows::GROUP, groups = (outputs_ + lanes - 1) / lanes;
  steps_.resize(static_cast<std::size_t>(groups * blocks_));
  std::vector<std::uint8_t> counts(static_cast<std::size_t>(lanes * blocks_));
  double time_ns = 0, bytes = 0;
  std::int64_t slots = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    count_non_zeros(weights, outputs_, depth_, group * lanes, static_cast<int>(lanes), form_.width,
                    counts.data());
    std::uint8_t* steps = steps_.data() + group * blocks_;
    choose_steps(plan, counts.data(), blocks_, steps, time_ns, bytes);
    starts_.push_back(slots);
    for (std::int64_t block = 0; block < blocks_; ++block) slots += steps[block] * lanes;
  }
  if (form_.table) {
    slots_.resize(static_cast<std::size_t>(slots));
  } else {
    columns_.resize(static_cast<std::size_t>(slots));
    values_.resize(static_cast<std::size_t>(slots));
  }
  for (std::int64_t group = 0; group < groups; ++group) {
    pack_group(weights, group * lanes, steps_.data() + group * blocks_, code_of);
  }
  pack_singles(weights, code_of);
}

// A slot that holds nothing has the weight 0 and the column of the slot before it in its block.
void TiledLinear::pack_group(const float* weights, std::int64_t output, const std::uint8_t* steps,
                             const CodeOf& code_of) {
  const std::int64_t lanes = SparseRows::GROUP;
  std::int64_t at = starts_[static_cast<std::size_t>(output / lanes)];
  for (std::int64_t block = 0; block < blocks_; ++block) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      std::int64_t column = block * form_.width, last = column, step = 0;
      const std::int64_t end = std::min(depth_, column + form_.width);
      const float* row = weights + (output + lane) * depth_;
      for (; output + lane < outputs_ && column < end && step < steps[block]; ++column) {
        if (row[column] == 0) continue;
        place(at + step * lanes + lane, column, row[column], code_of);
        last = column;
        ++step;
      }
      for (; step < steps[block]; ++step) place(at + step * lanes + lane, last, 0.0f, code_of);
    }
    at += steps[block] * lanes;
  }
}

void TiledLinear::pack_singles(const float* weights, const CodeOf& code_of) {
  for (std::int64_t part = 0; part < singles_.blocks(); ++part) {
    const std::int64_t part_end = std::min(depth_, (part + 1) * singles_.width());
    for (std::int64_t output = 0; output < outputs_; ++output) {
      const std::uint8_t* steps = steps_.data() + output / SparseRows::GROUP * blocks_;
      const float* row = weights + output * depth_;
      for (std::int64_t column = part * singles_.width(); column < part_end;) {
        const std::int64_t end = std::min(part_end, (column / form_.width + 1) * form_.width);
        // A part may begin within a block, whose steps then hold non-zeros from before it.
        const std::int64_t begin = column / form_.width * form_.width;
        const std::int64_t before =
            std::count_if(row + begin, row + column, [](float weight) { return weight != 0; });
        std::int64_t left = steps[column / form_.width] - before;
        for (; column < end; ++column) {
          if (row[column] == 0 || --left >= 0) continue;
          if (form_.table) {
            singles_.add(column, code_of(row[column]));
          } else {
            singles_.add(column, row[column]);
          }
        }
      }
      singles_.end_output();
    }
  }
  singles_.finish();
}

}  // namespace

std::unique_ptr<LinearWeights> tiled_linear(const float* weights, const LinearSurvey& survey,
                                            const TilePlan& plan) {
  return std::make_unique<TiledLinear>(weights, survey, plan);
}

}  // namespace laconic::kernels
