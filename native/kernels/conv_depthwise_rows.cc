#include <algorithm>
#include <vector>

#include "kernels/conv_depthwise.h"
#include "kernels/depthwise_rows.h"

namespace laconic::kernels {

namespace {

// Floats of outputs that one thread makes at a time, about, so that large planes are shared.
constexpr std::int64_t STRIP_FLOATS = 32 * 1024;
// Floats of inputs and outputs that stay in the first cache.
constexpr std::int64_t NEAR_FLOATS = 6 * 1024;

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// About `most` of `rows` rows at a time, so that the last ones are hardly fewer.
std::int64_t evenly(std::int64_t rows, std::int64_t most) {
  const std::int64_t parts = up(rows, std::max<std::int64_t>(most, 1));
  return std::max<std::int64_t>(up(rows, std::max<std::int64_t>(parts, 1)), 1);
}

class DepthwiseRows final : public ConvWeights {
 public:
  DepthwiseRows(const float* weights, const ConvShape& shape)
      : kernels_(depthwise_rows()), weights_(weights, weights + shape.outputs * shape.depth()) {}

  const char* form() const override { return "depthwise"; }
  std::size_t bytes() const override { return weights_.size() * sizeof(float); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override;

  const DepthwiseRowsKernels& kernels() const { return kernels_; }
  const float* weights() const { return weights_.data(); }

 private:
  const DepthwiseRowsKernels& kernels_;
  std::vector<float> weights_;  // [outputs][taps][taps]
};

class DepthwiseRowsPlan final : public ConvPlan {
 public:
  DepthwiseRowsPlan(const DepthwiseRows& weights, const ConvShape& shape)
      : shape_(shape), zeros_(static_cast<std::size_t>(shape.width), 0.0f) {
    const std::int64_t width = std::max<std::int64_t>(shape.out_width, 1);
    rows_ = evenly(shape.out_height, STRIP_FLOATS / width);
    strips_ = up(shape.out_height, rows_);
    convolve_ = weights.kernels().convolve[shape.kernel_width / 2 - 1][shape.stride_x - 1];
    planes_.rows = evenly(rows_, NEAR_FLOATS / (width + shape.stride_y * shape.width));
    planes_.zeros = zeros_.data();
    planes_.weights = weights.weights();
    planes_.x_plane = shape.height * shape.width;
    planes_.y_plane = shape.out_height * shape.out_width;
    planes_.outputs = shape.outputs;
    planes_.multiplier = shape.outputs / shape.channels;
    planes_.height = shape.height;
    planes_.width = shape.width;
    planes_.out_width = shape.out_width;
    planes_.pad_top = shape.pad_top;
    planes_.pad_left = shape.pad_left;
  }

  std::size_t scratch_bytes(std::int64_t, int) const override { return 0; }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue, std::byte*,
           Pool& pool) const override {
    DepthwisePlanes all = planes_;
    all.x = x;
    all.y = y;
    all.addend = epilogue.addend;
    all.scale = epilogue.scale;
    all.bias = epilogue.bias;
    all.low = epilogue.low;
    all.high = epilogue.high;
    pool.split(images * shape_.outputs * strips_,
               [&](std::int64_t begin, std::int64_t end, int) { run_strips(all, begin, end); });
  }

 private:
  // The strips `begin` to before `end`, counted through all planes: those of one plane at a time,
  // or many planes of one strip each.
  void run_strips(DepthwisePlanes planes, std::int64_t begin, std::int64_t end) const {
    while (begin < end) {
      const std::int64_t strip = begin % strips_;
      const std::int64_t strips = strips_ == 1 ? end - begin : 1;
      planes.first_plane = begin / strips_;
      planes.last_plane = planes.first_plane + strips;
      planes.first_row = strip * rows_;
      planes.last_row = std::min(planes.first_row + rows_, shape_.out_height);
      convolve_(planes);
      begin += strips;
    }
  }

  ConvShape shape_;
  std::vector<float> zeros_;
  std::int64_t rows_, strips_;  // output rows of a strip; strips of a plane
  void (*convolve_)(const DepthwisePlanes&);
  DepthwisePlanes planes_{};  // but for what a run brings
};

std::unique_ptr<ConvPlan> DepthwiseRows::plan(const ConvShape& shape) const {
  return std::make_unique<DepthwiseRowsPlan>(*this, shape);
}

}  // namespace

bool suits_depthwise_rows(const ConvShape& shape) {
  // Many products for vectors that are half empty: those of whole channels take less time.
  const bool wasteful = shape.kernel_width == 5 && shape.out_width > 0 &&
                        2 * shape.out_width <= depthwise_rows().lanes;
  return !wasteful && (shape.kernel_width == 3 || shape.kernel_width == 5) &&
         shape.kernel_height == shape.kernel_width && shape.stride_x == shape.stride_y &&
         shape.stride_x <= 2 && shape.dilation_x == 1 && shape.dilation_y == 1;
}

std::unique_ptr<ConvWeights> depthwise_rows_conv(const float* weights, const ConvShape& shape) {
  return std::make_unique<DepthwiseRows>(weights, shape);
}

}  // namespace laconic::kernels
