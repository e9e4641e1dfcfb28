#include "kernels/conv_dense.h"

#include <algorithm>

#include "kernels/conv_dense_plan.h"
#include "kernels/conv_dense_weights.h"
#include "kernels/conv_slab.h"
#include "kernels/conv_winograd.h"
#include "kernels/dense_tile.h"

namespace laconic::kernels {

namespace {

constexpr std::size_t LINE = 64;

std::size_t line_bytes(std::int64_t bytes) {
  return (static_cast<std::size_t>(bytes) + LINE - 1) / LINE * LINE;
}

// What a thread has of its own: the planes and unfinished sums of a run of channels. Threads that
// split the outputs of a piece share the planes of all channels.
struct Workplace {
  float *slab, *sums;
};

// A piece of a run: the outputs of one group at some pixels of one image.
struct Piece {
  std::int64_t image, group;
  std::int64_t first_unit, units, first_pixel, pixels;
};

class DenseConvPlan final : public ConvPlan {
 public:
  DenseConvPlan(const DenseConv& weights, const ConvShape& shape)
      : weights_(weights),
        layout_(shape, weights.tile().lanes, weights.tile().rows, weights.channels()) {}

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    const ConvCut cut = layout_.cut(images, threads);
    const Sizes sizes(layout_, cut);
    return sizes.offsets +
           sizes.place() * static_cast<std::size_t>(cut.split_outputs ? 1 : threads);
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override;

 private:
  // Bytes of the parts of the scratch.
  struct Sizes {
    std::size_t offsets, slab = 0, sums = 0;
    Sizes(const ConvLayout& layout, const ConvCut& cut);
    std::size_t place() const { return slab + sums; }
  };

  struct Run {
    const float* x;
    float* y;
    const Epilogue& epilogue;
    ConvCut cut;
    const std::int32_t* offsets;
  };

  std::int64_t channels() const { return layout_.shape.channels / layout_.shape.groups; }
  Piece piece(const ConvCut& cut, std::int64_t index) const;
  void fill(const Run& run, const Piece& piece, std::int64_t channel, std::int64_t begin,
            std::int64_t end, float* slab) const;
  PixelTile tile(const Run& run, const Piece& piece, std::int64_t channel, float* slab) const;
  void move(PixelTile& tile, const Run& run, const Piece& piece, std::int64_t pixel,
            std::int64_t output) const;
  void multiply(const Run& run, const Piece& piece, std::int64_t channel, std::int64_t begin,
                std::int64_t end, const Workplace& place) const;
  void multiply_lone(const Run& run, const Piece& piece, std::int64_t channel, std::int64_t begin,
                     std::int64_t end, const Workplace& place) const;
  void run_pieces(const Run& run, std::int64_t begin, std::int64_t end,
                  const Workplace& place) const;
  void run_together(const Run& run, std::int64_t pieces, const Workplace& place, Pool& pool) const;

