#include "kernels/sparse_tiling.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

namespace laconic::kernels {

namespace {

std::int64_t divide_down(std::int64_t a, std::int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t round_up(std::int64_t a, std::int64_t to) { return divide_up(a, to) * to; }

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
constexpr double L1_BYTES = 40e3, L2_BYTES = 500e3, PARTIAL_BYTES = 300e3;

struct Problem {
  const ConvShape& shape;
  std::int64_t nonzeros;
  SparseMachine machine;
  SparseAxis y, x;
  std::int64_t shifts;  // different ones along a row

  std::int64_t group_channels() const { return shape.channels / shape.groups; }
};

// Floats by which the rows of tap `ky` are off from the beginning of a vector.
std::int64_t row_skip(const Problem& problem, const SparseTiling& tiling, std::size_t ky) {
  const std::int64_t row = problem.y.shift[ky] - problem.y.least;
  return row * tiling.row_step() % problem.machine.lanes;
}

std::int64_t count_planes(const Problem& problem, const SparseTiling& tiling) {
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

// The share of the taps whose rows do not begin with a vector.
double share_skipped(const Problem& problem, const SparseTiling& tiling) {
  double skipped = 0;
  for (std::size_t ky = 0; ky < problem.y.shift.size(); ++ky) {
    if (row_skip(problem, tiling, ky) != 0) skipped += 1;
  }
  return skipped / static_cast<double>(problem.y.shift.size());
}

// Floats of a channel that a tile reads.
std::int64_t slab_channel(const SparseTiling& tiling) {
  return tiling.direct ? tiling.slab_rows * tiling.pitch : tiling.channel_floats;
}

// Filling the slab, for all groups.
double fill_cycles(const Problem& problem, const SparseTiling& tiling) {
  const ConvShape& shape = problem.shape;
  if (tiling.direct) return 0;
  const bool whole = tiling.slid && tiling.folds == 1 && tiling.pitch == shape.width &&
                     shape.stride_x == 1 && shape.stride_y == 1;
  const auto vectors = static_cast<double>(tiling.plane_floats / problem.machine.lanes);
  const double rows = whole ? 0.0 : static_cast<double>(tiling.slab_rows * tiling.folds) * FILL_ROW;
  return static_cast<double>(shape.channels * tiling.planes) * (FILL_PLANE + vectors * FILL + rows);
}

// A non-zero of a tile of `n` vectors, whose loads come from a slab of so many bytes.
double term_cycles(const Problem& problem, const SparseTiling& tiling, double n, double bytes) {
  const Speeds speed = speeds(problem.machine.lanes);
  const double second = std::clamp((bytes - L1_BYTES) / L1_BYTES / 1.5, 0.0, 1.0);
  const double third = std::clamp((bytes - L2_BYTES) / L2_BYTES, 0.0, 1.0);
  const double apart = tiling.aligned ? 0 : share_skipped(problem, tiling) * speed.apart;
  const double vector =
      speed.vector + apart + second * speed.second_level + third * speed.third_level;
  const double spilled = n > speed.roomy ? speed.spilled : 0;
  return speed.term + spilled + n * vector;
}

// An output of a block of channels, besides its terms.
double visit_cycles(const Problem& problem, const SparseTiling& tiling, double n) {
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

double tile_cycles(const Problem& problem, const SparseTiling& tiling, std::int64_t vectors) {
  const ConvShape& shape = problem.shape;
  const auto n = static_cast<double>(vectors);
  const auto outputs = static_cast<double>(shape.outputs);
  const double blocks =
      static_cast<double>(divide_up(problem.group_channels(), tiling.channel_block));
  const double slab_bytes = static_cast<double>(tiling.channel_block * slab_channel(tiling)) * 4;
  const double terms =
      static_cast<double>(problem.nonzeros) * term_cycles(problem, tiling, n, slab_bytes);
  double starts = outputs * blocks * visit_cycles(problem, tiling, n);
  if (tiling.pitch != shape.out_width || tiling.folds > 1) {
    starts += outputs * static_cast<double>(tiling.rows) * STORE_ROW;
  }
  return terms + starts + fill_cycles(problem, tiling) +
         TILE_START * static_cast<double>(shape.groups);
}

void consider(const Problem& problem, SparseTiling tiling, SparseTiling* best) {
  const int lanes = problem.machine.lanes;
  const ConvShape& shape = problem.shape;
  const std::int64_t full = tiling.vectors(tiling.rows, lanes);
  if (full > problem.machine.vectors) return;
  const std::int64_t halo_rows = problem.y.most - problem.y.least;
  tiling.slab_rows = (tiling.folds > 1 ? tiling.fold_rows : tiling.rows) + halo_rows;
  tiling.planes = count_planes(problem, tiling);
  tiling.lead = tiling.aligned && share_skipped(problem, tiling) > 0 ? lanes : 0;
  if (!tiling.direct) {
    const std::int64_t halo = halo_rows * tiling.row_step();
    tiling.plane_floats = tiling.lead + full * lanes + round_up(halo, lanes);
    const std::int64_t slack = tiling.planes > 1 ? lanes : 0;
    tiling.channel_floats = tiling.planes * tiling.plane_floats + slack;
  }
  const std::int64_t reach = std::max(std::abs(problem.x.least - tiling.first_column),
                                      std::abs(problem.x.most - tiling.first_column));
  tiling.margin = tiling.slid ? reach / lanes * lanes : 0;
  const std::int64_t last_rows = shape.out_height - (tiling.row_tiles - 1) * tiling.rows;
  const std::int64_t channel_bytes = slab_channel(tiling) * 4;
  const std::int64_t channels = problem.group_channels();
  const auto fitting = static_cast<std::int64_t>(L1_BYTES) / channel_bytes;
  const std::int64_t most_blocks = divide_up(channels, std::max<std::int64_t>(fitting, 1));
  for (const std::int64_t blocks : {std::int64_t{1}, most_blocks}) {
    tiling.channel_block = divide_up(channels, blocks);
    const double cycles =
        tile_cycles(problem, tiling, full) * static_cast<double>(tiling.row_tiles - 1) +
        tile_cycles(problem, tiling, tiling.vectors(last_rows, lanes));
    tiling.cycles = cycles * static_cast<double>(tiling.pieces);
    if (best->cycles < 0 || tiling.cycles < best->cycles) *best = tiling;
  }
}

void consider_rows(const Problem& problem, SparseTiling tiling, SparseTiling* best) {
  const std::int64_t height = problem.shape.out_height;
  const std::int64_t most =
      problem.machine.vectors * problem.machine.lanes / std::max<std::int64_t>(tiling.pitch, 1);
  for (std::int64_t rows = std::min(height, most); rows > 0; --rows) {
    tiling.row_tiles = divide_up(height, rows);
    tiling.rows = divide_up(height, tiling.row_tiles);
    tiling.fold_rows = divide_up(tiling.rows, tiling.folds);
    for (const bool aligned : {true, false}) {
      tiling.aligned = aligned;
      consider(problem, tiling, best);
      if (share_skipped(problem, tiling) == 0) break;
    }
  }
}

// One tap that reads each pixel where it lies.
void consider_direct(const Problem& problem, SparseTiling* best) {
  const ConvShape& shape = problem.shape;
  const std::int64_t lanes = problem.machine.lanes;
  const bool plain = shape.kernel_height == 1 && shape.kernel_width == 1 && shape.stride_x == 1 &&
                     shape.pad_left == 0 && shape.height == 1 && shape.out_height == 1 &&
                     shape.width == shape.out_width;
  if (!plain || shape.width % lanes != 0) return;
  SparseTiling tiling{};
  tiling.direct = true;
  tiling.plane_floats = tiling.channel_floats = shape.width;
  const std::int64_t all = shape.width / lanes;
  for (std::int64_t vectors = 1; vectors <= problem.machine.vectors; ++vectors) {
    tiling.pieces = divide_up(all, vectors);
    tiling.pitch = tiling.width = tiling.columns = divide_up(all, tiling.pieces) * lanes;
    tiling.pieces = divide_up(shape.width, tiling.width);
    consider_rows(problem, tiling, best);
  }
}

// Whole rows, read where they lie: those outside the image are between the planes of the input.
void consider_in_place(const Problem& problem, SparseTiling* best) {
  const ConvShape& shape = problem.shape;
  const std::int64_t lanes = problem.machine.lanes;
  const bool slides = std::max(-problem.x.least, problem.x.most) < lanes;
  if (!slides || shape.stride_x != 1 || shape.stride_y != 1 || shape.width != shape.out_width ||
      shape.width % lanes != 0 || rows_outside(shape, problem.y) > shape.x_apart) {
    return;
  }
  SparseTiling tiling{};
  tiling.slid = tiling.direct = true;
  tiling.pieces = 1;
  tiling.pitch = tiling.width = tiling.columns = shape.width;
  tiling.plane_floats = tiling.channel_floats = (shape.height + shape.x_apart) * shape.width;
  consider_rows(problem, tiling, best);
}

// Whole rows: what lies outside the image at the ends of a row is masked away or is a gap.
void consider_whole_rows(const Problem& problem, SparseTiling* best) {
  const ConvShape& shape = problem.shape;
  SparseTiling tiling{};
  tiling.slid = true;
  tiling.pieces = 1;
  tiling.width = shape.out_width;
  tiling.columns = divide_up(shape.width, shape.stride_x);
  for (std::int64_t align = problem.machine.lanes; align > 0; align /= 2) {
    tiling.pitch = round_up(std::max(tiling.width, tiling.columns), align);
    tiling.folds = 1;
    consider_rows(problem, tiling, best);
    tiling.folds = problem.machine.lanes / tiling.pitch;
    if (tiling.folds > 1 && tiling.row_step() == problem.machine.lanes) {
      consider_rows(problem, tiling, best);
    }
  }
}

// Pieces of rows with all the columns that they read, or with a copy of them for each shift.
void consider_pieces(const Problem& problem, SparseTiling* best) {
  const std::int64_t out_width = problem.shape.out_width;
  for (const bool slid : {true, false}) {
    const std::int64_t least = slid ? problem.x.least : 0;
    const std::int64_t span = slid ? problem.x.most - least : 0;
    for (std::int64_t vectors = 1; vectors <= problem.machine.vectors; ++vectors) {
      SparseTiling tiling{};
      tiling.slid = slid;
      tiling.pitch = vectors * problem.machine.lanes;
      if (tiling.pitch <= span) continue;
      tiling.pieces = divide_up(out_width, tiling.pitch - span);
      tiling.width = divide_up(out_width, tiling.pieces);
      if (span == 0) {
        // Whole vectors, so that all but the last piece are stored as such.
        tiling.width = std::min(out_width, round_up(tiling.width, problem.machine.lanes));
        tiling.pieces = divide_up(out_width, tiling.width);
      }
      tiling.columns = tiling.width + span;
      tiling.first_column = least;
      consider_rows(problem, tiling, best);
    }
  }
}

}  // namespace

SparseAxis::SparseAxis(std::int64_t taps, std::int64_t stride, std::int64_t dilation,
                       std::int64_t pad) {
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    const std::int64_t at = tap * dilation - pad;
    shift.push_back(divide_down(at, stride));
    phase.push_back(at - shift.back() * stride);
  }
  least = shift.front();
  most = shift.back();
}

ConvShape flattened(const ConvShape& shape) {
  const bool plain = shape.kernel_height == 1 && shape.kernel_width == 1 && shape.stride_y == 1 &&
                     shape.stride_x == 1 && shape.pad_top == 0 && shape.pad_left == 0 &&
                     shape.height == shape.out_height && shape.width == shape.out_width;
  if (!plain) return shape;
  ConvShape flat = shape;
  flat.width = flat.out_width = shape.height * shape.width;
  flat.height = flat.out_height = 1;
  return flat;
}

std::int64_t rows_outside(const ConvShape& shape, const SparseAxis& y) {
  return std::max({std::int64_t{0}, -y.least, shape.out_height + y.most - shape.height});
}

SparseTiling choose_tiling(const ConvShape& shape, std::int64_t nonzeros,
                           const SparseMachine& machine) {
  const SparseAxis y(shape.kernel_height, shape.stride_y, shape.dilation_y, shape.pad_top);
  const SparseAxis x(shape.kernel_width, shape.stride_x, shape.dilation_x, shape.pad_left);
  const std::set<std::int64_t> shifts(x.shift.begin(), x.shift.end());
  const Problem problem{shape, nonzeros, machine, y, x, static_cast<std::int64_t>(shifts.size())};
  SparseTiling best{};
  best.cycles = -1;
  consider_direct(problem, &best);
  if (best.cycles >= 0) return best;
  consider_in_place(problem, &best);
  consider_whole_rows(problem, &best);
  consider_pieces(problem, &best);
  return best;
}

}  // namespace laconic::kernels
