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

// Cycles, measured on a processor with two loads of a vector a cycle; see docs of the cost model in
// kernels/best_conv.h.
constexpr double LOAD_L1 = 0.62, LOAD_L2 = 1.25;  // a multiply-add with its load
constexpr double OUTPUT_START = 12.0;             // an output of a tile, besides its terms
constexpr double OUTPUT_STORE = 1.5;              // a vector of it
constexpr double TILE_START = 150.0;              // a tile of a group
constexpr double RUN_END = 10.0, RUN_VECTOR = 2.0;
constexpr double FILL = 1.6;       // a vector of the slab
constexpr double FILL_ROW = 8.0;   // a row of the slab, where rows are not copied in one piece
constexpr double STORE_ROW = 8.0;  // a row of an output, where it is not stored in whole vectors
constexpr double PARTIAL = 2.0;    // a vector of partial sums, stored and loaded
constexpr double L1_BYTES = 40e3, L2_BYTES = 500e3;

struct Problem {
  const ConvShape& shape;
  std::int64_t nonzeros;
  SparseMachine machine;
  SparseAxis y, x;
  std::int64_t shifts;  // different ones along a row

  std::int64_t group_channels() const { return shape.channels / shape.groups; }
};

std::int64_t count_planes(const Problem& problem, const SparseTiling& tiling) {
  std::set<std::array<std::int64_t, 4>> planes;
  for (std::size_t ky = 0; ky < problem.y.shift.size(); ++ky) {
    const std::int64_t row = problem.y.shift[ky] - problem.y.least;
    const std::int64_t skip = row * tiling.pitch % problem.machine.lanes;
    for (std::size_t kx = 0; kx < problem.x.shift.size(); ++kx) {
      const std::int64_t moved = tiling.slid ? 0 : problem.x.shift[kx];
      planes.insert({problem.y.phase[ky], problem.x.phase[kx], moved, skip});
    }
  }
  return static_cast<std::int64_t>(planes.size());
}

// Floats of a channel that a tile reads.
std::int64_t slab_channel(const SparseTiling& tiling) {
  return tiling.direct ? tiling.pitch : tiling.channel_floats;
}

double tile_cycles(const Problem& problem, const SparseTiling& tiling, std::int64_t vectors) {
  const ConvShape& shape = problem.shape;
  const auto n = static_cast<double>(vectors);
  const auto channels = static_cast<double>(problem.group_channels());
  const auto outputs = static_cast<double>(shape.outputs);
  const double blocks =
      static_cast<double>(divide_up(problem.group_channels(), tiling.channel_block));
  const double block_bytes =
      static_cast<double>(tiling.channel_block * slab_channel(tiling)) * 4;
  const double over = std::clamp((block_bytes - L1_BYTES) / L1_BYTES, 0.0, 1.0);
  const double load = LOAD_L1 + over * (LOAD_L2 - LOAD_L1);
  // A few vectors do not hide the latency of the multiply-adds.
  const double term = std::max((n + 1) * load, 3.7);
  const double terms = static_cast<double>(problem.nonzeros) * term;
  const auto slides = static_cast<double>(tiling.slid ? problem.shifts - 1 : 0);
  const double ends = slides * (RUN_END + RUN_VECTOR * n);
  const double rest = outputs * blocks * (OUTPUT_START + ends) + outputs * n * OUTPUT_STORE +
                      outputs * (blocks - 1) * n * PARTIAL;
  if (tiling.direct) return terms + rest + TILE_START;
  const bool whole = tiling.pitch == shape.out_width && tiling.pitch == shape.width &&
                     shape.stride_x == 1 && shape.stride_y == 1 && tiling.slid;
  const auto slab_rows = static_cast<double>(tiling.slab_rows);
  const double slab = static_cast<double>(tiling.plane_floats / problem.machine.lanes) * FILL +
                      (whole ? 0.0 : slab_rows * FILL_ROW);
  const double fill = channels * static_cast<double>(shape.groups * tiling.planes) * slab;
  const double rows =
      whole || tiling.rows == 1 ? 0.0 : outputs * static_cast<double>(tiling.rows) * STORE_ROW;
  return terms + rest + fill + rows + TILE_START * static_cast<double>(shape.groups);
}

void consider(const Problem& problem, SparseTiling tiling, SparseTiling* best) {
  const int lanes = problem.machine.lanes;
  const ConvShape& shape = problem.shape;
  const std::int64_t full = tiling.vectors(tiling.rows, lanes);
  if (full > problem.machine.vectors) return;
  tiling.slab_rows = tiling.rows + problem.y.most - problem.y.least;
  tiling.planes = count_planes(problem, tiling);
  tiling.lead = tiling.pitch % lanes != 0 ? lanes : 0;
  if (!tiling.direct) {
    const std::int64_t halo = (tiling.slab_rows - tiling.rows) * tiling.pitch;
    tiling.plane_floats = tiling.lead + full * lanes + round_up(halo, lanes);
    const std::int64_t slack = tiling.planes > 1 ? lanes : 0;
    tiling.channel_floats = tiling.planes * tiling.plane_floats + slack;
  }
  const std::int64_t reach = std::max(std::abs(problem.x.least), std::abs(problem.x.most));
  tiling.margin = tiling.slid ? reach / lanes * lanes : 0;
  const std::int64_t last_rows = shape.out_height - (tiling.row_tiles - 1) * tiling.rows;
  const std::int64_t channel_bytes = slab_channel(tiling) * 4;
  for (const double budget : {L1_BYTES, L2_BYTES}) {
    const auto fitting = static_cast<std::int64_t>(budget) / channel_bytes;
    const std::int64_t channels = problem.group_channels();
    const std::int64_t blocks = divide_up(channels, std::max<std::int64_t>(fitting, 1));
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
    consider(problem, tiling, best);
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
    consider_rows(problem, tiling, best);
  }
}

// Pieces of rows with all the columns that they read, or with a copy of them for each shift.
void consider_pieces(const Problem& problem, SparseTiling* best) {
  const std::int64_t out_width = problem.shape.out_width;
  for (const bool slid : {true, false}) {
    const std::int64_t least = slid ? problem.x.least : 0;
    const std::int64_t span = slid ? std::max<std::int64_t>(problem.x.most, 0) - least : 0;
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
      tiling.left = -least;
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
  consider_whole_rows(problem, &best);
  consider_pieces(problem, &best);
  return best;
}

}  // namespace laconic::kernels
