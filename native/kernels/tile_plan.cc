#include "kernels/tile_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace laconic::kernels {
namespace {

constexpr int LANES = 16;  // of a set that has tiles
constexpr int MOST_STEPS = 255;
// A plan looks at so many groups, fewer where they are long.
constexpr std::int64_t SAMPLES = 16, SAMPLED_VECTORS = 4096;
// Of a group, which do not count against the most that a non-zero may take.
constexpr double SMALL_BYTES = 32;
// What a single non-zero costs that has no slot.
constexpr double SINGLE_NS = 0.42;
// A loop whose length changes may be mispredicted, more often where no other group is alike.
constexpr double CHANGE_NS = 1, OWN_CHANGE_NS = 2, OWN_PACE_NS = 8;
constexpr std::int64_t MOST_EVEN_STEPS = 16;  // for each block that enters
// Paces that are tried for a group as dense as all, and how far a group's own are apart.
constexpr double LEAST_PACE = 0.3, MOST_PACE = 2, PACE_STEP = 1.05;

struct Costs {
  explicit Costs(const TilePlan& plan) {
    const TiledLinearKernels& kernels = tiled_linear_kernels();
    block_ns = kernels.times[plan.choice].block;
    step_ns = kernels.times[plan.choice].step +
              (plan.form.table > kernels.short_table ? kernels.long_step : 0);
    slot_bytes = plan.form.table ? 2 : 5;
    single_bytes = plan.form.table ? 3 : 6;
    most_bytes_ = plan.form.table ? 3.1 : 6.4;
    window = plan.form.width / LANES;
    entering = plan.form.entering / LANES;
  }
  TileCost of(std::int64_t blocks, std::int64_t steps, std::int64_t singles) const {
    const auto slots = static_cast<double>(steps * LANES), left = static_cast<double>(singles);
    return {static_cast<double>(blocks) * block_ns + static_cast<double>(steps) * step_ns +
                left * SINGLE_NS,
            static_cast<double>(blocks) + slots * slot_bytes + left * single_bytes};
  }
  double most(double groups, double non_zeros) const {
    return SMALL_BYTES * groups + most_bytes_ * non_zeros;
  }
  double block_ns, step_ns, slot_bytes, single_bytes;
  std::int64_t window, entering;  // vectors of inputs

 private:
  double most_bytes_;  // for each non-zero
};

std::int64_t vectors_of(const std::vector<std::int32_t>& before) {
  return static_cast<std::int64_t>(before.size()) / LANES - 1;
}

// As many steps as `pace` for each non-zero of a row, `row_before` of which lie before each vector.
void keep_pace(const Costs& costs, const std::vector<double>& row_before, double pace,
               std::vector<std::uint8_t>& steps) {
  const auto vectors = static_cast<std::int64_t>(row_before.size()) - 1;
  std::int64_t done = 0;
  steps.resize(static_cast<std::size_t>((vectors + costs.entering - 1) / costs.entering));
  for (std::size_t b = 0; b < steps.size(); ++b) {
    const std::int64_t entered =
        std::min(vectors, (static_cast<std::int64_t>(b) + 1) * costs.entering);
    const auto due =
        static_cast<std::int64_t>(pace * row_before[static_cast<std::size_t>(entered)] + 0.5);
    steps[b] = static_cast<std::uint8_t>(std::min<std::int64_t>(due - done, MOST_STEPS));
    done = due;
  }
}

std::int64_t changes_of(const std::vector<std::uint8_t>& steps) {
  std::int64_t changes = 0;
  for (std::size_t v = 1; v < steps.size(); ++v) changes += steps[v] != steps[v - 1];
  return changes;
}

// The cost of the steps; the last vector is given further ones where that pays. Each output takes
// the first of its non-zeros that lie in the window; what leaves the window is left over.
TileCost finish_steps(const Costs& costs, const std::vector<std::int32_t>& before,
                      std::vector<std::uint8_t>& steps) {
  const std::int64_t vectors = vectors_of(before);
  std::int32_t done[LANES] = {}, missed[LANES] = {};
  std::int64_t total = 0, singles = 0;
  const auto blocks = static_cast<std::int64_t>(steps.size());
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t end = (b + 1) * costs.entering;
    const std::int32_t* gone =
        before.data() + std::max<std::int64_t>(0, end - costs.window) * LANES;
    const std::int32_t* seen = before.data() + std::min(vectors, end) * LANES;
    const std::int32_t count = steps[static_cast<std::size_t>(b)];
    for (int lane = 0; lane < LANES; ++lane) {
      const std::int32_t late = std::max(gone[lane] - done[lane], 0);
      missed[lane] += late;
      done[lane] = std::min(done[lane] + late + count, seen[lane]);
    }
    total += count;
  }
  std::int32_t left[LANES];
  for (int lane = 0; lane < LANES; ++lane) {
    singles += missed[lane];
    left[lane] = before[static_cast<std::size_t>(vectors * LANES + lane)] - done[lane];
  }
  std::uint8_t& last = steps.back();
  for (; last < MOST_STEPS; ++last, ++total) {
    const auto waiting = std::count_if(left, left + LANES, [](std::int32_t n) { return n > 0; });
    if (static_cast<double>(waiting) * SINGLE_NS <= costs.step_ns) break;
    for (std::int32_t& n : left) n -= n > 0;
  }
  for (const std::int32_t n : left) singles += n;
  TileCost cost = costs.of(blocks, total, singles);
  cost.time_ns += CHANGE_NS * static_cast<double>(changes_of(steps));
  return cost;
}

