#include "kernels/xnor_conv.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "kernels/finish_sums.h"
#include "kernels/pack_signs.h"
#include "kernels/scratch.h"
#include "kernels/signs.h"
#include "kernels/unfold.h"
#include "kernels/xnor_count.h"
#include "kernels/xnor_lookup.h"

namespace laconic::kernels {

namespace {

// The fastest that this processor has and that is allowed.
const XnorKernels& xnor() {
#if defined(LACONIC_X86)
  const Instructions set = instructions();
  if (set == Instructions::avx512) {
    static const bool counts = __builtin_cpu_supports("avx512vpopcntdq");
    return counts ? avx512::xnor_count : avx512::xnor_lookup;
  }
  if (set == Instructions::avx2) return avx2::xnor_lookup;
#endif
  return portable::xnor_count;
}

constexpr std::int64_t OUTPUTS = 32;  // whose sums are finished while they are in the cache

class Plan final : public XnorConvPlan {
 public:
  Plan(const std::uint32_t* signs, const float* alphas, const ConvShape& shape)
      : signs_(signs),
        alphas_(alphas),
        shape_(shape),
        kernels_(xnor()),
        pack_(pack_signs()),
        finish_(finish_sums()),
        channels_(shape.channels / shape.groups),
        outputs_(shape.outputs / shape.groups),
        taps_(shape.kernel_height * shape.kernel_width),
        words_((channels_ + 31) / 32) {}

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    return packed_bytes(images) + static_cast<std::size_t>(threads) * room_bytes();
  }

  bool run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override;

 private:
  // Where one thread works.
  struct Room {
    std::uint32_t *columns, *inside;
    std::int32_t *most, *sums;
    std::byte* panel;
  };

  std::int64_t most_width() const {
    return static_cast<std::int64_t>(kernels_.lanes) * kernels_.vectors;
  }
  std::size_t packed_bytes(std::int64_t images) const {
    const std::int64_t words = images * shape_.groups * words_ * shape_.height * shape_.width;
    return rounded_to_line(static_cast<std::size_t>(words) * 4);
  }
  // The memory of one thread.
  Room room(Pieces& pieces) const {
    const std::int64_t width = most_width(), columns = taps_ * words_ * width;
    Room out{};
    out.columns = pieces.take<std::uint32_t>(columns);
    out.inside = pieces.take<std::uint32_t>(taps_ * width);
    out.most = pieces.take<std::int32_t>(width);
    out.sums = pieces.take<std::int32_t>(OUTPUTS * width);
    out.panel = pieces.take<std::byte>(columns * kernels_.panel_bytes);
    return out;
  }
  std::size_t room_bytes() const {
    Pieces pieces(nullptr);
    room(pieces);
    return pieces.bytes();
  }

  bool pack(const float* x, std::int64_t images, float magnitude, std::uint32_t* packed,
            Pool& pool) const;
  // Outputs `first` to before `last` (of their group) at some pixels of all images.
  void multiply(const std::uint32_t* packed, std::int64_t group, const PixelRange& pixels,
                std::int64_t first, std::int64_t last, float magnitude, const Epilogue& epilogue,
                const Room& room, float* y) const;
  void finish(const std::int32_t* sums, std::int64_t output, const PixelRange& pixels,
              float magnitude, const Epilogue& epilogue, float* y) const;

  const std::uint32_t* signs_;
  const float* alphas_;
  ConvShape shape_;
  const XnorKernels& kernels_;
  const PackSigns& pack_;
  const FinishSums& finish_;
  std::int64_t channels_, outputs_;  // of a group
  std::int64_t taps_, words_;
};

bool Plan::pack(const float* x, std::int64_t images, float magnitude, std::uint32_t* packed,
                Pool& pool) const {
  const std::int64_t plane = shape_.height * shape_.width;
  std::atomic<bool> good{true};
  pool.split(images * shape_.groups * words_, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t item = begin; item < end && good.load(std::memory_order_relaxed); ++item) {
      const std::int64_t word = item % words_;
      const std::int64_t planes = std::min<std::int64_t>(32, channels_ - 32 * word);
      const std::int64_t channel = item / words_ * channels_ + 32 * word;
      if (!pack_.planes(x + channel * plane, static_cast<int>(planes), plane, magnitude,
                        packed + item * plane)) {
        good.store(false, std::memory_order_relaxed);
      }
    }
  });
  return good.load();
}

void Plan::finish(const std::int32_t* sums, std::int64_t output, const PixelRange& pixels,
                  float magnitude, const Epilogue& epilogue, float* y) const {
  const std::int64_t size = shape_.out_height * shape_.out_width;
  const float factor = alphas_[output] * magnitude;
  const float scale = epilogue.scale ? epilogue.scale[output] * factor : factor;
  const float bias = epilogue.bias ? epilogue.bias[output] : 0.0f;
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end;) {
    const std::int64_t image = pixel / size, at = pixel - image * size;
    const std::int64_t count = std::min(size - at, pixels.end - pixel);
    const std::int64_t place = (image * shape_.outputs + output) * size + at;
    finish_.row(sums + (pixel - pixels.begin), count, 0, scale, bias,
                epilogue.addend ? epilogue.addend + place : nullptr, epilogue.low, epilogue.high,
                y + place);
    pixel += count;
  }
}

