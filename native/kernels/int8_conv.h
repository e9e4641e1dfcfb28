// Convolution with 8-bit integers, summed exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/int8_dot.h"
#include "kernels/layers.h"

namespace laconic::kernels {

// Where the inputs come from: images of unsigned items.
class Int8Images {
 public:
  virtual ~Int8Images() = default;
  // What stands for 0, and lies in the padding.
  virtual std::int32_t zero_point(std::int64_t image) const = 0;
  // Up to four channels, from `channel` on: channel + c in byte c of the words of their plane, 0
  // for channels that do not exist.
  virtual void pack(std::int64_t image, std::int64_t channel, int channels,
                    std::uint32_t* words) const = 0;
};

// Where the sums go: sums[i] + offset is that of one output at neighbouring pixels. `place` is
// that of the first in [images, outputs, out_height, out_width].
class Int8Sums {
 public:
  virtual ~Int8Sums() = default;
  virtual void take(const std::int32_t* sums, std::int64_t count, std::int32_t offset,
                    std::int64_t image, std::int64_t output, std::int64_t place) const = 0;
};

class Int8Conv {
 public:
  // weights [outputs, channels / groups, kernel_height, kernel_width]; zero_points [outputs] are
  // what stands for 0 in the weights of each output (null: 0). The sums are those of
  // (x - zero point) * (weight - zero point), modulo 2^32.
  Int8Conv(const std::int8_t* weights, const std::int32_t* zero_points, const ConvShape& shape);
  std::size_t bytes() const;
  // Of `run`. The sizes of image in `shape` are free; the others are those of the weights.
  std::size_t scratch_bytes(const ConvShape& shape, std::int64_t images, int threads) const;
  void run(const ConvShape& shape, const Int8Images& x, std::int64_t images, const Int8Sums& y,
           std::byte* scratch, Pool& pool) const;

 private:
  struct Room;
  struct Work;
  Room room(std::byte* begin, std::size_t* bytes) const;
  void multiply(const Work& work, std::int64_t image, std::int64_t group, std::int64_t begin,
                std::int64_t end, std::int64_t first, std::int64_t last, const Room& room) const;

  const Int8Dot& dot_;
  std::int64_t depth_, taps_, words_;      // words: of four channels, a tap
  std::vector<std::uint32_t> weights_;     // [outputs][taps][words]
  std::vector<std::uint32_t> ones_;        // [taps][words]: 1 for each channel, where needed
  std::vector<std::int32_t> sums_;         // [outputs]: of the weights
  std::vector<std::int32_t> zero_points_;  // [outputs], empty when all are 0
};

// Weights on a grid (int8_grid.h): floats in, rounded for each image to the grid of
// DynamicQuantizeLinear; floats out. form() is "int8".
struct Int8Weights;
std::unique_ptr<ConvWeights> int8_conv(const Int8Weights& weights, const ConvShape& shape);

// An estimate of the nanoseconds that one image takes on one thread; see dense_conv_cost.
double int8_conv_cost(const ConvShape& shape);

}  // namespace laconic::kernels