// Steps that follow the group's own columns, which no other group has.
TileCost own_steps(const Costs& costs, const std::vector<std::int32_t>& before, double pace,
                   std::vector<std::uint8_t>& steps) {
  std::vector<double> row_before(before.size() / LANES);
  for (std::size_t i = 0; i < before.size(); ++i)
    row_before[i / LANES] += before[i] / double{LANES};
  keep_pace(costs, row_before, pace, steps);
  TileCost cost = finish_steps(costs, before, steps);
  cost.time_ns += OWN_CHANGE_NS * static_cast<double>(changes_of(steps));
  return cost;
}

std::int64_t non_zeros_of(const std::vector<std::int32_t>& before) {
  std::int64_t total = 0;
  for (int lane = 0; lane < LANES; ++lane)
    total += before[before.size() - 1 - static_cast<std::size_t>(lane)];
  return total;
}

// The steps that suit all these groups best: within the bounds of memory, then fastest.
void choose_pace(TilePlan& plan, const std::vector<std::vector<std::int32_t>>& groups) {
  const Costs costs(plan);
  double non_zeros = 0, least_over = std::numeric_limits<double>::infinity(), least_ns = least_over;
  for (const auto& group : groups) non_zeros += static_cast<double>(non_zeros_of(group));
  const double most = costs.most(static_cast<double>(groups.size()), non_zeros);
  const auto consider = [&](double pace, const std::vector<std::uint8_t>& steps) {
    TileCost all;
    for (const auto& group : groups) {
      std::vector<std::uint8_t> finished = steps;
      const TileCost cost = finish_steps(costs, group, finished);
      all.time_ns += cost.time_ns;
      all.bytes += cost.bytes;
    }
    const double over = std::max(0.0, all.bytes - most);
    if (std::tie(over, all.time_ns) >= std::tie(least_over, least_ns)) return;
    least_over = over;
    least_ns = all.time_ns;
    plan.steps = steps;
    plan.pace = pace;
  };
  std::vector<std::uint8_t> steps;
  for (double pace = LEAST_PACE; pace < MOST_PACE; pace *= PACE_STEP) {
    keep_pace(costs, plan.before, pace, steps);
    consider(pace, steps);
  }
  for (std::int64_t even = 1; even <= MOST_EVEN_STEPS; ++even) {
    steps.assign(steps.size(), static_cast<std::uint8_t>(even));
    const auto all = static_cast<double>(even) * static_cast<double>(steps.size());
    const double pace = all / std::max(plan.before.back(), 1e-9);
    if (pace > MOST_PACE) break;
    if (pace >= LEAST_PACE) consider(pace, steps);
  }
}

}  // namespace

