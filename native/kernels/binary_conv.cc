#include "kernels/binary_conv.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/scratch.h"
#include "kernels/signs.h"

namespace laconic::kernels {

namespace {

// Bytes of padded images that are worked on at once: more would leave the cache.
constexpr std::int64_t ROUND_BYTES = std::int64_t{1} << 20;
constexpr int MOST_WIDTH = 32;  // pixels in a tile

// Padded copies of an image, one for each phase of the strides that a tap meets, so that the inputs
// of neighbouring pixels are neighbours: [channels][phases][rows][pitch].
struct PaddedImage {
  struct Phase {
    std::int64_t y, x;
  };
  std::vector<Phase> phases;
  std::int64_t rows, pitch;

  explicit PaddedImage(const ConvShape& shape)
      : rows(shape.out_height + (shape.kernel_height - 1) * shape.dilation_y / shape.stride_y),
        pitch(shape.out_width + (shape.kernel_width - 1) * shape.dilation_x / shape.stride_x) {
    const auto phases_of = [](std::int64_t kernel, std::int64_t dilation, std::int64_t stride) {
      std::vector<std::int64_t> found;
      for (std::int64_t tap = 0; tap < kernel; ++tap) {
        const std::int64_t phase = tap * dilation % stride;
        if (std::find(found.begin(), found.end(), phase) == found.end()) found.push_back(phase);
      }
      return found;
    };
    for (std::int64_t y : phases_of(shape.kernel_height, shape.dilation_y, shape.stride_y)) {
      for (std::int64_t x : phases_of(shape.kernel_width, shape.dilation_x, shape.stride_x)) {
        phases.push_back({y, x});
      }
    }
  }

  std::int64_t channel_size() const {
    return static_cast<std::int64_t>(phases.size()) * rows * pitch;
  }

  // Where the input of output pixel 0 under a tap stands.
  std::int64_t offset(const ConvShape& shape, std::int64_t channel, std::int64_t ky,
                      std::int64_t kx) const {
    const std::int64_t y = ky * shape.dilation_y, x = kx * shape.dilation_x;
    std::int64_t phase = 0;
    while (phases[static_cast<std::size_t>(phase)].y != y % shape.stride_y ||
           phases[static_cast<std::size_t>(phase)].x != x % shape.stride_x) {
      ++phase;
    }
    return channel * channel_size() + (phase * rows + y / shape.stride_y) * pitch +
           x / shape.stride_x;
  }

  void fill(const ConvShape& shape, const float* channel, float* to) const {
    for (const Phase& phase : phases) {
      const std::int64_t x = phase.x - shape.pad_left, stride = shape.stride_x;
      const std::int64_t low = x < 0 ? std::min(pitch, (-x + stride - 1) / stride) : 0;
      const std::int64_t high =
          x < shape.width ? std::min(pitch, (shape.width - 1 - x) / stride + 1) : 0;
      for (std::int64_t row = 0; row < rows; ++row, to += pitch) {
        const std::int64_t y = row * shape.stride_y + phase.y - shape.pad_top;
        if (y < 0 || y >= shape.height || low >= high) {
          std::fill_n(to, pitch, 0.0f);
          continue;
        }
        std::fill_n(to, low, 0.0f);
        const float* from = channel + y * shape.width + x + low * stride;
        if (stride == 1) {
          std::memcpy(to + low, from, static_cast<std::size_t>(high - low) * sizeof(float));
        } else {
          for (std::int64_t i = low; i < high; ++i, from += stride) to[i] = *from;
        }
        std::fill_n(to + high, pitch - high, 0.0f);
      }
    }
  }
};

class Plan final : public ConvPlan {
 public:
  Plan(const std::uint64_t* signs, const float* alphas, const ConvShape& shape)
      : signs_(signs),
        alphas_(alphas),
        shape_(shape),
        kernels_(binary_conv()),
        padded_(shape),
        channels_(shape.channels / shape.groups),
        outputs_(shape.outputs / shape.groups),
        pixels_((shape.out_height - 1) * padded_.pitch + shape.out_width) {
    for (std::int64_t c = 0; c < channels_; ++c) {
      for (std::int64_t ky = 0; ky < shape.kernel_height; ++ky) {
        for (std::int64_t kx = 0; kx < shape.kernel_width; ++kx) {
          offsets_.push_back(padded_.offset(shape, c, ky, kx));
        }
      }
    }
  }

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    return memory(nullptr, images, threads).bytes;
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override;

