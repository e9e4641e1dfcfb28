// Sparse weights as tiles, and the non-zeros that do not fit into their steps one by one.
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/distinct.h"
#include "kernels/linear_rows.h"
#include "kernels/tile_plan.h"

namespace laconic::kernels {
namespace {

constexpr std::int64_t GROUP = 16;  // outputs: the lanes of a set with tiles
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
        rows_(linear_rows()),
        form_(plan.form),
        row_ns_(plan.row_ns),
        blocks_((depth_ + form_.entering - 1) / form_.entering),
        parts_((depth_ + TILE_PART - 1) / TILE_PART),
        groups_((outputs_ + GROUP - 1) / GROUP) {
    if (form_.table) {
      table_.push_back(0.0f);
      table_.insert(table_.end(), survey.table.begin(), survey.table.end());
    }
    pack(weights, plan);
    table_.resize(static_cast<std::size_t>(form_.table), 0.0f);
  }

  const char* form() const override { return "sparse"; }
  std::size_t bytes() const override {
    return (slots_.size() + loose_places_.size() + loose_turns_.size()) * sizeof(std::uint16_t) +
           columns_.size() + loose_codes_.size() + steps_.size() +
           (values_.size() + loose_values_.size() + table_.size()) * sizeof(float) +
           (starts_.size() + loose_starts_.size()) * sizeof(std::int64_t);
  }
  std::size_t scratch_bytes(std::int64_t, int) const override { return 0; }

  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte*, Pool& pool) const override {
    const double nanoseconds = row_ns_ * static_cast<double>(rows);
    pool.split(groups_, nanoseconds, [&](std::int64_t begin, std::int64_t end, int) {
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
  // The outputs of groups [begin, end) for a few rows.
  void run_bundle(std::int64_t begin, std::int64_t end, const TileInputs& inputs, float* y,
                  std::int64_t y_stride, const Epilogue& epilogue) const {
    float sums[MOST_ROWS][GROUP];
    for (std::int64_t group = begin; group < end; ++group) {
      tile(group, inputs, sums[0]);
      for (std::int64_t part = 0; part < parts_; ++part) loose(group, part, inputs, sums[0]);
      Epilogue here = epilogue;
      for (int row = 0; row < inputs.rows; ++row) {
        rows_.finish(sums[row], group * GROUP, std::min(outputs_, (group + 1) * GROUP),
                     y + row * y_stride, here);
        if (here.addend) here.addend += y_stride;
      }
    }
  }

  void loose(std::int64_t group, std::int64_t part, TileInputs inputs, float* sums) const {
    const std::int64_t* start = loose_starts_.data() + group * parts_ + part;
    const std::int64_t count = start[1] - start[0];
    if (count == 0) return;
    LooseRun run = {};
    run.places = loose_places_.data() + start[0];
    run.codes = form_.table ? loose_codes_.data() + start[0] : nullptr;
    run.values = form_.table ? nullptr : loose_values_.data() + start[0];
    run.table = table_.data();
    run.turns = loose_turns_[static_cast<std::size_t>(group * parts_ + part)];
    run.count = count;
    inputs.x += part * TILE_PART;
    kernels_.loose(run, inputs, sums);
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
  void pack_group(const float* weights, std::int64_t group, const std::vector<std::uint8_t>& steps,
                  const CodeOf& code_of);
  void pack_loose(const float* weights, std::int64_t group,
                  const std::vector<std::int64_t> (&left)[GROUP], const CodeOf& code_of);
  // `column` counts from the window's first.
  void place(std::int64_t at, std::int64_t column, float weight, const CodeOf& code_of) {
    if (form_.table) {
      slots_[static_cast<std::size_t>(at)] =
          static_cast<std::uint16_t>(column + PLACE_OF_CODE * (code_of(weight)));
    } else {
      columns_[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(column);
      values_[static_cast<std::size_t>(at)] = weight;
    }
  }

  std::int64_t outputs_, depth_;
  const TiledLinearKernels& kernels_;
  const LinearRowsKernels& rows_;
  TileForm form_;
  double row_ns_;  // about
  std::int64_t blocks_, parts_, groups_;
  std::vector<float> table_;           // the first is 0
  std::vector<std::uint16_t> slots_;   // with a table
  std::vector<std::uint8_t> columns_;  // without
  std::vector<float> values_;
  std::vector<std::uint8_t> steps_;   // [groups][blocks]
  std::vector<std::int64_t> starts_;  // [groups]: the first slot
  std::vector<std::uint16_t> loose_places_;
  std::vector<std::uint8_t> loose_codes_;
  std::vector<float> loose_values_;
  std::vector<std::uint16_t> loose_turns_;  // [groups][parts]
  std::vector<std::int64_t> loose_starts_;  // [groups][parts], and the end
};

void TiledLinear::pack(const float* weights, const TilePlan& plan) {
  const CodeOf code_of(table_);
  std::vector<std::uint8_t> steps;
  loose_starts_.push_back(0);
  for (std::int64_t group = 0; group < groups_; ++group) {
    choose_steps(plan, count_before(weights, outputs_, depth_, group), steps);
    pack_group(weights, group, steps, code_of);
    steps_.insert(steps_.end(), steps.begin(), steps.end());
  }
  slots_.shrink_to_fit();
  columns_.shrink_to_fit();
  values_.shrink_to_fit();
  loose_places_.shrink_to_fit();
  loose_codes_.shrink_to_fit();
  loose_values_.shrink_to_fit();
}

// An output's next non-zero in the window takes the slot. A slot that holds nothing has the weight
// 0 and the column of the slot before, or where that left the window the first that entered.
void TiledLinear::pack_group(const float* weights, std::int64_t group,
                             const std::vector<std::uint8_t>& steps, const CodeOf& code_of) {
  const auto start = static_cast<std::int64_t>(form_.table ? slots_.size() : columns_.size());
  starts_.push_back(start);
  const auto end = static_cast<std::size_t>(
      start + GROUP * std::accumulate(steps.begin(), steps.end(), std::int64_t{0}));
  if (form_.table) {
    slots_.resize(end);
  } else {
    columns_.resize(end);
    values_.resize(end);
  }
  std::vector<std::int64_t> left[GROUP];
  for (std::int64_t lane = 0; lane < GROUP; ++lane) {
    const bool there = group * GROUP + lane < outputs_;
    const float* row = weights + (group * GROUP + lane) * depth_;
    std::int64_t at = start + lane, column = 0, last = 0;
    const auto next_before = [&](std::int64_t limit) {
      while (there && column < limit && row[column] == 0) ++column;
      return there && column < limit;
    };
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const std::int64_t entered = (block + 1) * form_.entering, first = entered - form_.width;
      while (next_before(first)) left[lane].push_back(column++);
      if (last < first) last = block * form_.entering;
      for (int step = 0; step < steps[static_cast<std::size_t>(block)]; ++step, at += GROUP) {
        float weight = 0;
        if (next_before(std::min(depth_, entered))) {
          last = column++;
          weight = row[last];
        }
        place(at, last - first, weight, code_of);
      }
    }
    while (next_before(depth_)) left[lane].push_back(column++);
  }
  pack_loose(weights, group, left, code_of);
}

// What the steps leave over, the outputs in turns.
void TiledLinear::pack_loose(const float* weights, std::int64_t group,
                             const std::vector<std::int64_t> (&left)[GROUP],
                             const CodeOf& code_of) {
  std::size_t next[GROUP] = {};
  for (std::int64_t part = 0; part < parts_; ++part) {
    const std::int64_t begin = part * TILE_PART, end = std::min(depth_, begin + TILE_PART);
    std::uint16_t whole = 0;  // turns
    for (int taken = GROUP; taken > 0;
         whole = static_cast<std::uint16_t>(whole + (taken == GROUP))) {
      taken = 0;
      for (std::int64_t lane = 0; lane < GROUP; ++lane) {
        const std::vector<std::int64_t>& columns = left[lane];
        if (next[lane] == columns.size() || columns[next[lane]] >= end) continue;
        const std::int64_t column = columns[next[lane]++];
        const float weight = weights[(group * GROUP + lane) * depth_ + column];
        loose_places_.push_back(static_cast<std::uint16_t>(column - begin + TILE_PART * lane));
        if (form_.table) {
          loose_codes_.push_back(code_of(weight));
        } else {
          loose_values_.push_back(weight);
        }
        ++taken;
      }
    }
    loose_turns_.push_back(whole);
    loose_starts_.push_back(static_cast<std::int64_t>(loose_places_.size()));
  }
}

}  // namespace

std::unique_ptr<LinearWeights> tiled_linear(const float* weights, const LinearSurvey& survey,
                                            const TilePlan& plan) {
  return std::make_unique<TiledLinear>(weights, survey, plan);
}

}  // namespace laconic::kernels