void Plan::multiply(const std::uint32_t* packed, std::int64_t group, const PixelRange& pixels,
                    std::int64_t first, std::int64_t last, float magnitude,
                    const Epilogue& epilogue, const Room& room, float* y) const {
  const std::int64_t plane = shape_.height * shape_.width, depth = taps_ * words_;
  unfold(packed + group * words_ * plane, shape_.groups * words_ * plane, words_, 0u, shape_,
         pixels, room.columns);
  const bool padded = !unfold_inside(shape_, pixels, room.inside);
  const std::int32_t channels = static_cast<std::int32_t>(channels_);
  std::fill_n(room.most, pixels.width, 0);
  for (std::int64_t tap = 0; tap < taps_; ++tap) {
    const std::uint32_t* inside = room.inside + tap * pixels.width;
    for (std::int64_t i = 0; i < pixels.end - pixels.begin; ++i) {
      room.most[i] += inside[i] ? channels : 0;
    }
  }
  XnorTile tile{};
  tile.columns = room.columns;
  tile.inside = padded ? room.inside : nullptr;
  tile.most = room.most;
  tile.taps = taps_;
  tile.words = words_;
  tile.vectors = static_cast<int>(pixels.width / kernels_.lanes);
  tile.panel = room.panel;
  tile.sums = room.sums;
  kernels_.arrange(tile);
  for (std::int64_t o = first; o < last; o += OUTPUTS) {
    const std::int64_t output = group * outputs_ + o;
    tile.weights = signs_ + output * depth;
    tile.outputs = std::min(OUTPUTS, last - o);
    kernels_.multiply(tile);
    for (std::int64_t i = 0; i < tile.outputs; ++i) {
      finish(room.sums + i * pixels.width, output + i, pixels, magnitude, epilogue, y);
    }
  }
}

bool Plan::run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
               std::byte* scratch, Pool& pool) const {
  const std::int64_t total = images * shape_.out_height * shape_.out_width;
  if (total == 0 || shape_.outputs == 0) return true;
  const float magnitude = std::fabs(x[0]);
  if (!std::isfinite(magnitude) || magnitude == 0.0f) return false;
  // Inputs of another kind show it here, before any thread is woken.
  const std::int64_t few = std::min<std::int64_t>(64, shape_.height * shape_.width);
  for (std::int64_t i = 1; i < few; ++i) {
    if (std::fabs(x[i]) != magnitude) return false;
  }
  std::uint32_t* packed = reinterpret_cast<std::uint32_t*>(scratch);
  if (!pack(x, images, magnitude, packed, pool)) return false;

  // Vectors of pixels are dealt out evenly to tiles. Few tiles: each thread takes some outputs of
  // all of them.
  const std::int64_t lanes = kernels_.lanes, vectors = (total + lanes - 1) / lanes;
  const std::int64_t tiles = (vectors + kernels_.vectors - 1) / kernels_.vectors;
  const std::int64_t threads = pool.threads();
  const std::int64_t parts = tiles * shape_.groups >= 4 * threads ? 1 : std::min(threads, outputs_);
  std::byte* rooms = scratch + packed_bytes(images);
  pool.split(parts * shape_.groups * tiles, [&](std::int64_t begin, std::int64_t end, int worker) {
    Pieces pieces(rooms + static_cast<std::size_t>(worker) * room_bytes());
    const Room mine = room(pieces);
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t tile = item % tiles, rest = item / tiles;
      const std::int64_t group = rest % shape_.groups, part = rest / shape_.groups;
      const std::int64_t from = vectors * tile / tiles, to = vectors * (tile + 1) / tiles;
      const PixelRange pixels{from * lanes, std::min(to * lanes, total), (to - from) * lanes};
      multiply(packed, group, pixels, outputs_ * part / parts, outputs_ * (part + 1) / parts,
               magnitude, epilogue, mine, y);
    }
  });
  return true;
}

}  // namespace

XnorConv::XnorConv(const float* weights, const ConvShape& shape)
    : signs_(signs_of_channels(weights, shape.outputs, shape.channels / shape.groups,
                               shape.kernel_height * shape.kernel_width)),
      alphas_(magnitudes(weights, shape.outputs, shape.depth())) {}

std::size_t XnorConv::bytes() const { return 4 * (signs_.size() + alphas_.size()); }

std::unique_ptr<XnorConvPlan> XnorConv::plan(const ConvShape& shape) const {
  return std::make_unique<Plan>(signs_.data(), alphas_.data(), shape);
}

}  // namespace laconic::kernels