std::vector<std::int32_t> count_before(const float* weights, std::int64_t outputs,
                                       std::int64_t depth, std::int64_t group) {
  const std::int64_t vectors = (depth + LANES - 1) / LANES;
  std::vector<std::int32_t> before(static_cast<std::size_t>((vectors + 1) * LANES), 0);
  for (std::int64_t lane = 0; lane < LANES && group * LANES + lane < outputs; ++lane) {
    const float* row = weights + (group * LANES + lane) * depth;
    std::int32_t count = 0;
    for (std::int64_t v = 0; v < vectors; ++v) {
      const std::int64_t end = std::min(depth, (v + 1) * LANES);
      for (std::int64_t k = v * LANES; k < end; ++k) count += row[k] != 0;
      before[static_cast<std::size_t>((v + 1) * LANES + lane)] = count;
    }
  }
  return before;
}

TileCost choose_steps(const TilePlan& plan, const std::vector<std::int32_t>& before,
                      std::vector<std::uint8_t>& steps) {
  const Costs costs(plan);
  const auto non_zeros = static_cast<double>(non_zeros_of(before));
  steps = plan.steps;
  TileCost best = finish_steps(costs, before, steps);
  const double most = std::max(best.bytes, costs.most(1, non_zeros));
  std::vector<std::uint8_t> others;
  const auto consider = [&](TileCost cost) {
    cost.time_ns += OWN_PACE_NS;
    if (cost.time_ns >= best.time_ns || cost.bytes > most) return;
    best = cost;
    steps = others;
  };
  // A group that has more or fewer non-zeros than others, on the grid of all paces.
  const double dense = std::max(non_zeros, 1.0) / (LANES * std::max(plan.before.back(), 1e-9));
  const double wanted = std::round(std::log(dense) / std::log(PACE_STEP));
  for (const double more : {-1.0, 0.0, 1.0}) {
    if (wanted + more == 0) continue;
    keep_pace(costs, plan.before, plan.pace * std::pow(PACE_STEP, wanted + more), others);
    consider(finish_steps(costs, before, others));
  }
  for (const double pace : {1.0, 1.15, 1.3}) consider(own_steps(costs, before, pace, others));
  return best;
}

TilePlan plan_tiles(const float* weights, std::int64_t outputs, std::int64_t depth, int values) {
  const TiledLinearKernels& kernels = tiled_linear_kernels();
  TilePlan best;
  best.row_ns = std::numeric_limits<double>::infinity();
  if (kernels.short_table == 0 || outputs == 0 || depth == 0) return best;
  // One place in the table is for 0.
  const std::int64_t table = values == 0                    ? 0
                             : values < kernels.short_table ? kernels.short_table
                                                            : kernels.long_table;
  if (values != 0 && values >= table) return best;
  const std::int64_t groups = (outputs + LANES - 1) / LANES, vectors = (depth + LANES - 1) / LANES;
  const std::int64_t samples =
      std::min({groups, SAMPLES, std::max<std::int64_t>(4, SAMPLED_VECTORS / vectors)});
  std::vector<std::vector<std::int32_t>> counts;
  std::vector<double> before(static_cast<std::size_t>(vectors + 1), 0.0);
  for (std::int64_t i = 0; i < samples; ++i) {
    counts.push_back(count_before(weights, outputs, depth, i * groups / samples));
    for (std::size_t k = 0; k < counts.back().size(); ++k) {
      before[k / LANES] +=
          static_cast<double>(counts.back()[k]) / static_cast<double>(samples * LANES);
    }
  }
  const double share = static_cast<double>(groups) / static_cast<double>(samples);
  const double non_zeros = before.back() * static_cast<double>(samples * LANES);
  for (int choice = 0; choice < TiledLinearKernels::CHOICES; ++choice) {
    TilePlan plan;
    plan.choice = choice;
    plan.form = {kernels.widths[choice], kernels.entering[choice], table};
    plan.before = before;
    if (plan.form.width == 0) break;
    choose_pace(plan, counts);
    std::vector<std::uint8_t> steps;
    for (const auto& group : counts) {
      const TileCost cost = choose_steps(plan, group, steps);
      plan.row_ns += share * cost.time_ns;
      plan.bytes += share * cost.bytes;
    }
    const double most = Costs(plan).most(static_cast<double>(groups), share * non_zeros);
    if (plan.row_ns < best.row_ns && plan.bytes <= most) best = plan;
  }
  return best;
}

}  // namespace laconic::kernels
