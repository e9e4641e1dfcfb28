#include "kernels/conv_dense_plan.h"

#include <algorithm>

#include "kernels/dense_tile.h"

namespace laconic::kernels {

namespace {

// Floats that a tile may read again and again from the first cache; of a slab and of unfinished
// sums in the second.
constexpr std::int64_t TILE_FLOATS = 8 * 1024, SLAB_FLOATS = 96 * 1024, SUM_FLOATS = 128 * 1024;
// A shorter depth makes the keeping of unfinished sums dear.
constexpr std::int64_t SHORTEST_DEPTH = 96;
// More pixels than this fill a vector well enough.
constexpr std::int64_t MOST_LONE = 6;
// Cycles of a round of the pool, of copying one vector into a slab, of starting and ending a tile.
constexpr double ROUND_CYCLES = 4000, COPY_CYCLES = 3, TILE_CYCLES = 60;

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

std::vector<OutputBlock> output_blocks(std::int64_t outputs, int rows) {
  std::vector<OutputBlock> blocks;
  std::int64_t column = 0;
  for (std::int64_t first = 0; first < outputs;) {
    const int used = static_cast<int>(std::min<std::int64_t>(rows, outputs - first));
    int packed = rows;
    while (packed / 2 >= used) packed /= 2;
    blocks.push_back({first, column, used, packed});
    column += packed;
    first += used;
  }
  return blocks;
}

std::int64_t channels_at_a_time(const ConvShape& shape, int lanes) {
  const std::int64_t channels = shape.channels / shape.groups;
  const std::int64_t kernel = shape.kernel_height * shape.kernel_width;
  // Of one channel: kernel rows that lie apart, or that overlap.
  const std::int64_t tile = MAX_VECTORS * lanes + 16;
  const std::int64_t reach = (shape.kernel_height - 1) * shape.dilation_y * shape.out_width;
  const std::int64_t reads =
      shape.kernel_width * std::min(tile * shape.kernel_height, tile + reach);
  const std::int64_t most = std::max(TILE_FLOATS / reads, up(SHORTEST_DEPTH, kernel));
  return 2 * channels <= 3 * most ? channels : up(channels, up(channels, most));
}

SlabAxis SlabAxis::of(std::int64_t kernel, std::int64_t stride, std::int64_t dilation, bool every) {
  SlabAxis axis;
  for (std::int64_t at = 0; at < kernel; ++at) {
    const std::int64_t offset = at * dilation;
    const std::int64_t first = every ? offset : offset % stride;
    const std::int64_t shift = every ? 0 : offset / stride;
    auto found = std::find(axis.first.begin(), axis.first.end(), first);
    if (found == axis.first.end()) found = axis.first.insert(found, first);
    axis.places.push_back({found - axis.first.begin(), shift});
    axis.extra = std::max(axis.extra, shift);
  }
  return axis;
}

ConvLayout::ConvLayout(const ConvShape& shape_, int lanes_, int rows_, std::int64_t channels_)
    : shape(shape_), lanes(lanes_), rows(rows_), channels(channels_) {
  in_place = shape.kernel_height == 1 && shape.kernel_width == 1 && shape.stride_y == 1 &&
             shape.stride_x == 1 && shape.pad_top == 0 && shape.pad_left == 0 &&
             shape.out_height == shape.height && shape.out_width == shape.width &&
             channels * shape.height * shape.width <= INT32_MAX;
  x = SlabAxis::of(shape.kernel_width, shape.stride_x, shape.dilation_x, true);
  y = SlabAxis::of(shape.kernel_height, shape.stride_y, shape.dilation_y, false);
  blocks = output_blocks(shape.outputs / shape.groups, rows);
}

std::int64_t ConvLayout::unit_pixels() const {
  return in_place ? lanes * MAX_VECTORS : shape.out_width;
}

std::int64_t ConvLayout::units() const {
  return up(shape.out_height * shape.out_width, unit_pixels());
}

PixelCount ConvLayout::count(std::int64_t pixels) const {
  const std::int64_t last = pixels % lanes;
  if (last > 0 && last <= MOST_LONE && blocks.back().packed == rows) return {pixels / lanes, last};
  return {up(pixels, lanes), 0};
}

void ConvLayout::size(ConvCut& cut) const {
  cut.pieces = up(units(), cut.units);
  cut.plane_rows = cut.units + y.extra;
  if (in_place) return;
  const auto planes = static_cast<std::int64_t>(x.first.size() * y.first.size());
  // An odd number of cache lines, so that channels do not share the sets of a cache; at least 16
  // floats that are no part of a plane.
  cut.channel_floats = up(planes * cut.plane_rows * shape.out_width, 32) * 32 + 16;
}

std::int64_t ConvLayout::pixels(const ConvCut& cut) const {
  return std::min(cut.units * unit_pixels(), shape.out_height * shape.out_width);
}

// As many units as the second cache holds.
void ConvLayout::limit(ConvCut& cut) const {
  const bool sums = channels < shape.channels / shape.groups;
  size(cut);
  while (cut.units > 1 && ((!in_place && channels * cut.channel_floats > SLAB_FLOATS) ||
                           (sums && shape.outputs / shape.groups * pixels(cut) > SUM_FLOATS))) {
    cut.units = up(units(), up(units(), cut.units - 1));
    size(cut);
  }
}

// Cycles of multiplying some pixels by some blocks of outputs.
double ConvLayout::multiplying(std::int64_t pixels, std::int64_t output_blocks) const {
  const PixelCount counts = count(pixels);
  const double depth = static_cast<double>(shape.depth()) * rows;
  const double vector = depth / 2 + TILE_CYCLES / MAX_VECTORS;
  return static_cast<double>(output_blocks) * (static_cast<double>(counts.vectors) * vector +
                                               static_cast<double>(counts.lone) * depth / 16);
}

// Cycles of copying a piece's inputs.
double ConvLayout::copying(const ConvCut& cut) const {
  if (in_place) return 0;
  const std::int64_t floats = shape.channels / shape.groups * cut.channel_floats;
  return static_cast<double>(floats) / lanes * COPY_CYCLES;
}

ConvCut ConvLayout::cut(std::int64_t images, int threads) const {
  ConvCut chosen;
  chosen.units = std::max<std::int64_t>(units(), 1);
  limit(chosen);
  if (threads <= 1) return chosen;
  const ConvCut whole = chosen;
  const auto all_blocks = static_cast<std::int64_t>(blocks.size());
  double least = static_cast<double>(images * whole.pieces * shape.groups) *
                 (multiplying(pixels(whole), up(all_blocks, threads)) + copying(whole) / threads +
                  (in_place ? 1 : 2) * ROUND_CYCLES);
  chosen.split_outputs = true;
  for (std::int64_t parts = whole.pieces; parts <= std::min(whole.pieces + threads, units());
       ++parts) {
    ConvCut own = whole;
    own.units = up(units(), parts);
    size(own);
    const std::int64_t turns = up(images * own.pieces * shape.groups, threads);
    const double cost =
        static_cast<double>(turns) * (multiplying(pixels(own), all_blocks) + copying(own)) +
        ROUND_CYCLES;
    if (cost < least) {
      least = cost;
      chosen = own;
    }
  }
  return chosen;
}

double ConvLayout::cycles() const {
  const ConvCut whole = cut(1, 1);
  const auto all_blocks = static_cast<std::int64_t>(blocks.size());
  const std::int64_t last = shape.out_height * shape.out_width - (whole.pieces - 1) * pixels(whole);
  const double full = static_cast<double>(whole.pieces - 1);
  return static_cast<double>(shape.groups) *
         (full * multiplying(pixels(whole), all_blocks) + multiplying(last, all_blocks) +
          (full + 1) * copying(whole));
}

void ConvLayout::offsets(const ConvCut& cut, std::int32_t* offsets) const {
  if (in_place) {
    for (std::int64_t c = 0; c < channels; ++c) {
      *offsets++ = static_cast<std::int32_t>(c * shape.height * shape.width);
    }
    return;
  }
  const std::int64_t plane = cut.plane_rows * shape.out_width;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (const KernelPlace& down : y.places) {
      for (const KernelPlace& right : x.places) {
        const auto index = down.plane * static_cast<std::int64_t>(x.first.size()) + right.plane;
        *offsets++ = static_cast<std::int32_t>(c * cut.channel_floats + index * plane +
                                               down.shift * shape.out_width);
      }
    }
  }
}

}  // namespace laconic::kernels