  const DenseConv& weights_;
  ConvLayout layout_;
};

DenseConvPlan::Sizes::Sizes(const ConvLayout& layout, const ConvCut& cut) {
  const ConvShape& shape = layout.shape;
  const std::int64_t kernel = shape.kernel_height * shape.kernel_width;
  offsets = line_bytes(layout.channels * kernel * 4);
  const std::int64_t all = shape.channels / shape.groups;
  const std::int64_t filled = cut.split_outputs ? all : layout.channels;
  if (!layout.in_place) slab = line_bytes(filled * cut.channel_floats * 4);
  if (layout.channels < all) {
    const std::int64_t vectors =
        (cut.units * layout.unit_pixels() + layout.lanes - 1) / layout.lanes;
    const auto blocks = static_cast<std::int64_t>(layout.blocks.size());
    sums = line_bytes(blocks * vectors * layout.rows * layout.lanes * 4);
  }
}

Piece DenseConvPlan::piece(const ConvCut& cut, std::int64_t index) const {
  const ConvShape& shape = layout_.shape;
  Piece piece{};
  piece.group = index % shape.groups;
  index /= shape.groups;
  piece.image = index / cut.pieces;
  piece.first_unit = index % cut.pieces * cut.units;
  piece.units = std::min(cut.units, layout_.units() - piece.first_unit);
  piece.first_pixel = piece.first_unit * layout_.unit_pixels();
  piece.pixels = std::min(piece.units * layout_.unit_pixels(),
                          shape.out_height * shape.out_width - piece.first_pixel);
  return piece;
}

// Copies channels begin to before end, of those from `channel` on.
void DenseConvPlan::fill(const Run& run, const Piece& piece, std::int64_t channel,
                         std::int64_t begin, std::int64_t end, float* slab) const {
  const ConvShape& shape = layout_.shape;
  SlabPlane plane{};
  plane.height = shape.height;
  plane.width_in = shape.width;
  plane.step_y = shape.stride_y;
  plane.step_x = shape.stride_x;
  plane.rows = piece.units + layout_.y.extra;
  plane.width = shape.out_width;
  const std::int64_t first = piece.image * shape.channels + piece.group * channels() + channel;
  for (std::int64_t c = begin; c < end; ++c) {
    plane.from = run.x + (first + c) * shape.height * shape.width;
    plane.to = slab + c * run.cut.channel_floats;
    for (const std::int64_t first_y : layout_.y.first) {
      plane.first_y = piece.first_unit * shape.stride_y + first_y - shape.pad_top;
      for (const std::int64_t first_x : layout_.x.first) {
        plane.first_x = first_x - shape.pad_left;
        weights_.slab().copy(plane);
        plane.to += run.cut.plane_rows * shape.out_width;
      }
    }
  }
}

// What all tiles of a piece have in common, for the run of channels that begins at `channel`.
PixelTile DenseConvPlan::tile(const Run& run, const Piece& piece, std::int64_t channel,
                              float* slab) const {
  const ConvShape& shape = layout_.shape;
  const std::int64_t plane = shape.height * shape.width;
  const std::int64_t count = std::min(layout_.channels, channels() - channel);
  PixelTile tile{};
  tile.inputs =
      layout_.in_place
          ? run.x + piece.first_pixel +
                (piece.image * shape.channels + piece.group * channels() + channel) * plane
          : slab;
  tile.offsets = run.offsets;
  tile.depth = count * shape.kernel_height * shape.kernel_width;
  tile.last = layout_.lanes;
  tile.resume = channel > 0;
  tile.unfinished = channel + count < channels();
  tile.y_row = shape.out_height * shape.out_width;
  tile.finish.low = run.epilogue.low;
  tile.finish.high = run.epilogue.high;
  return tile;
}

// To the outputs from `output` of the group on, at the pixels from `pixel` of the piece on.
void DenseConvPlan::move(PixelTile& tile, const Run& run, const Piece& piece, std::int64_t pixel,
                         std::int64_t output) const {
  const ConvShape& shape = layout_.shape;
  const Epilogue& epilogue = run.epilogue;
  output += piece.group * (shape.outputs / shape.groups);
  const std::int64_t place =
      (piece.image * shape.outputs + output) * tile.y_row + piece.first_pixel + pixel;
  tile.y = run.y + place;
  tile.finish.scale = epilogue.scale ? epilogue.scale + output : nullptr;
  tile.finish.bias = epilogue.bias ? epilogue.bias + output : nullptr;
  tile.finish.addend = epilogue.addend ? epilogue.addend + place : nullptr;
}

// Multiplies a run of channels by the output blocks begin to before end. What a tile reads stays in
// the first cache while the blocks pass by.
void DenseConvPlan::multiply(const Run& run, const Piece& piece, std::int64_t channel,
                             std::int64_t begin, std::int64_t end, const Workplace& place) const {
  const std::int64_t vectors = layout_.count(piece.pixels).vectors;
  PixelTile own = tile(run, piece, channel, place.slab);
  const float* inputs = own.inputs;
  for (std::int64_t v = 0; v < vectors;) {
    const std::int64_t left = vectors - v;
    const int width = left == 4 ? 2 : static_cast<int>(std::min<std::int64_t>(left, MAX_VECTORS));
    const std::int64_t pixel = v * layout_.lanes;
    own.inputs = inputs + pixel;
    if (width == left) {
      own.last = static_cast<int>(std::min<std::int64_t>(
          layout_.lanes, piece.pixels - pixel - (width - 1) * layout_.lanes));
      // Where the image is read in place, nothing beyond it may be.
      own.partial_loads = layout_.in_place && own.last < layout_.lanes;
    }
    for (std::int64_t b = begin; b < end; ++b) {
      const OutputBlock& block = layout_.blocks[static_cast<std::size_t>(b)];
      move(own, run, piece, pixel, block.first);
      own.weights = weights_.at(piece.group, channel, block);
      own.rows = block.rows;
      if (place.sums) own.sums = place.sums + (b * vectors + v) * layout_.rows * layout_.lanes;
      weights_.tile().pixels(own, block.packed, width);
    }
    v += width;
  }
  multiply_lone(run, piece, channel, begin, end, place);
}

void DenseConvPlan::multiply_lone(const Run& run, const Piece& piece, std::int64_t channel,
                                  std::int64_t begin, std::int64_t end,
                                  const Workplace& place) const {
  const PixelCount count = layout_.count(piece.pixels);
  const auto blocks = static_cast<std::int64_t>(layout_.blocks.size());
  const OutputBlock& first = layout_.blocks[static_cast<std::size_t>(begin)];
  const OutputBlock& last = layout_.blocks[static_cast<std::size_t>(end - 1)];
  for (std::int64_t i = 0; i < count.lone; ++i) {
    const std::int64_t pixel = count.vectors * layout_.lanes + i;
    LonePixel lone{};
    lone.tile = tile(run, piece, channel, place.slab);
    lone.tile.inputs += pixel;
    move(lone.tile, run, piece, pixel, first.first);
    lone.tile.weights = weights_.at(piece.group, channel, first);
    lone.block_weights = lone.tile.depth * layout_.rows;
    lone.outputs = last.first + last.rows - first.first;
    if (place.sums) {
      lone.tile.sums = place.sums + (count.vectors * layout_.lanes + i) * blocks * layout_.rows +
                       begin * layout_.rows;
    }
    weights_.tile().lone_pixel(lone);
  }
}

// Each piece by one thread.
void DenseConvPlan::run_pieces(const Run& run, std::int64_t begin, std::int64_t end,
                               const Workplace& place) const {
  const auto blocks = static_cast<std::int64_t>(layout_.blocks.size());
  for (; begin < end; ++begin) {
    const Piece own = piece(run.cut, begin);
    for (std::int64_t channel = 0; channel < channels(); channel += layout_.channels) {
      const std::int64_t count = std::min(layout_.channels, channels() - channel);
      if (!layout_.in_place) fill(run, own, channel, 0, count, place.slab);
      multiply(run, own, channel, 0, blocks, place);
    }
  }
}

// Each piece by all threads, which share its outputs.
void DenseConvPlan::run_together(const Run& run, std::int64_t pieces, const Workplace& place,
                                 Pool& pool) const {
  const auto blocks = static_cast<std::int64_t>(layout_.blocks.size());
  for (std::int64_t index = 0; index < pieces; ++index) {
    const Piece common = piece(run.cut, index);
    if (!layout_.in_place) {
      pool.split(channels(), [&](std::int64_t begin, std::int64_t end, int) {
        fill(run, common, 0, begin, end, place.slab);
      });
    }
    pool.split(blocks, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t channel = 0; channel < channels(); channel += layout_.channels) {
        Workplace part = place;
        part.slab += channel * run.cut.channel_floats;
        multiply(run, common, channel, begin, end, part);
      }
    });
  }
}

