// Layers whose weights are 8-bit integers times a scale, and whose floats are rounded on the way
// in.
#include <algorithm>
#include <cmath>

#include "kernels/finish_sums.h"
#include "kernels/int8_conv.h"
#include "kernels/int8_grid.h"
#include "kernels/quantize.h"
#include "kernels/scratch.h"

namespace laconic::kernels {

namespace {

class RoundedImages final : public Int8Images {
 public:
  RoundedImages(const float* x, const ConvShape& shape, const Grid8* grids)
      : quantize_(quantize()),
        x_(x),
        plane_(shape.height * shape.width),
        channels_(shape.channels),
        grids_(grids) {}
  std::int32_t zero_point(std::int64_t image) const override { return grids_[image].zero_point; }
  void pack(std::int64_t image, std::int64_t channel, int channels,
            std::uint32_t* words) const override {
    quantize_.planes(x_ + (image * channels_ + channel) * plane_, channels, plane_, grids_[image],
                     words);
  }

 private:
  const Quantize& quantize_;
  const float* x_;
  std::int64_t plane_, channels_;
  const Grid8* grids_;
};

class FloatSums final : public Int8Sums {
 public:
  FloatSums(const float* scales, const Grid8* grids, const Epilogue& epilogue, float* y)
      : finish_(finish_sums()), scales_(scales), grids_(grids), epilogue_(epilogue), y_(y) {}
  void take(const std::int32_t* sums, std::int64_t count, std::int32_t offset, std::int64_t image,
            std::int64_t output, std::int64_t place) const override {
    float scale = scales_[output] * grids_[image].scale;
    if (epilogue_.scale) scale *= epilogue_.scale[output];
    finish_.row(sums, count, offset, scale, epilogue_.bias ? epilogue_.bias[output] : 0.0f,
                epilogue_.addend ? epilogue_.addend + place : nullptr, epilogue_.low,
                epilogue_.high, y_ + place);
  }

 private:
  const FinishSums& finish_;
  const float* scales_;
  const Grid8* grids_;
  const Epilogue& epilogue_;
  float* y_;
};

struct Range {
  float low, high;
};

class Plan final : public ConvPlan {
 public:
  Plan(const Int8Conv& conv, const float* scales, const ConvShape& shape)
      : conv_(conv), scales_(scales), shape_(shape) {}

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    return memory(nullptr, images).bytes + conv_.scratch_bytes(shape_, images, threads);
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override {
    const Memory room = memory(scratch, images);
    const std::int64_t plane = shape_.height * shape_.width;
    pool.split(images * shape_.channels, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t channel = begin; channel < end; ++channel) {
        Range& range = room.ranges[channel];
        range = {0.0f, 0.0f};
        quantize().range(x + channel * plane, plane, &range.low, &range.high);
      }
    });
    for (std::int64_t image = 0; image < images; ++image) {
      Range whole{0.0f, 0.0f};
      for (std::int64_t c = 0; c < shape_.channels; ++c) {
        const Range& range = room.ranges[image * shape_.channels + c];
        whole = {std::min(whole.low, range.low), std::max(whole.high, range.high)};
      }
      room.grids[image] = dynamic_grid(whole.low, whole.high);
    }
    conv_.run(shape_, RoundedImages(x, shape_, room.grids), images,
              FloatSums(scales_, room.grids, epilogue, y), scratch + room.bytes, pool);
  }

 private:
  struct Memory {
    Range* ranges;  // of each channel of each image
    Grid8* grids;   // of each image
    std::size_t bytes;
  };
  Memory memory(std::byte* begin, std::int64_t images) const {
    Pieces pieces(begin);
    Memory out{};
    out.ranges = pieces.take<Range>(images * shape_.channels);
    out.grids = pieces.take<Grid8>(images);
    out.bytes = pieces.bytes();
    return out;
  }

  const Int8Conv& conv_;
  const float* scales_;
  ConvShape shape_;
};

class Weights final : public ConvWeights {
 public:
  Weights(const Int8Weights& weights, const ConvShape& shape)
      : conv_(weights.items.data(), nullptr, shape), scales_(weights.scales) {}
  const char* form() const override { return "int8"; }
  std::size_t bytes() const override { return conv_.bytes() + 4 * scales_.size(); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override {
    return std::make_unique<Plan>(conv_, scales_.data(), shape);
  }

 private:
  Int8Conv conv_;
  std::vector<float> scales_;
};

}  // namespace

std::unique_ptr<ConvWeights> int8_conv(const Int8Weights& weights, const ConvShape& shape) {
  return std::make_unique<Weights>(weights, shape);
}

double int8_conv_cost(const ConvShape& shape) {
  const Int8Dot& dot = int8_dot();
  const std::int64_t pixels = shape.out_height * shape.out_width, lanes = dot.lanes;
  const double vectors = static_cast<double>((pixels + lanes - 1) / lanes);
  const std::int64_t words =
      (shape.channels / shape.groups + 3) / 4 * shape.kernel_height * shape.kernel_width;
  const double products = vectors * static_cast<double>(lanes * shape.outputs * words * 4);
  const double unfolded = static_cast<double>(words * shape.groups * pixels);
  const double in = static_cast<double>(shape.channels * shape.height * shape.width);
  const double out = static_cast<double>(shape.outputs * pixels);
  return 500 + products * dot.product_ns + unfolded * (shape.stride_x == 1 ? 0.1 : 0.4) +
         in * 0.35 + out * 0.05;
}

}  // namespace laconic::kernels
