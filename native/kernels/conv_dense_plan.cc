#include "kernels/conv_dense_plan.h"

#include <algorithm>

namespace laconic::kernels {

namespace {

// Floats of a slab that stay in the second cache beside the weights.
constexpr std::int64_t SLAB_FLOATS = 96 * 1024;
// A shorter depth makes the keeping of unfinished sums dear.
constexpr std::int64_t SHORTEST_DEPTH = 512;
// Cycles of a round of the pool, and of copying one vector into a slab.
constexpr std::int64_t ROUND_CYCLES = 4000, COPY_CYCLES = 3;

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

std::vector<OutputBlock> output_blocks(std::int64_t outputs, std::int64_t depth, int rows) {
  std::vector<OutputBlock> blocks;
  std::int64_t place = 0;
  for (std::int64_t first = 0; first < outputs;) {
    const int used = static_cast<int>(std::min<std::int64_t>(rows, outputs - first));
    int packed = rows;
    while (packed / 2 >= used) packed /= 2;
    blocks.push_back({first, place, used, packed});
    place += depth * packed;
    first += used;
  }
  return blocks;
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

ConvLayout::ConvLayout(const ConvShape& shape_, int lanes_, int rows_)
    : shape(shape_), lanes(lanes_), rows(rows_) {
  in_place = shape.kernel_height == 1 && shape.kernel_width == 1 && shape.stride_y == 1 &&
             shape.stride_x == 1 && shape.pad_top == 0 && shape.pad_left == 0 &&
             shape.out_height == shape.height && shape.out_width == shape.width &&
             shape.channels / shape.groups * shape.height * shape.width <= INT32_MAX;
  // One plane for all kernel columns is cheaper to copy; but vectors then end with the row.
  const std::int64_t row_vectors = up(shape.out_width, lanes);
  by_row = !in_place && row_vectors * lanes * 32 <= shape.out_width * 33;
  x = SlabAxis::of(shape.kernel_width, shape.stride_x, shape.dilation_x, !by_row);
  y = SlabAxis::of(shape.kernel_height, shape.stride_y, shape.dilation_y, false);
  slab_width = shape.out_width + x.extra;
  blocks = output_blocks(shape.outputs / shape.groups, shape.depth(), rows);
}

std::int64_t ConvLayout::unit_pixels() const {
  return in_place ? lanes * MAX_VECTORS : shape.out_width;
}

std::int64_t ConvLayout::units() const {
  return up(shape.out_height * shape.out_width, unit_pixels());
}

std::int64_t ConvLayout::vectors(std::int64_t pixels) const {
  if (!by_row) return up(pixels, lanes);
  return pixels / shape.out_width * up(shape.out_width, lanes);
}

void ConvLayout::size(ConvCut& cut) const {
  cut.pieces = up(units(), cut.units);
  cut.plane_rows = cut.units + y.extra;
  if (in_place) {
    cut.channel_floats = cut.units * unit_pixels();
    return;
  }
  const auto planes = static_cast<std::int64_t>(x.first.size() * y.first.size());
  // An odd number of cache lines, so that channels do not share the sets of a cache.
  cut.channel_floats = up(planes * cut.plane_rows * slab_width + 16, 32) * 32 + 16;
}

// The most units, then the most channels, whose inputs fit in the cache.
void ConvLayout::limit(ConvCut& cut) const {
  const std::int64_t channels = shape.channels / shape.groups;
  const std::int64_t kernel = shape.kernel_height * shape.kernel_width;
  const std::int64_t least = std::min(channels, up(SHORTEST_DEPTH, kernel));
  size(cut);
  while (cut.units > 1 && least * cut.channel_floats > SLAB_FLOATS) {
    cut.units = up(units(), up(units(), cut.units - 1));
    size(cut);
  }
  cut.channels = std::min(channels, std::max(least, SLAB_FLOATS / cut.channel_floats));
  cut.channels = up(channels, up(channels, cut.channels));
}

ConvCut ConvLayout::cut(std::int64_t images, int threads) const {
  ConvCut whole;
  whole.units = std::max<std::int64_t>(units(), 1);
  limit(whole);
  if (threads <= 1) return whole;
  // Estimates of cycles: of multiplying a piece, of copying what it reads.
  const auto multiplying = [&](const ConvCut& cut, std::int64_t output_blocks) {
    const std::int64_t tile = shape.depth() * rows * lanes / 32 + 20;
    return vectors(cut.units * unit_pixels()) * output_blocks * tile;
  };
  const auto copying = [&](const ConvCut& cut) {
    if (in_place) return std::int64_t{0};
    return shape.channels / shape.groups * cut.channel_floats / lanes * COPY_CYCLES;
  };
  const auto all_blocks = static_cast<std::int64_t>(blocks.size());
  ConvCut chosen = whole;
  chosen.split_outputs = true;
  std::int64_t least =
      images * whole.pieces * shape.groups *
      (multiplying(whole, up(all_blocks, threads)) + copying(whole) / threads + ROUND_CYCLES);
  for (std::int64_t parts = whole.pieces; parts <= std::min(whole.pieces + threads, units());
       ++parts) {
    ConvCut own = whole;
    own.units = up(units(), parts);
    size(own);
    const std::int64_t turns = up(images * own.pieces * shape.groups, threads);
    const std::int64_t cost = turns * (multiplying(own, all_blocks) + copying(own));
    if (cost < least) {
      least = cost;
      chosen = own;
    }
  }
  return chosen;
}

void ConvLayout::offsets(const ConvCut& cut, std::int32_t* offsets) const {
  if (in_place) {
    for (std::int64_t c = 0; c < cut.channels; ++c) {
      *offsets++ = static_cast<std::int32_t>(c * shape.height * shape.width);
    }
    return;
  }
  const std::int64_t plane = cut.plane_rows * slab_width;
  for (std::int64_t c = 0; c < cut.channels; ++c) {
    for (const KernelPlace& down : y.places) {
      for (const KernelPlace& right : x.places) {
        const auto index = down.plane * static_cast<std::int64_t>(x.first.size()) + right.plane;
        *offsets++ = static_cast<std::int32_t>(c * cut.channel_floats + index * plane +
                                               down.shift * slab_width + right.shift);
      }
    }
  }
}

void ConvLayout::place(std::int64_t first, std::int64_t pixels, TileVector* to) const {
  const std::int64_t row = by_row ? shape.out_width : pixels;
  for (std::int64_t begin = 0; begin < pixels; begin += row) {
    for (std::int64_t at = 0; at < row; at += lanes) {
      const std::int64_t input = by_row ? begin / row * slab_width + at : begin + at;
      *to++ = {static_cast<std::int32_t>(in_place ? first + input : input),
               static_cast<std::int32_t>(first + begin + at),
               static_cast<int>(std::min<std::int64_t>(lanes, row - at))};
    }
  }
}

}  // namespace laconic::kernels
