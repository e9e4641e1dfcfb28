#include "kernels/conv_winograd.h"

#include <algorithm>
#include <vector>

#include "kernels/channel_lanes.h"
#include "kernels/winograd_tiles.h"

namespace laconic::kernels {

namespace {

// Floats of the tiles and products of a piece: they should stay in the second cache, but many
// weights must not be read for a few tiles.
constexpr std::int64_t LEAST_FLOATS = 64 * 1024, MOST_FLOATS = 2048 * 1024;
constexpr std::int64_t MOST_LANES = 16, VALUES = WINOGRAD_VALUES;

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// G w G^T of one 3x3 filter.
void transform_weights(const float* w, float* to) {
  float rows[4][3];
  for (int x = 0; x < 3; ++x) {
    const float a = w[x], b = w[3 + x], c = w[6 + x];
    rows[0][x] = a;
    rows[1][x] = 0.5f * (a + b + c);
    rows[2][x] = 0.5f * (a - b + c);
    rows[3][x] = c;
  }
  for (int y = 0; y < 4; ++y) {
    const float a = rows[y][0], b = rows[y][1], c = rows[y][2];
    to[4 * y] = a;
    to[4 * y + 1] = 0.5f * (a + b + c);
    to[4 * y + 2] = 0.5f * (a - b + c);
    to[4 * y + 3] = c;
  }
}

class WinogradConv final : public ConvWeights {
 public:
  // Packed as [value][panel][channels][its columns].
  WinogradConv(const float* weights, const ConvShape& shape)
      : shape_(shape), tiles_(winograd_tiles()), lanes_(channel_lanes()) {
    const std::int64_t lanes = tiles_.lanes, channels = shape.channels;
    const std::int64_t vectors = up(shape.outputs, lanes);
    packed_.assign(static_cast<std::size_t>(VALUES * channels * vectors * lanes), 0.0f);
    for (std::int64_t v = 0; v < vectors;) {
      const std::int64_t left = vectors - v;
      const std::int64_t width = left == 4 ? 2 : std::min<std::int64_t>(left, 3);
      const std::int64_t end = std::min(shape.outputs, (v + width) * lanes);
      for (std::int64_t o = v * lanes; o < end; ++o) {
        for (std::int64_t c = 0; c < channels; ++c) {
          float values[VALUES];
          transform_weights(weights + (o * channels + c) * 9, values);
          for (std::int64_t i = 0; i < VALUES; ++i) {
            const std::int64_t panel = (i * vectors + v) * lanes * channels;
            packed_[static_cast<std::size_t>(panel + c * width * lanes + o - v * lanes)] =
                values[i];
          }
        }
      }
      v += width;
    }
  }

  const char* form() const override { return "winograd"; }
  std::size_t bytes() const override { return packed_.size() * sizeof(float); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override;

  const WinogradKernels& tiles() const { return tiles_; }
  const ChannelLanesKernels& lanes() const { return lanes_; }
  const float* packed() const { return packed_.data(); }

 private:
  ConvShape shape_;
  const WinogradKernels& tiles_;
  const ChannelLanesKernels& lanes_;
  std::vector<float> packed_;
};

// What a thread works on at a time: some rows of tiles of an image, or several whole images.
// Sizes are in floats.
struct Piece {
  std::int64_t images, rows;   // rows of tiles, of each image
  std::int64_t width;          // of tiles
  std::int64_t row;            // of padded inputs of LANES channels
  std::int64_t tile, product;  // of a tile's channels, and outputs
  std::int64_t value, product_value;
  std::int64_t pixels;  // of the inputs or outputs of LANES channels