 private:
  struct Memory {
    float* padded;  // of the images of one round
    float* tables;  // of one worker; so are the sums
    float* sums;
    std::int64_t worker_tables, worker_sums;  // sizes
    std::size_t bytes;
  };

  std::int64_t image_size() const { return shape_.channels * padded_.channel_size(); }
  std::int64_t images_in_round(std::int64_t images) const {
    const std::int64_t fit = ROUND_BYTES / (image_size() * 4 + 1);
    return std::clamp(fit, std::int64_t{1}, std::max(images, std::int64_t{1}));
  }
  Memory memory(std::byte* begin, std::int64_t images, int threads) const {
    Memory out{};
    Pieces pieces(begin);
    out.worker_tables = BINARY_BLOCK / 4 * BINARY_PATTERNS * kernels_.width;
    out.worker_sums = (outputs_ + 1) * kernels_.width;
    out.padded = pieces.take<float>(images_in_round(images) * image_size() + kernels_.width);
    out.tables = pieces.take<float>(threads * out.worker_tables);
    out.sums = pieces.take<float>(threads * out.worker_sums);
    out.bytes = pieces.bytes();
    return out;
  }

  // Outputs `first` to before `last` of a group at the pixels from `pixel` on.
  void multiply(const float* group_image, std::int64_t group, std::int64_t pixel,
                std::int64_t first, std::int64_t last, float* tables, float* sums) const;
  // Neighbouring places of a tile that are neighbours in y too; the rest of a tile is no pixel.
  struct Segment {
    std::int64_t from, count, place;
  };
  struct Segments {
    Segment list[MOST_WIDTH];
    int count = 0;
  };
  Segments segments(std::int64_t pixel) const;
  // y and the addend (or null) begin with this output of the image.
  void finish(const float* sums, std::int64_t output, const Segments& segments,
              const Epilogue& epilogue, float* y, const float* addend) const;

  const std::uint64_t* signs_;
  const float* alphas_;
  ConvShape shape_;
  const BinaryConvKernels& kernels_;
  PaddedImage padded_;
  std::int64_t channels_, outputs_;  // of a group
  std::int64_t pixels_;              // of an output, its rows `pitch` apart
  std::vector<std::int64_t> offsets_;
};

void Plan::multiply(const float* group_image, std::int64_t group, std::int64_t pixel,
                    std::int64_t first, std::int64_t last, float* tables, float* sums) const {
  const std::int64_t depth = shape_.depth(), blocks = (depth + BINARY_BLOCK - 1) / BINARY_BLOCK;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t from = block * BINARY_BLOCK;
    const int positions = static_cast<int>(std::min<std::int64_t>(BINARY_BLOCK, depth - from));
    kernels_.tabulate(group_image + pixel, offsets_.data() + from, positions, tables);
    kernels_.accumulate(tables, (positions + 3) / 4,
                        signs_ + (group * blocks + block) * outputs_ + first, last - first,
                        block > 0, sums);
  }
}

Plan::Segments Plan::segments(std::int64_t pixel) const {
  Segments out;
  const std::int64_t end = std::min(pixel + kernels_.width, pixels_);
  if (padded_.pitch == shape_.out_width) {
    out.list[out.count++] = {0, end - pixel, pixel};
    return out;
  }
  for (std::int64_t at = pixel; at < end;) {
    const std::int64_t row = at / padded_.pitch, column = at - row * padded_.pitch;
    const std::int64_t count = std::min(shape_.out_width - column, end - at);
    if (count > 0) {
      out.list[out.count++] = {at - pixel, count, row * shape_.out_width + column};
    }
    at += padded_.pitch - column;
  }
  return out;
}

void Plan::finish(const float* sums, std::int64_t output, const Segments& segments,
                  const Epilogue& epilogue, float* y, const float* addend) const {
  const float alpha = alphas_[output];
  const float scale = epilogue.scale ? epilogue.scale[output] * alpha : alpha;
  const float bias = epilogue.bias ? epilogue.bias[output] : 0.0f;
  for (int i = 0; i < segments.count; ++i) {
    const Segment& segment = segments.list[i];
    kernels_.finish(sums + segment.from, segment.count, scale, bias,
                    addend ? addend + segment.place : nullptr, epilogue.low, epilogue.high,
                    y + segment.place);
  }
}

void Plan::run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
               std::byte* scratch, Pool& pool) const {
  if (pixels_ <= 0) return;
  const int threads = pool.threads();
  const Memory room = memory(scratch, images, threads);
  const std::int64_t plane = shape_.height * shape_.width, size = image_size();
  const std::int64_t width = kernels_.width, tiles = (pixels_ + width - 1) / width;
  for (std::int64_t first = 0; first < images; first += images_in_round(images)) {
    const std::int64_t count = std::min(images_in_round(images), images - first);
    pool.split(count * shape_.channels, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t channel = begin; channel < end; ++channel) {
        padded_.fill(shape_, x + (first * shape_.channels + channel) * plane,
                     room.padded + channel * padded_.channel_size());
      }
    });
    // Few tiles: each thread takes some of the outputs of every tile.
    const std::int64_t items = count * shape_.groups * tiles;
    const std::int64_t parts = items >= 4 * threads ? 1 : std::min<std::int64_t>(threads, outputs_);
    pool.split(parts * items, [&](std::int64_t begin, std::int64_t end, int worker) {
      float* tables = room.tables + worker * room.worker_tables;
      float* sums = room.sums + worker * room.worker_sums;
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t part = item / items, tile = item % tiles;
        const std::int64_t group = item / tiles % shape_.groups;
        const std::int64_t image = item % items / tiles / shape_.groups;
        const std::int64_t low = outputs_ * part / parts, high = outputs_ * (part + 1) / parts;
        multiply(room.padded + image * size + group * channels_ * padded_.channel_size(), group,
                 tile * width, low, high, tables, sums);
        const Segments found = segments(tile * width);
        for (std::int64_t o = low; o < high; ++o) {
          const std::int64_t output = group * outputs_ + o;
          const std::int64_t place =
              ((first + image) * shape_.outputs + output) * shape_.out_height * shape_.out_width;
          finish(sums + (o - low) * width, output, found, epilogue, y + place,
                 epilogue.addend ? epilogue.addend + place : nullptr);
        }
      }
    });
  }
}

