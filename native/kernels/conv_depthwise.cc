#include "kernels/conv_depthwise.h"

#include <algorithm>
#include <vector>

#include "kernels/channel_lanes.h"
#include "kernels/depthwise_lanes.h"

namespace laconic::kernels {

namespace {

// Floats of inputs and outputs of a strip that stay in the second cache.
constexpr std::int64_t STRIP_FLOATS = 96 * 1024;
constexpr std::int64_t MOST_LANES = 16;

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

class DepthwiseConv final : public ConvWeights {
 public:
  // Packed as [block of outputs][taps][lanes].
  DepthwiseConv(const float* weights, const ConvShape& shape)
      : shape_(shape), kernels_(depthwise_lanes()), lanes_(channel_lanes()), taps_(shape.depth()) {
    const std::int64_t lanes = kernels_.lanes;
    packed_.assign(static_cast<std::size_t>(up(shape.outputs, lanes) * lanes * taps_), 0.0f);
    for (std::int64_t o = 0; o < shape.outputs; ++o) {
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        const std::int64_t place = (o / lanes * taps_ + tap) * lanes + o % lanes;
        packed_[static_cast<std::size_t>(place)] = weights[o * taps_ + tap];
      }
    }
  }

  const char* form() const override { return "depthwise"; }
  std::size_t bytes() const override { return packed_.size() * sizeof(float); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override;

  const DepthwiseKernels& kernels() const { return kernels_; }
  const ChannelLanesKernels& lanes() const { return lanes_; }
  const float* block(std::int64_t index) const {
    return packed_.data() + index * taps_ * kernels_.lanes;
  }

 private:
  ConvShape shape_;
  const DepthwiseKernels& kernels_;
  const ChannelLanesKernels& lanes_;
  std::int64_t taps_;
  std::vector<float> packed_;
};

class DepthwisePlan final : public ConvPlan {
 public:
  DepthwisePlan(const DepthwiseConv& weights, const ConvShape& shape);

