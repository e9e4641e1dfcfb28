#include "kernels/int8_conv.h"

#include <algorithm>

#include "kernels/scratch.h"
#include "kernels/unfold.h"

namespace laconic::kernels {

namespace {

constexpr std::int64_t OUTPUTS = 24;  // whose sums are handed over while they are in the cache

std::int64_t plane_of(const ConvShape& shape) { return shape.height * shape.width; }

std::uint32_t byte_of(std::int32_t item, std::int64_t place) {
  return (static_cast<std::uint32_t>(item) & 0xffu) << (8 * place);
}

}  // namespace

// What one thread works with.
struct Int8Conv::Room {
  std::uint32_t* columns;
  std::int32_t *sums, *column_sums;
};

struct Int8Conv::Work {
  const ConvShape& shape;
  const Int8Images& x;
  const Int8Sums& y;
  const std::uint32_t* packed;  // [images][groups][words][height, width]
};

Int8Conv::Int8Conv(const std::int8_t* weights, const std::int32_t* zero_points,
                   const ConvShape& shape)
    : dot_(int8_dot()),
      depth_(shape.depth()),
      taps_(shape.kernel_height * shape.kernel_width),
      words_((shape.channels / shape.groups + 3) / 4),
      weights_(static_cast<std::size_t>(shape.outputs * taps_ * words_)),
      sums_(static_cast<std::size_t>(shape.outputs)) {
  const std::int64_t channels = shape.channels / shape.groups;
  for (std::int64_t o = 0; o < shape.outputs; ++o) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        const std::int32_t weight = weights[(o * channels + c) * taps_ + tap];
        weights_[static_cast<std::size_t>((o * taps_ + tap) * words_ + c / 4)] |=
            byte_of(weight, c % 4);
        sums_[static_cast<std::size_t>(o)] += weight;
      }
    }
  }
  if (!zero_points || std::all_of(zero_points, zero_points + shape.outputs,
                                  [](std::int32_t zero) { return zero == 0; })) {
    return;
  }
  zero_points_.assign(zero_points, zero_points + shape.outputs);
  ones_.resize(static_cast<std::size_t>(taps_ * words_));
  for (std::int64_t tap = 0; tap < taps_; ++tap) {
    for (std::int64_t c = 0; c < channels; ++c) {
      ones_[static_cast<std::size_t>(tap * words_ + c / 4)] |= byte_of(1, c % 4);
    }
  }
}

std::size_t Int8Conv::bytes() const {
  return 4 * (weights_.size() + ones_.size() + sums_.size() + zero_points_.size());
}

Int8Conv::Room Int8Conv::room(std::byte* begin, std::size_t* bytes) const {
  const std::int64_t width = static_cast<std::int64_t>(dot_.lanes) * dot_.vectors;
  Pieces pieces(begin);
  Room out{};
  out.columns = pieces.take<std::uint32_t>(taps_ * words_ * width);
  out.sums = pieces.take<std::int32_t>(OUTPUTS * width);
  out.column_sums = pieces.take<std::int32_t>(width);
  if (bytes) *bytes = pieces.bytes();
  return out;
}

std::size_t Int8Conv::scratch_bytes(const ConvShape& shape, std::int64_t images,
                                    int threads) const {
  std::size_t room_bytes = 0;
  room(nullptr, &room_bytes);
  const std::int64_t packed = images * shape.groups * words_ * plane_of(shape);
  return rounded_to_line(static_cast<std::size_t>(packed) * 4) +
         static_cast<std::size_t>(threads) * room_bytes;
}

