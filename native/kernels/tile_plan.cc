#include "kernels/tile_plan.h"

#include <algorithm>
#include <limits>

namespace laconic::kernels {
namespace {

constexpr std::int64_t SAMPLES = 24;  // groups that a plan looks at
// A loop whose length changes is mispredicted.
constexpr double CHANGE_NS = 4;
// What a byte is worth: at least the time that memory takes to deliver it.
constexpr double BYTE_NS[] = {0.02, 0.05, 0.1, 0.2, 0.4};

// What the steps of one block cost, for each number of steps.
class BlockCost {
 public:
  BlockCost(const TilePlan& plan)
      : kernels_(tiled_linear_kernels()),
        byte_ns_(plan.byte_ns),
        slot_bytes_(plan.form.table ? 2 : 5),
        single_bytes_(plan.form.table ? 3 : 6),
        block_ns_(kernels_.times[plan.choice].block),
        step_ns_(kernels_.times[plan.choice].step +
                 (plan.form.table > kernels_.short_table ? kernels_.long_step : 0)) {}

  double time(int steps, std::int64_t singles) const {
    return block_ns_ + steps * step_ns_ + static_cast<double>(singles) * SINGLE_NS;
  }
  double bytes(int steps, std::int64_t singles) const {
    return 1.0 + steps * slot_bytes_ * kernels_.lanes +
           static_cast<double>(singles) * single_bytes_;
  }
  double of(int steps, std::int64_t singles) const {
    return time(steps, singles) + byte_ns_ * bytes(steps, singles);
  }
  int lanes() const { return kernels_.lanes; }

 private:
  const TiledLinearKernels& kernels_;
  double byte_ns_, slot_bytes_, single_bytes_, block_ns_, step_ns_;
};

// singles[s]: the non-zeros of a block that s steps leave over.
void count_singles(const std::uint8_t* counts, std::int64_t blocks, int lanes, int most,
                   std::vector<std::int64_t>& singles) {
  std::vector<std::int64_t> longer(static_cast<std::size_t>(most) + 1, 0);
  for (int lane = 0; lane < lanes; ++lane) ++longer[counts[lane * blocks]];
  // From the right: lanes with more than s non-zeros, then the sum of what they have beyond s.
  std::int64_t lanes_above = 0, above = 0;
  for (int s = most; s >= 0; --s) {
    above += lanes_above;
    singles[static_cast<std::size_t>(s)] = above;
    lanes_above += longer[static_cast<std::size_t>(s)];
  }
}

}  // namespace

void count_non_zeros(const float* weights, std::int64_t outputs, std::int64_t depth,
                     std::int64_t output, int lanes, int width, std::uint8_t* counts) {
  const std::int64_t blocks = (depth + width - 1) / width;
  std::fill(counts, counts + lanes * blocks, std::uint8_t{0});
  for (int lane = 0; lane < lanes && output + lane < outputs; ++lane) {
    const float* row = weights + (output + lane) * depth;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t end = std::min(depth, (block + 1) * width);
      int count = 0;
      for (std::int64_t k = block * width; k < end; ++k) count += row[k] != 0;
      counts[lane * blocks + block] = static_cast<std::uint8_t>(count);
    }
  }
}

// The cheapest path through the blocks, where a change of the number of steps costs CHANGE_NS.
void choose_steps(const TilePlan& plan, const std::uint8_t* counts, std::int64_t blocks,
                  std::uint8_t* steps, double& time_ns, double& bytes) {
  const BlockCost cost(plan);
  const int most = *std::max_element(counts, counts + cost.lanes() * blocks);
  const auto places = static_cast<std::size_t>(most) + 1;
  std::vector<std::int64_t> singles(places * static_cast<std::size_t>(blocks));
  std::vector<std::int64_t> block_singles(places);
  std::vector<double> path(places, 0.0);
  std::vector<std::uint8_t> changed(singles.size()), best_before(static_cast<std::size_t>(blocks));
  for (std::int64_t block = 0; block < blocks; ++block) {
    count_singles(counts + block, blocks, cost.lanes(), most, block_singles);
    const auto best = std::min_element(path.begin(), path.end());
    const double change = *best + CHANGE_NS;
    best_before[static_cast<std::size_t>(block)] = static_cast<std::uint8_t>(best - path.begin());
    for (std::size_t s = 0; s < places; ++s) {
      const std::size_t at = static_cast<std::size_t>(block) * places + s;
      singles[at] = block_singles[s];
      changed[at] = change < path[s];
      path[s] = std::min(path[s], change) + cost.of(static_cast<int>(s), block_singles[s]);
    }
  }
  auto s = static_cast<std::size_t>(std::min_element(path.begin(), path.end()) - path.begin());
  for (std::int64_t block = blocks - 1; block >= 0; --block) {
    const std::size_t at = static_cast<std::size_t>(block) * places + s;
    steps[block] = static_cast<std::uint8_t>(s);
    time_ns += cost.time(static_cast<int>(s), singles[at]) + (changed[at] ? CHANGE_NS : 0);
    bytes += cost.bytes(static_cast<int>(s), singles[at]);
    if (changed[at]) s = best_before[static_cast<std::size_t>(block)];
  }
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
  const std::int64_t groups = (outputs + kernels.lanes - 1) / kernels.lanes;
  const std::int64_t samples = std::min(groups, SAMPLES);
  for (int choice = 0; choice < TiledLinearKernels::CHOICES; ++choice) {
    TilePlan plan;
    plan.choice = choice;
    plan.form = {kernels.widths[choice], table};
    if (plan.form.width == 0) break;
    const std::int64_t blocks = (depth + plan.form.width - 1) / plan.form.width;
    std::vector<std::uint8_t> counts(static_cast<std::size_t>(kernels.lanes * blocks * samples));
    std::vector<std::uint8_t> steps(static_cast<std::size_t>(blocks));
    double non_zeros = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      count_non_zeros(weights, outputs, depth, i * groups / samples * kernels.lanes, kernels.lanes,
                      plan.form.width, counts.data() + i * kernels.lanes * blocks);
    }
    for (const std::uint8_t count : counts) non_zeros += count;
    for (const double byte_ns : BYTE_NS) {
      plan.byte_ns = byte_ns;
      double time_ns = 0, bytes = 0;
      for (std::int64_t i = 0; i < samples; ++i) {
        choose_steps(plan, counts.data() + i * kernels.lanes * blocks, blocks, steps.data(),
                     time_ns, bytes);
      }
      if (bytes > non_zeros * (table ? 3.1 : 6.4)) continue;
      const double share = static_cast<double>(groups) / static_cast<double>(samples);
      plan.row_ns = time_ns * share;
      plan.bytes = bytes * share;
      if (plan.row_ns < best.row_ns) best = plan;
      break;
    }
  }
  return best;
}

}  // namespace laconic::kernels