  Piece(const ConvShape& shape, std::int64_t lanes, std::int64_t images_, std::int64_t rows_)
      : images(images_), rows(rows_) {
    width = up(shape.out_width, 2);
    row = std::max(2 * width + 2, shape.pad_left + shape.width) * lanes;
    tile = up(shape.channels, lanes) * lanes;
    product = up(shape.outputs, lanes) * lanes;
    // Odd numbers of cache lines, so that a tile's values do not share the sets of a cache.
    value = up(images * rows * width * tile, 32) * 32 + 16;
    product_value = up(images * rows * width * product, 32) * 32 + 16;
    pixels = std::max((2 * rows + 2) * row, up(2 * rows * shape.out_width, lanes) * lanes * lanes);
    pixels = up(pixels, 16) * 16;
  }
  std::int64_t floats() const { return pixels + VALUES * (value + product_value); }
};

// The rows and images of a piece: what the cache holds, but as many pieces as there are threads.
Piece piece_for(const ConvShape& shape, std::int64_t lanes, std::int64_t images, int threads) {
  const Piece one(shape, lanes, 1, 1);
  const std::int64_t tile_rows = std::max<std::int64_t>(1, up(shape.out_height, 2));
  const std::int64_t room =
      std::clamp(VALUES / 2 * one.tile * one.product, LEAST_FLOATS, MOST_FLOATS);
  std::int64_t rows = std::max<std::int64_t>(1, room / one.floats());
  if (images % threads != 0) rows = std::min(rows, up(tile_rows, threads));
  if (rows >= tile_rows) {
    const std::int64_t group = std::min(rows / tile_rows, images / threads);
    return Piece(shape, lanes, std::max<std::int64_t>(1, group), tile_rows);
  }
  return Piece(shape, lanes, 1, up(tile_rows, up(tile_rows, rows)));
}

class WinogradPlan final : public ConvPlan {
 public:
  WinogradPlan(const WinogradConv& weights, const ConvShape& shape)
      : weights_(weights),
        shape_(shape),
        lanes_(weights.tiles().lanes),
        tile_rows_(up(shape.out_height, 2)) {
    const Piece most = piece(1, 1);
    for (std::int64_t y = 0; y < std::min(2 * most.rows + 2, shape.height); ++y) {
      for (std::int64_t x = 0; x < shape.width; ++x) {
        places_.push_back(static_cast<std::int32_t>(y * most.row + (shape.pad_left + x) * lanes_));
      }
    }
  }

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    return static_cast<std::size_t>(piece(images, threads).floats() * threads) * sizeof(float);
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override {
    const Piece most = piece(images, pool.threads());
    const std::int64_t strips = up(tile_rows_, most.rows);
    const std::int64_t pieces = up(images, most.images) * strips;
    pool.split(pieces, [&](std::int64_t begin, std::int64_t end, int worker) {
      float* place = reinterpret_cast<float*>(scratch) + worker * most.floats();
      for (; begin < end; ++begin) {
        const std::int64_t first_image = begin / strips * most.images;
        const std::int64_t first_row = begin % strips * most.rows;
        const Part part{first_image, std::min(images, first_image + most.images), first_row,
                        std::min(most.rows, tile_rows_ - first_row)};
        run_part(most, part, x, y, epilogue, place);
      }
    });
  }

 private:
  // What there is of a piece.
  struct Part {
    std::int64_t first_image, end_image, first_row, rows;
  };

  Piece piece(std::int64_t images, int threads) const {
    return piece_for(shape_, lanes_, images, threads);
  }
  void run_part(const Piece& sizes, const Part& part, const float* x, float* y,
                const Epilogue& epilogue, float* place) const;
  void inputs(const Piece& sizes, const Part& part, const float* x, float* pixels,
              float* values) const;
  void outputs(const Piece& sizes, const Part& part, float* y, std::int64_t image,
               const Epilogue& epilogue, float* pixels, const float* products) const;

