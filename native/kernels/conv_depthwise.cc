#include "kernels/conv_depthwise.h"

#include <vector>

#include "kernels/conv_dense_plan.h"
#include "kernels/conv_slab.h"
#include "kernels/depthwise_rows.h"

namespace laconic::kernels {

namespace {

class DepthwiseConv final : public ConvWeights {
 public:
  // Kernel columns one after the other: [outputs, kernel_width, kernel_height].
  DepthwiseConv(const float* weights, const ConvShape& shape)
      : shape_(shape),
        weights_(static_cast<std::size_t>(shape.outputs * shape.depth())),
        rows_(depthwise_rows()),
        slab_(conv_slab()) {
    float* to = weights_.data();
    for (std::int64_t o = 0; o < shape.outputs; ++o) {
      for (std::int64_t dx = 0; dx < shape.kernel_width; ++dx) {
        for (std::int64_t dy = 0; dy < shape.kernel_height; ++dy) {
          *to++ = weights[(o * shape.kernel_height + dy) * shape.kernel_width + dx];
        }
      }
    }
  }

  const char* form() const override { return "depthwise"; }
  std::size_t bytes() const override { return weights_.size() * sizeof(float); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override;

  const ConvShape& shape() const { return shape_; }
  const float* weights(std::int64_t output) const {
    return weights_.data() + output * shape_.kernel_height * shape_.kernel_width;
  }
  const DepthwiseKernels& rows() const { return rows_; }
  const ConvSlabKernels& slab() const { return slab_; }

 private:
  ConvShape shape_;
  std::vector<float> weights_;
  const DepthwiseKernels& rows_;
  const ConvSlabKernels& slab_;
};

class DepthwisePlan final : public ConvPlan {
 public:
  DepthwisePlan(const DepthwiseConv& weights, const ConvShape& shape)
      : weights_(weights),
        shape_(shape),
        x_(SlabAxis::of(shape.kernel_width, shape.stride_x, shape.dilation_x, false)),
        y_(SlabAxis::of(shape.kernel_height, shape.stride_y, shape.dilation_y, false)),
        slab_width_(shape.out_width + x_.extra),
        plane_((shape.out_height + y_.extra) * slab_width_) {
    for (const KernelPlace& right : x_.places) {
      for (const KernelPlace& down : y_.places) {
        const auto index = down.plane * static_cast<std::int64_t>(x_.first.size()) + right.plane;
        offsets_.push_back(
            static_cast<std::int32_t>(index * plane_ + down.shift * slab_width_ + right.shift));
      }
    }
  }

  std::size_t scratch_bytes(std::int64_t, int threads) const override {
    return slab_bytes() * static_cast<std::size_t>(threads);
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override {
    pool.split(images * shape_.channels, [&](std::int64_t begin, std::int64_t end, int worker) {
      auto* slab =
          reinterpret_cast<float*>(scratch + slab_bytes() * static_cast<std::size_t>(worker));
      for (; begin < end; ++begin) channel(x, y, begin, epilogue, slab);
    });
  }

 private:
  // Beyond the last plane a vector may be read and written.
  std::size_t slab_bytes() const {
    const auto planes = static_cast<std::int64_t>(x_.first.size() * y_.first.size());
    return static_cast<std::size_t>((planes * plane_ + 16 + 15) / 16 * 16) * sizeof(float);
  }

  void fill(const float* from, float* slab) const {
    SlabPlane plane{};
    plane.from = from;
    plane.height = shape_.height;
    plane.width_in = shape_.width;
    plane.step_y = shape_.stride_y;
    plane.step_x = shape_.stride_x;
    plane.rows = shape_.out_height + y_.extra;
    plane.width = slab_width_;
    plane.to = slab;
    for (const std::int64_t first_y : y_.first) {
      for (const std::int64_t first_x : x_.first) {
        plane.first_y = first_y - shape_.pad_top;
        plane.first_x = first_x - shape_.pad_left;
        weights_.slab().copy(plane);
        plane.to += plane_;
      }
    }
  }

  // All outputs of channel `index`, counted over the images.
  void channel(const float* x, float* y, std::int64_t index, const Epilogue& epilogue,
               float* slab) const {
    fill(x + index * shape_.height * shape_.width, slab);
    const std::int64_t multiplier = shape_.outputs / shape_.channels;
    DepthwisePlane plane{};
    plane.inputs = slab;
    plane.input_row = slab_width_;
    plane.offsets = offsets_.data();
    plane.taps = static_cast<int>(offsets_.size());
    if (shape_.stride_y == 1 && shape_.dilation_y == 1) {
      plane.column_rows = static_cast<int>(shape_.kernel_height);
    }
    plane.rows = shape_.out_height;
    plane.width = shape_.out_width;
    plane.low = epilogue.low;
    plane.high = epilogue.high;
    for (std::int64_t i = 0; i < multiplier; ++i) {
      const std::int64_t output = index % shape_.channels * multiplier + i;
      const std::int64_t place = (index * multiplier + i) * plane.rows * plane.width;
      plane.weights = weights_.weights(output);
      plane.y = y + place;
      plane.addend = epilogue.addend ? epilogue.addend + place : nullptr;
      plane.scale = epilogue.scale ? epilogue.scale[output] : 1.0f;
      plane.bias = epilogue.bias ? epilogue.bias[output] : 0.0f;
      weights_.rows().plane(plane);
    }
  }

  const DepthwiseConv& weights_;
  ConvShape shape_;
  SlabAxis x_, y_;
  std::int64_t slab_width_, plane_;  // floats of a row and of a plane
  std::vector<std::int32_t> offsets_;
};

std::unique_ptr<ConvPlan> DepthwiseConv::plan(const ConvShape& shape) const {
  return std::make_unique<DepthwisePlan>(*this, shape);
}

}  // namespace

std::unique_ptr<ConvWeights> depthwise_conv(const float* weights, const ConvShape& shape) {
  return std::make_unique<DepthwiseConv>(weights, shape);
}

}  // namespace laconic::kernels
