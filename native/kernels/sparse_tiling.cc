#include "kernels/sparse_tiling.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <set>

#include "kernels/sparse_cost.h"

namespace laconic::kernels {

namespace {

std::int64_t divide_down(std::int64_t a, std::int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t round_up(std::int64_t a, std::int64_t to) { return divide_up(a, to) * to; }

// Terms say in 16 bits how many units away they read.
constexpr std::int64_t MOST_UNITS = std::numeric_limits<std::uint16_t>::max();

void consider(const SparseProblem& problem, SparseTiling tiling, SparseTiling* best) {
  const int lanes = problem.machine.lanes;
  const ConvShape& shape = problem.shape;
  const std::int64_t full = tiling.vectors(tiling.rows, lanes);
  if (full > problem.machine.vectors) return;
  const std::int64_t halo_rows = problem.y.most - problem.y.least;
  tiling.slab_rows = (tiling.folds > 1 ? tiling.fold_rows : tiling.rows) + halo_rows;
  tiling.planes = sparse_planes(problem, tiling);
  tiling.lead = tiling.aligned && sparse_share_skipped(problem, tiling) > 0 ? lanes : 0;
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
  const std::int64_t channel_bytes = sparse_slab_channel(tiling) * 4;
  const std::int64_t channels = problem.group_channels();
  const auto fitting = static_cast<std::int64_t>(SPARSE_L1_BYTES) / channel_bytes;
  const std::int64_t most_blocks = divide_up(channels, std::max<std::int64_t>(fitting, 1));
  tiling.unit = tiling.aligned || sparse_share_skipped(problem, tiling) == 0 ? lanes : 1;
  const std::int64_t most_floats = MOST_UNITS * tiling.unit;
  const std::int64_t reachable = most_floats / tiling.channel_floats - 1;
  const std::int64_t near_blocks = divide_up(channels, std::max<std::int64_t>(reachable, 1));
  for (const std::int64_t blocks : {std::int64_t{1}, near_blocks, most_blocks}) {
    tiling.channel_block = divide_up(channels, blocks);
    if ((tiling.channel_block + 1) * tiling.channel_floats + 2 * tiling.margin > most_floats) {
      continue;
    }
    const double cycles =
        sparse_tile_cycles(problem, tiling, full) * static_cast<double>(tiling.row_tiles - 1) +
        sparse_tile_cycles(problem, tiling, tiling.vectors(last_rows, lanes));
    tiling.cycles = cycles * static_cast<double>(tiling.pieces);
    if (best->cycles < 0 || tiling.cycles < best->cycles) *best = tiling;
  }
}

void consider_rows(const SparseProblem& problem, SparseTiling tiling, SparseTiling* best) {
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
      if (sparse_share_skipped(problem, tiling) == 0) break;
    }
  }
}

// One tap that reads each pixel where it lies.
void consider_direct(const SparseProblem& problem, SparseTiling* best) {
  const ConvShape& shape = problem.shape;
  const std::int64_t lanes = problem.machine.lanes;
  const bool plain = shape.kernel_height == 1 && shape.kernel_width == 1 && shape.stride_x == 1 &&
                     shape.pad_left == 0 && shape.height == 1 && shape.out_height == 1 &&
                     shape.width == shape.out_width;
  if (!plain || shape.width % lanes != 0) return;
  SparseTiling tiling{};
  tiling.direct = true;
  tiling.plane_floats = shape.width;
  tiling.channel_floats = (shape.height + shape.x_apart) * shape.width;
  const std::int64_t all = shape.width / lanes;
  for (std::int64_t vectors = 1; vectors <= problem.machine.vectors; ++vectors) {
    tiling.pieces = divide_up(all, vectors);
    tiling.pitch = tiling.width = tiling.columns = divide_up(all, tiling.pieces) * lanes;
    tiling.pieces = divide_up(shape.width, tiling.width);
    consider_rows(problem, tiling, best);
  }
}

// Whole rows, read where they lie: those outside the image are between the planes of the input.
void consider_in_place(const SparseProblem& problem, SparseTiling* best) {
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
void consider_whole_rows(const SparseProblem& problem, SparseTiling* best) {
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
void consider_pieces(const SparseProblem& problem, SparseTiling* best) {
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
  const SparseProblem problem{shape, nonzeros, machine,
                              y,     x,        static_cast<std::int64_t>(shifts.size())};
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