class Weights final : public ConvWeights {
 public:
  Weights(const float* weights, const ConvShape& shape)
      : alphas_(magnitudes(weights, shape.outputs, shape.depth())) {
    const std::int64_t depth = shape.depth(), outputs = shape.outputs / shape.groups;
    const std::int64_t blocks = (depth + BINARY_BLOCK - 1) / BINARY_BLOCK;
    signs_.resize(static_cast<std::size_t>(blocks * shape.outputs));
    for (std::int64_t o = 0; o < shape.outputs; ++o) {
      for (std::int64_t k = 0; k < depth; ++k) {
        const std::uint64_t negative = std::signbit(weights[o * depth + k]);
        const std::int64_t block = o / outputs * blocks + k / BINARY_BLOCK;
        signs_[static_cast<std::size_t>(block * outputs + o % outputs)] |= negative
                                                                           << (k % BINARY_BLOCK);
      }
    }
  }
  const char* form() const override { return "binary"; }
  std::size_t bytes() const override { return 8 * signs_.size() + 4 * alphas_.size(); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override {
    return std::make_unique<Plan>(signs_.data(), alphas_.data(), shape);
  }

 private:
  std::vector<std::uint64_t> signs_;  // [groups][blocks of the depth][outputs of the group]
  std::vector<float> alphas_;
};

}  // namespace

std::unique_ptr<ConvWeights> binary_conv(const float* weights, const ConvShape& shape) {
  return std::make_unique<Weights>(weights, shape);
}

double binary_conv_cost(const ConvShape& shape) {
  const BinaryConvKernels& kernels = binary_conv();
  // Nanoseconds on a Zen 5 processor: of an output under one table, to make a table, to finish an
  // output's pixels.
  const double add = kernels.width == 32 ? 0.36 : kernels.width == 16 ? 0.3 : 1.4;
  const double make = kernels.width == 32 ? 14 : kernels.width == 16 ? 9 : 15;
  const double finish = 5;
  const PaddedImage padded(shape);
  const double tiles =
      static_cast<double>((shape.out_height * padded.pitch + kernels.width - 1) / kernels.width);
  const double outputs = static_cast<double>(shape.outputs / shape.groups);
  const double fours = static_cast<double>((shape.depth() + 3) / 4 * shape.groups);
  const double copied = static_cast<double>(shape.channels * padded.channel_size());
  return 500 + copied * 0.1 + tiles * fours * (make + outputs * add) +
         tiles * static_cast<double>(shape.outputs) * finish;
}

}  // namespace laconic::kernels
