#include "kernels/sparse_cost.h"

#include <algorithm>
#include <array>
#include <set>

namespace laconic::kernels {

namespace {

// Cycles, measured on a Zen 5 processor with its kernels alone in a loop.
struct Speeds {
  double term, vector;           // a non-zero; a vector of it, from the first-level cache
  double second_level;           // more for a vector that comes from the second-level cache,
  double third_level;            // and more again from the third
  double apart;                  // more for a vector that crosses a line of the cache
  double start, start_vector;    // an output of a block of channels, and a vector of it
  double run;                    // a run but the first
  double spilled;                // more for a non-zero of more than `roomy` vectors
  int roomy;                     // up to so many vectors, two sets of sums fit in the registers;
  double crowded, crowded_more;  // beyond, more for a run, and for each further vector
};

Speeds speeds(int lanes) {
  switch (lanes) {
    case 16:
      return {0.9, 0.59, 1.0, 0.4, 0.7, 20, 1.6, 14, 0.7, 11, 5, 2};
    case 8:
      return {0.7, 0.52, 0.25, 0.2, 0.25, 20, 1.4, 14, 0.0, 7, 10, 4};
    default:
      return {2.0, 1.5, 0.2, 0.2, 0.2, 20, 3, 10, 0.0, 3, 10, 4};
  }
}

constexpr double TILE_START = 150.0;  // a tile of a group
constexpr double FILL = 1.2;          // a vector of the slab
constexpr double FILL_PLANE = 5.0;    // a plane of a channel
constexpr double FILL_ROW = 8.0;      // a row of it, where rows are not copied in one piece
constexpr double STORE_ROW = 4.0;     // a row of an output that is not stored in whole vectors
constexpr double FAR = 2.0;           // a vector of sums from beyond the second-level cache
constexpr double L2_BYTES = 500e3, PARTIAL_BYTES = 300e3;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Floats by which the rows of tap `ky` are off from the beginning of a vector.
std::int64_t row_skip(const SparseProblem& problem, const SparseTiling& tiling, std::size_t ky) {
  const std::int64_t row = problem.y.shift[ky] - problem.y.least;
  return row * tiling.row_step() % problem.machine.lanes;
}

}  // namespace

std::int64_t sparse_planes(const SparseProblem& problem, const SparseTiling& tiling) {
  std::set<std::array<std::int64_t, 4>> planes;
  for (std::size_t ky = 0; ky < problem.y.shift.size(); ++ky) {
    const std::int64_t skip = tiling.aligned ? row_skip(problem, tiling, ky) : 0;
    for (std::size_t kx = 0; kx < problem.x.shift.size(); ++kx) {
      const std::int64_t moved = tiling.slid ? 0 : problem.x.shift[kx];
      planes.insert({problem.y.phase[ky], problem.x.phase[kx], moved, skip});
    }
  }
  return static_cast<std::int64_t>(planes.size());
}

double sparse_share_skipped(const SparseProblem& problem, const SparseTiling& tiling) {
  double skipped = 0;
  for (std::size_t ky = 0; ky < problem.y.shift.size(); ++ky) {
    if (row_skip(problem, tiling, ky) != 0) skipped += 1;
  }
  return skipped / static_cast<double>(problem.y.shift.size());
}

std::int64_t sparse_slab_channel(const SparseTiling& tiling) {
  return tiling.direct ? tiling.slab_rows * tiling.pitch : tiling.channel_floats;
}

namespace {

// Filling the slab, for all groups.
double fill_cycles(const SparseProblem& problem, const SparseTiling& tiling) {
  const ConvShape& shape = problem.shape;
  if (tiling.direct) return 0;
  const bool whole = tiling.slid && tiling.folds == 1 && tiling.pitch == shape.width &&
                     shape.stride_x == 1 && shape.stride_y == 1;
  const auto vectors = static_cast<double>(tiling.plane_floats / problem.machine.lanes);
  const double rows = whole ? 0.0 : static_cast<double>(tiling.slab_rows * tiling.folds) * FILL_ROW;
  return static_cast<double>(shape.channels * tiling.planes) * (FILL_PLANE + vectors * FILL + rows);
}

// A non-zero of a tile of `n` vectors, whose loads come from a slab of so many bytes.
double term_cycles(const SparseProblem& problem, const SparseTiling& tiling, double n,
                   double bytes) {
  const Speeds speed = speeds(problem.machine.lanes);
  const double second = std::clamp((bytes - SPARSE_L1_BYTES) / SPARSE_L1_BYTES / 1.5, 0.0, 1.0);
  const double third = std::clamp((bytes - L2_BYTES) / L2_BYTES, 0.0, 1.0);
  const double apart = tiling.aligned ? 0 : sparse_share_skipped(problem, tiling) * speed.apart;
  const double vector =
      speed.vector + apart + second * speed.second_level + third * speed.third_level;
  const double spilled = n > speed.roomy ? speed.spilled : 0;
  return speed.term + spilled + n * vector;
}

// An output of a block of channels, besides its terms.
double visit_cycles(const SparseProblem& problem, const SparseTiling& tiling, double n) {
  const Speeds speed = speeds(problem.machine.lanes);
  const auto runs = static_cast<double>(tiling.slid ? problem.shifts - 1 : 0);
  const double beyond = n - speed.roomy;
  const double crowded = beyond > 0 ? speed.crowded + speed.crowded_more * beyond : 0;
  const double blocks =
      static_cast<double>(divide_up(problem.group_channels(), tiling.channel_block));
  // Sums over the blocks that do not stay in the second-level cache.
  const double partial = static_cast<double>(problem.shape.outputs / problem.shape.groups) * n *
                         problem.machine.lanes * 4;
  const double far =
      blocks > 1 ? std::clamp((partial - PARTIAL_BYTES) / PARTIAL_BYTES, 0.0, 1.0) : 0;
  return speed.start + (speed.start_vector + far * FAR) * n + runs * (speed.run + crowded);
}

}  // namespace

double sparse_tile_cycles(const SparseProblem& problem, const SparseTiling& tiling,
                          std::int64_t vectors) {
  const ConvShape& shape = problem.shape;
  const auto n = static_cast<double>(vectors);
  const auto outputs = static_cast<double>(shape.outputs);
  const double blocks =
      static_cast<double>(divide_up(problem.group_channels(), tiling.channel_block));
  const double slab_bytes =
      static_cast<double>(tiling.channel_block * sparse_slab_channel(tiling)) * 4;
  const double terms =
      static_cast<double>(problem.nonzeros) * term_cycles(problem, tiling, n, slab_bytes);
  double starts = outputs * blocks * visit_cycles(problem, tiling, n);
  if (tiling.pitch != shape.out_width || tiling.folds > 1) {
    starts += outputs * static_cast<double>(tiling.rows) * STORE_ROW;
  }
  return terms + starts + fill_cycles(problem, tiling) +
         TILE_START * static_cast<double>(shape.groups);
}

}  // namespace laconic::kernels