void DenseConvPlan::run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
                        std::byte* scratch, Pool& pool) const {
  Run run{x, y, epilogue, layout_.cut(images, pool.threads()), nullptr};
  const Sizes sizes(layout_, run.cut);
  auto* offsets = reinterpret_cast<std::int32_t*>(scratch);
  layout_.offsets(run.cut, offsets);
  run.offsets = offsets;
  const auto workplace = [&](int worker) {
    std::byte* from = scratch + sizes.offsets + sizes.place() * static_cast<std::size_t>(worker);
    return Workplace{reinterpret_cast<float*>(from),
                     sizes.sums ? reinterpret_cast<float*>(from + sizes.slab) : nullptr};
  };
  const std::int64_t pieces = images * run.cut.pieces * layout_.shape.groups;
  if (run.cut.split_outputs) {
    run_together(run, pieces, workplace(0), pool);
  } else {
    pool.split(pieces, [&](std::int64_t begin, std::int64_t end, int worker) {
      run_pieces(run, begin, end, workplace(worker));
    });
  }
}

}  // namespace

std::unique_ptr<ConvPlan> DenseConv::plan(const ConvShape& shape) const {
  return std::make_unique<DenseConvPlan>(*this, shape);
}

std::unique_ptr<ConvWeights> dense_conv(const float* weights, const ConvShape& shape) {
  if (prefers_winograd(shape)) return winograd_conv(weights, shape);
  return std::make_unique<DenseConv>(weights, shape);
}

}  // namespace laconic::kernels