  std::size_t scratch_bytes(std::int64_t, int threads) const override {
    return static_cast<std::size_t>((inputs_ + outputs_) * threads) * sizeof(float);
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override {
    pool.split(images * blocks_ * strips_, [&](std::int64_t begin, std::int64_t end, int worker) {
      float* inputs = reinterpret_cast<float*>(scratch) + worker * (inputs_ + outputs_);
      for (; begin < end; ++begin) run_strip(x, y, begin, epilogue, inputs);
    });
  }

 private:
  void run_strip(const float* x, float* y, std::int64_t index, const Epilogue& epilogue,
                 float* inputs) const;
  void zero_border(std::int64_t above, std::int64_t inside, std::int64_t rows, float* inputs) const;

  const DepthwiseConv& weights_;
  ConvShape shape_;
  std::int64_t lanes_, blocks_;
  std::int64_t rows_, strips_;               // output rows of a strip; strips of an image
  std::int64_t padded_width_, padded_rows_;  // of a strip's inputs
  std::int64_t inputs_, outputs_;            // floats of a strip, in whole cache lines
  std::vector<std::int32_t> places_;         // of the pixels of padded_rows_ input rows
  std::vector<std::int32_t> offsets_;        // of the taps
};

DepthwisePlan::DepthwisePlan(const DepthwiseConv& weights, const ConvShape& shape)
    : weights_(weights), shape_(shape), lanes_(weights.kernels().lanes) {
  blocks_ = up(shape.outputs, lanes_);
  const std::int64_t reach_x = (shape.kernel_width - 1) * shape.dilation_x + 1;
  const std::int64_t reach_y = (shape.kernel_height - 1) * shape.dilation_y + 1;
  padded_width_ =
      std::max((shape.out_width - 1) * shape.stride_x + reach_x, shape.pad_left + shape.width);
  const std::int64_t row = (padded_width_ * shape.stride_y + shape.out_width) * lanes_;
  rows_ = std::clamp<std::int64_t>((STRIP_FLOATS - reach_y * padded_width_ * lanes_) / row, 1,
                                   std::max<std::int64_t>(shape.out_height, 1));
  strips_ = up(shape.out_height, rows_);
  rows_ = up(shape.out_height, std::max<std::int64_t>(strips_, 1));
  padded_rows_ = (rows_ - 1) * shape.stride_y + reach_y;
  inputs_ = up(padded_rows_ * padded_width_ * lanes_, 16) * 16;
  // Vectors of pixels are read to the end of the last one.
  outputs_ = up((rows_ * shape.out_width + lanes_) * lanes_, 16) * 16;
  for (std::int64_t y = 0; y < std::min(padded_rows_, shape.height); ++y) {
    for (std::int64_t x = 0; x < shape.width; ++x) {
      places_.push_back(
          static_cast<std::int32_t>((y * padded_width_ + shape.pad_left + x) * lanes_));
    }
  }
  for (std::int64_t y = 0; y < shape.kernel_height; ++y) {
    for (std::int64_t x = 0; x < shape.kernel_width; ++x) {
      offsets_.push_back(static_cast<std::int32_t>(
          (y * shape.dilation_y * padded_width_ + x * shape.dilation_x) * lanes_));
    }
  }
}

// Of `rows` rows, those from `above` to before `inside` hold pixels.
void DepthwisePlan::zero_border(std::int64_t above, std::int64_t inside, std::int64_t rows,
                                float* inputs) const {
  const std::int64_t row = padded_width_ * lanes_, left = shape_.pad_left * lanes_;
  std::fill(inputs, inputs + above * row, 0.0f);
  for (std::int64_t y = above; y < inside; ++y) {
    float* from = inputs + y * row;
    std::fill(from, from + left, 0.0f);
    std::fill(from + left + shape_.width * lanes_, from + row, 0.0f);
  }
  std::fill(inputs + inside * row, inputs + rows * row, 0.0f);
}

void DepthwisePlan::run_strip(const float* x, float* y, std::int64_t index,
                              const Epilogue& epilogue, float* inputs) const {
  const std::int64_t strip_index = index % strips_, block = index / strips_ % blocks_;
  const std::int64_t image = index / strips_ / blocks_;
  const std::int64_t first_row = strip_index * rows_, output = block * lanes_;
  const std::int64_t rows = std::min(rows_, shape_.out_height - first_row);
  const std::int64_t padded = padded_rows_ - (rows_ - rows) * shape_.stride_y;
  // Input rows from `top` on, of which those from `above` to before `inside` exist.
  const std::int64_t top = first_row * shape_.stride_y - shape_.pad_top;
  const std::int64_t above = std::clamp<std::int64_t>(-top, 0, padded);
  const std::int64_t inside = std::clamp(shape_.height - top, above, padded);
  zero_border(above, inside, padded, inputs);

  const std::int64_t plane = shape_.height * shape_.width;
  const std::int64_t multiplier = shape_.outputs / shape_.channels;
  std::int64_t channels[MOST_LANES];
  for (std::int64_t lane = 0; lane < lanes_; ++lane) {
    channels[lane] = std::min(output + lane, shape_.outputs - 1) / multiplier * plane;
  }
  if (inside > above) {
    const float* first = x + image * shape_.channels * plane + (top + above) * shape_.width;
    weights_.lanes().gather({first, channels, (inside - above) * shape_.width, places_.data(),
                             inputs + above * padded_width_ * lanes_});
  }
  DepthwiseStrip strip{};
  strip.inputs = inputs;
  strip.weights = weights_.block(block);
  strip.offsets = offsets_.data();
  strip.taps = static_cast<int>(offsets_.size());
  strip.rows = rows;
  strip.width = shape_.out_width;
  strip.row = shape_.stride_y * padded_width_ * lanes_;
  strip.column = shape_.stride_x * lanes_;
  strip.outputs = inputs + inputs_;
  strip.count = static_cast<int>(std::min(lanes_, shape_.outputs - output));
  strip.scale = epilogue.scale ? epilogue.scale + output : nullptr;
  strip.bias = epilogue.bias ? epilogue.bias + output : nullptr;
  weights_.kernels().multiply(strip);
  const std::int64_t out_plane = shape_.out_height * shape_.out_width;
  const std::int64_t place =
      (image * shape_.outputs + output) * out_plane + first_row * shape_.out_width;
  weights_.lanes().scatter({strip.outputs, rows * shape_.out_width, y + place, out_plane,
                            strip.count, epilogue.addend ? epilogue.addend + place : nullptr,
                            epilogue.low, epilogue.high});
}

std::unique_ptr<ConvPlan> DepthwiseConv::plan(const ConvShape& shape) const {
  return std::make_unique<DepthwisePlan>(*this, shape);
}

}  // namespace

std::unique_ptr<ConvWeights> depthwise_conv(const float* weights, const ConvShape& shape) {
  if (suits_depthwise_rows(shape)) return depthwise_rows_conv(weights, shape);
  return std::make_unique<DepthwiseConv>(weights, shape);
}

}  // namespace laconic::kernels
