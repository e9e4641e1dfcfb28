#include "kernels/conv_dense.h"

#include <algorithm>
#include <vector>

#include "kernels/conv_dense_plan.h"
#include "kernels/conv_slab.h"
#include "kernels/dense_tile.h"

namespace laconic::kernels {

namespace {

constexpr std::size_t LINE = 64;

std::size_t lines(std::size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

class DenseConv final : public ConvWeights {
 public:
  DenseConv(const float* weights, const ConvShape& shape)
      : shape_(shape), tile_(dense_tile()), slab_(conv_slab()) {
    const std::int64_t outputs = shape.outputs / shape.groups, depth = shape.depth();
    const std::vector<OutputBlock> blocks = output_blocks(outputs, depth, tile_.rows);
    for (const OutputBlock& block : blocks) group_ += depth * block.packed;
    packed_.assign(static_cast<std::size_t>(group_ * shape.groups), 0.0f);
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      for (const OutputBlock& block : blocks) {
        float* to = packed_.data() + g * group_ + block.weights;
        for (int row = 0; row < block.rows; ++row) {
          const float* from = weights + (g * outputs + block.first + row) * depth;
          for (std::int64_t k = 0; k < depth; ++k) to[k * block.packed + row] = from[k];
        }
      }
    }
  }

  const char* form() const override { return "dense"; }
  std::size_t bytes() const override { return packed_.size() * sizeof(float); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override;

  const DenseTileKernels& tile() const { return tile_; }
  const ConvSlabKernels& slab() const { return slab_; }
  const float* group(std::int64_t g) const { return packed_.data() + g * group_; }

 private:
  ConvShape shape_;
  const DenseTileKernels& tile_;
  const ConvSlabKernels& slab_;
  std::int64_t group_ = 0;  // floats of a group's packed weights
  std::vector<float> packed_;
};

// What a thread has of its own, or all share when they split the outputs of a piece.
struct Workplace {
  float* slab;
  float* sums;
  TileVector* vectors;
};

// A piece of a run: the outputs of one group at some pixels of one image.
struct Piece {
  std::int64_t image, group;
  std::int64_t first_unit, units, first_pixel, pixels, vectors;
};

class DenseConvPlan final : public ConvPlan {
 public:
  DenseConvPlan(const DenseConv& weights, const ConvShape& shape)
      : weights_(weights), layout_(shape, weights.tile().lanes, weights.tile().rows) {}

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    const Sizes sizes(layout_, layout_.cut(images, threads));
    const bool shared = layout_.cut(images, threads).split_outputs;
    return sizes.offsets + sizes.place() * static_cast<std::size_t>(shared ? 1 : threads);
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override;

 private:
  // Bytes of the parts of the scratch.
  struct Sizes {
    std::size_t offsets, slab, sums, vectors;
    Sizes(const ConvLayout& layout, const ConvCut& cut);
    std::size_t place() const { return slab + sums + vectors; }
  };

  struct Run {
    const float* x;
    float* y;
    const Epilogue& epilogue;
    ConvCut cut;
    const std::int32_t* offsets;
  };

  Piece piece(const ConvCut& cut, std::int64_t index) const;
  void fill(const Run& run, const Piece& piece, std::int64_t from_channel, std::int64_t begin,
            std::int64_t end, float* slab) const;
  void multiply(const Run& run, const Piece& piece, std::int64_t from_channel, std::int64_t begin,
                std::int64_t end, const Workplace& place) const;

  const DenseConv& weights_;
  ConvLayout layout_;
};

std::unique_ptr<ConvPlan> DenseConv::plan(const ConvShape& shape) const {
  ConvShape full = shape_;
  full.height = shape.height;
  full.width = shape.width;
  full.out_height = shape.out_height;
  full.out_width = shape.out_width;
  full.pad_top = shape.pad_top;
  full.pad_left = shape.pad_left;
  return std::make_unique<DenseConvPlan>(*this, full);
}

DenseConvPlan::Sizes::Sizes(const ConvLayout& layout, const ConvCut& cut) {
  const ConvShape& shape = layout.shape;
  const std::int64_t channels = shape.channels / shape.groups;
  const std::int64_t kernel = shape.kernel_height * shape.kernel_width;
  const auto count = static_cast<std::size_t>(layout.vectors(cut.units * layout.unit_pixels()));
  const auto tile = static_cast<std::size_t>(layout.rows * layout.lanes) * sizeof(float);
  offsets = lines(static_cast<std::size_t>(cut.channels * kernel) * sizeof(std::int32_t));
  slab = layout.in_place
             ? 0
             : lines(static_cast<std::size_t>(cut.channels * cut.channel_floats) * sizeof(float));
  sums = cut.channels < channels ? lines(layout.blocks.size() * count * tile) : 0;
  vectors = lines(count * sizeof(TileVector));
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
  piece.vectors = layout_.vectors(piece.pixels);
  return piece;
}

// Copies channels begin to before end, of those from `from_channel` on.
void DenseConvPlan::fill(const Run& run, const Piece& piece, std::int64_t from_channel,
                         std::int64_t begin, std::int64_t end, float* slab) const {
  if (layout_.in_place) return;
  const ConvShape& shape = layout_.shape;
  const std::int64_t channels = shape.channels / shape.groups;
  SlabPlane plane{};
  plane.height = shape.height;
  plane.width_in = shape.width;
  plane.step_y = shape.stride_y;
  plane.step_x = shape.stride_x;
  plane.rows = piece.units + layout_.y.extra;
  plane.width = layout_.slab_width;
  for (std::int64_t c = begin; c < end; ++c) {
    const std::int64_t channel =
        piece.image * shape.channels + piece.group * channels + from_channel + c;
    plane.from = run.x + channel * shape.height * shape.width;
    plane.to = slab + c * run.cut.channel_floats;
    for (const std::int64_t first_y : layout_.y.first) {
      plane.first_y = piece.first_unit * shape.stride_y + first_y - shape.pad_top;
      for (const std::int64_t first_x : layout_.x.first) {
        plane.first_x = first_x - shape.pad_left;
        weights_.slab().copy(plane);
        plane.to += run.cut.plane_rows * layout_.slab_width;
      }
    }
  }
}

// Multiplies the channels in the slab by the output blocks begin to before end. A block's weights
// stay in the first cache while all pixels of the piece pass by.
void DenseConvPlan::multiply(const Run& run, const Piece& piece, std::int64_t from_channel,
                             std::int64_t begin, std::int64_t end, const Workplace& place) const {
  const ConvShape& shape = layout_.shape;
  const std::int64_t channels = shape.channels / shape.groups;
  const std::int64_t outputs = shape.outputs / shape.groups;
  const std::int64_t kernel = shape.kernel_height * shape.kernel_width;
  const std::int64_t y_row = shape.out_height * shape.out_width;
  const std::int64_t count = std::min(run.cut.channels, channels - from_channel);
  PixelTile tile{};
  tile.inputs =
      layout_.in_place
          ? run.x + (piece.image * shape.channels + piece.group * channels + from_channel) *
                        shape.height * shape.width
          : place.slab;
  tile.offsets = run.offsets;
  tile.depth = count * kernel;
  tile.resume = from_channel > 0;
  tile.unfinished = from_channel + count < channels;
  tile.y_row = y_row;
  for (std::int64_t b = begin; b < end; ++b) {
    const OutputBlock& block = layout_.blocks[static_cast<std::size_t>(b)];
    const std::int64_t output = piece.group * outputs + block.first;
    const std::int64_t at = (piece.image * shape.outputs + output) * y_row;
    const Epilogue& epilogue = run.epilogue;
    tile.weights =
        weights_.group(piece.group) + block.weights + from_channel * kernel * block.packed;
    tile.rows = block.rows;
    tile.y = run.y + at;
    tile.finish = {epilogue.scale ? epilogue.scale + output : nullptr,
                   epilogue.bias ? epilogue.bias + output : nullptr,
                   epilogue.addend ? epilogue.addend + at : nullptr, epilogue.low, epilogue.high};
    for (std::int64_t v = 0; v < piece.vectors;) {
      const std::int64_t left = piece.vectors - v;
      const int vectors = left == 4 ? 2 : static_cast<int>(std::min<std::int64_t>(left, 3));
      tile.vectors = place.vectors + v;
      // Where the image is read in place, nothing beyond it may be.
      tile.partial_loads = layout_.in_place && tile.vectors[vectors - 1].count < layout_.lanes;
      tile.sums = place.sums + (b * piece.vectors + v) * layout_.rows * layout_.lanes;
      weights_.tile().pixels(tile, block.packed, vectors);
      v += vectors;
    }
  }
}

void DenseConvPlan::run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
                        std::byte* scratch, Pool& pool) const {
  const ConvShape& shape = layout_.shape;
  const std::int64_t channels = shape.channels / shape.groups;
  Run run{x, y, epilogue, layout_.cut(images, pool.threads()), nullptr};
  const Sizes sizes(layout_, run.cut);
  auto* offsets = reinterpret_cast<std::int32_t*>(scratch);
  layout_.offsets(run.cut, offsets);
  run.offsets = offsets;
  const auto workplace = [&](int worker) {
    std::byte* from = scratch + sizes.offsets + sizes.place() * static_cast<std::size_t>(worker);
    return Workplace{reinterpret_cast<float*>(from), reinterpret_cast<float*>(from + sizes.slab),
                     reinterpret_cast<TileVector*>(from + sizes.slab + sizes.sums)};
  };
  const auto blocks = static_cast<std::int64_t>(layout_.blocks.size());
  const std::int64_t pieces = images * run.cut.pieces * shape.groups;
  if (!run.cut.split_outputs) {
    pool.split(pieces, [&](std::int64_t begin, std::int64_t end, int worker) {
      const Workplace place = workplace(worker);
      for (std::int64_t index = begin; index < end; ++index) {
        const Piece own = piece(run.cut, index);
        layout_.place(own.first_pixel, own.pixels, place.vectors);
        for (std::int64_t from = 0; from < channels; from += run.cut.channels) {
          fill(run, own, from, 0, std::min(run.cut.channels, channels - from), place.slab);
          multiply(run, own, from, 0, blocks, place);
        }
      }
    });
    return;
  }
  const Workplace place = workplace(0);
  for (std::int64_t index = 0; index < pieces; ++index) {
    const Piece common = piece(run.cut, index);
    layout_.place(common.first_pixel, common.pixels, place.vectors);
    for (std::int64_t from = 0; from < channels; from += run.cut.channels) {
      if (!layout_.in_place) {
        pool.split(std::min(run.cut.channels, channels - from),
                   [&](std::int64_t begin, std::int64_t end, int) {
                     fill(run, common, from, begin, end, place.slab);
                   });
      }
      pool.split(blocks, [&](std::int64_t begin, std::int64_t end, int) {
        multiply(run, common, from, begin, end, place);
      });
    }
  }
}

}  // namespace

std::unique_ptr<ConvWeights> dense_conv(const float* weights, const ConvShape& shape) {
  return std::make_unique<DenseConv>(weights, shape);
}

}  // namespace laconic::kernels