void Int8Conv::multiply(const Work& work, std::int64_t image, std::int64_t group,
                        std::int64_t begin, std::int64_t end, std::int64_t first, std::int64_t last,
                        const Room& room) const {
  const ConvShape& shape = work.shape;
  const std::int64_t size = shape.out_height * shape.out_width, lanes = dot_.lanes;
  const std::int64_t depth_words = taps_ * words_, image_words = words_ * plane_of(shape);
  const std::int64_t vectors = (end - begin + lanes - 1) / lanes, width = vectors * lanes;
  const std::int32_t zero = work.x.zero_point(image);
  unfold(work.packed + group * image_words, shape.groups * image_words, words_,
         static_cast<std::uint32_t>(zero) * 0x01010101u, shape,
         {image * size + begin, image * size + end, width}, room.columns);
  Int8Tile tile{room.columns, depth_words, static_cast<int>(vectors), ones_.data(),
                depth_words,  1,           room.column_sums};
  if (!ones_.empty()) dot_.unsigned_panel(tile);
  tile.sums = room.sums;
  for (std::int64_t o = first; o < last; o += OUTPUTS) {
    const std::int64_t output = group * (shape.outputs / shape.groups) + o;
    tile.rows = weights_.data() + output * depth_words;
    tile.count = std::min(OUTPUTS, last - o);
    dot_.unsigned_panel(tile);
    for (std::int64_t i = 0; i < tile.count; ++i) {
      const std::size_t at = static_cast<std::size_t>(output + i);
      std::int32_t* sums = room.sums + i * width;
      std::uint32_t offset =
          0u - static_cast<std::uint32_t>(zero) * static_cast<std::uint32_t>(sums_[at]);
      if (!zero_points_.empty()) {
        subtract_products(sums, width, zero_points_[at], room.column_sums);
        offset += static_cast<std::uint32_t>(zero_points_[at]) * static_cast<std::uint32_t>(zero) *
                  static_cast<std::uint32_t>(depth_);
      }
      work.y.take(sums, end - begin, static_cast<std::int32_t>(offset), image, output + i,
                  (image * shape.outputs + output + i) * size + begin);
    }
  }
}

void Int8Conv::run(const ConvShape& shape, const Int8Images& x, std::int64_t images,
                   const Int8Sums& y, std::byte* scratch, Pool& pool) const {
  const std::int64_t size = shape.out_height * shape.out_width, plane = plane_of(shape);
  if (size == 0 || images == 0) return;
  std::uint32_t* packed = reinterpret_cast<std::uint32_t*>(scratch);
  const std::int64_t packed_words = images * shape.groups * words_;
  const std::int64_t channels = shape.channels / shape.groups;
  pool.split(packed_words, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t word = item % words_, group = item / words_ % shape.groups;
      x.pack(item / words_ / shape.groups, group * channels + 4 * word,
             static_cast<int>(std::min<std::int64_t>(4, channels - 4 * word)),
             packed + item * plane);
    }
  });

  // Vectors of pixels are dealt out evenly to tiles. Few tiles: each thread takes some outputs of
  // all of them.
  const std::int64_t outputs = shape.outputs / shape.groups, lanes = dot_.lanes;
  const std::int64_t vectors = (size + lanes - 1) / lanes;
  const std::int64_t tiles = (vectors + dot_.vectors - 1) / dot_.vectors;
  const std::int64_t items = images * shape.groups * tiles, threads = pool.threads();
  const std::int64_t parts = items >= 4 * threads ? 1 : std::min(threads, outputs);
  std::size_t room_bytes = 0;
  room(nullptr, &room_bytes);
  std::byte* rooms = scratch + rounded_to_line(static_cast<std::size_t>(packed_words * plane) * 4);
  const Work work{shape, x, y, packed};
  pool.split(parts * items, [&](std::int64_t begin, std::int64_t end, int worker) {
    const Room mine = room(rooms + static_cast<std::size_t>(worker) * room_bytes, nullptr);
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t part = item / items, tile = item % tiles;
      const std::int64_t group = item / tiles % shape.groups;
      multiply(work, item % items / tiles / shape.groups, group, vectors * tile / tiles * lanes,
               std::min(size, vectors * (tile + 1) / tiles * lanes), outputs * part / parts,
               outputs * (part + 1) / parts, mine);
    }
  });
}

}  // namespace laconic::kernels