  const WinogradConv& weights_;
  ConvShape shape_;
  std::int64_t lanes_, tile_rows_;
  std::vector<std::int32_t> places_;  // of the pixels of a piece's input rows
};

// Of the image at x.
void WinogradPlan::inputs(const Piece& sizes, const Part& part, const float* x, float* pixels,
                          float* values) const {
  const std::int64_t plane = shape_.height * shape_.width;
  // Input rows from `top` on, of which those from `above` to before `inside` exist.
  const std::int64_t padded = 2 * part.rows + 2, top = 2 * part.first_row - shape_.pad_top;
  const std::int64_t above = std::clamp<std::int64_t>(-top, 0, padded);
  const std::int64_t inside = std::clamp(shape_.height - top, above, padded);
  std::fill(pixels, pixels + padded * sizes.row, 0.0f);
  for (std::int64_t c = 0; c < shape_.channels; c += lanes_) {
    if (inside > above) {
      std::int64_t channels[MOST_LANES];
      for (std::int64_t lane = 0; lane < lanes_; ++lane) {
        channels[lane] = std::min(c + lane, shape_.channels - 1) * plane;
      }
      weights_.lanes().gather({x + (top + above) * shape_.width, channels,
                               (inside - above) * shape_.width, places_.data(),
                               pixels + above * sizes.row});
    }
    weights_.tiles().input(
        {pixels, sizes.row, part.rows, sizes.width, values + c, sizes.value, sizes.tile});
  }
}

void WinogradPlan::outputs(const Piece& sizes, const Part& part, float* y, std::int64_t image,
                           const Epilogue& epilogue, float* pixels, const float* products) const {
  const std::int64_t plane = shape_.out_height * shape_.out_width;
  const std::int64_t out_rows = std::min(2 * part.rows, shape_.out_height - 2 * part.first_row);
  for (std::int64_t o = 0; o < shape_.outputs; o += lanes_) {
    const int count = static_cast<int>(std::min(lanes_, shape_.outputs - o));
    weights_.tiles().output({products + o, sizes.product_value, sizes.product, part.rows,
                             sizes.width, out_rows, shape_.out_width, pixels, count,
                             epilogue.scale ? epilogue.scale + o : nullptr,
                             epilogue.bias ? epilogue.bias + o : nullptr});
    const std::int64_t at =
        (image * shape_.outputs + o) * plane + 2 * part.first_row * shape_.out_width;
    weights_.lanes().scatter({pixels, out_rows * shape_.out_width, y + at, plane, count,
                              epilogue.addend ? epilogue.addend + at : nullptr, epilogue.low,
                              epilogue.high});
  }
}

void WinogradPlan::run_part(const Piece& sizes, const Part& part, const float* x, float* y,
                            const Epilogue& epilogue, float* place) const {
  const std::int64_t tiles = part.rows * sizes.width;
  float* values = place + sizes.pixels;
  float* products = values + VALUES * sizes.value;
  for (std::int64_t image = part.first_image; image < part.end_image; ++image) {
    inputs(sizes, part, x + image * shape_.channels * shape_.height * shape_.width, place,
           values + (image - part.first_image) * tiles * sizes.tile);
  }
  weights_.tiles().multiply({values, sizes.value, sizes.tile, weights_.packed(), shape_.channels,
                             sizes.product / lanes_, products, sizes.product_value,
                             (part.end_image - part.first_image) * tiles});
  for (std::int64_t image = part.first_image; image < part.end_image; ++image) {
    outputs(sizes, part, y, image, epilogue, place,
            products + (image - part.first_image) * tiles * sizes.product);
  }
}

std::unique_ptr<ConvPlan> WinogradConv::plan(const ConvShape& shape) const {
  return std::make_unique<WinogradPlan>(*this, shape);
}

}  // namespace

double winograd_conv_cost(const ConvShape& shape) {
  const std::int64_t lanes = winograd_tiles().lanes;
  const Piece piece = piece_for(shape, lanes, 1, 1);
  const auto count = [](std::int64_t number) { return static_cast<double>(number); };
  const double tiles = count(up(shape.out_height, 2) * piece.width);
  const double vectors = count(piece.product / lanes), blocks = count(piece.tile / lanes);
  // Cycles of moving and transforming a vector, and of multiplying one.
  const double moved = 4 * count(shape.height * shape.width) * blocks +
                       4 * count(shape.out_height * shape.out_width) * vectors;
  const double transformed = tiles * 22 * (blocks + vectors);
  const double started = piece.product == lanes ? 8 : 2;  // a single vector leaves little to do
  const double multiplied = VALUES * tiles * vectors * (0.53 * count(shape.channels) + started);
  // Weights beyond the second cache are read for every piece.
  const double strips = count(up(up(shape.out_height, 2), piece.rows));
  const double weights = VALUES * vectors * count(shape.channels * lanes);
  const double read = weights > 256e3 ? 0.1 * strips * weights : 0;
  const double cycle = instructions() == Instructions::portable ? 0.6 : 0.28;
  return 500 + (moved + transformed + multiplied + read) * cycle;
}

std::unique_ptr<ConvWeights> winograd_conv(const float* weights, const ConvShape& shape) {
  return std::make_unique<WinogradConv>(weights, shape);
}

}  // namespace laconic::kernels
