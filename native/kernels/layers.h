// What the engine asks of a layer with weights, whatever form its weights have in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

#include "kernels/pool.h"

namespace laconic::kernels {

// What happens to an output before it is stored:
//   y = min(high, max(low, scale[o] * product + bias[o] + addend)); a NaN stays one.
struct Epilogue {
  const float* scale = nullptr;   // [outputs], 1 where absent
  const float* bias = nullptr;    // [outputs], 0 where absent
  const float* addend = nullptr;  // laid out as y, 0 where absent
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// Sizes of a convolution of one image; a convolution along one axis has height 1.
struct ConvShape {
  std::int64_t channels = 0, outputs = 0, groups = 1;  // of all groups together
  std::int64_t height = 0, width = 0;                  // of the input
  std::int64_t out_height = 0, out_width = 0;
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride_y = 1, stride_x = 1;
  std::int64_t dilation_y = 1, dilation_x = 1;
  std::int64_t pad_top = 0, pad_left = 0;  // below and to the right: what the output's size needs
  // Rows of zeros behind each plane of x, of y and of the addend, and before the first of all; only
  // as ConvPlan::may_lie_apart allows. A plan writes those of y.
  std::int64_t x_apart = 0, y_apart = 0, addend_apart = 0;

  std::int64_t depth() const { return channels / groups * kernel_height * kernel_width; }
};

// A convolution for one size of image: everything that can be computed beforehand is.
class ConvPlan {
 public:
  virtual ~ConvPlan() = default;
  // Bytes (a multiple of 64) that `run` may write, at an address divisible by 64.
  virtual std::size_t scratch_bytes(std::int64_t images, int threads) const = 0;
  // Whether x, y and the addend may have rows of zeros between their planes.
  virtual bool may_lie_apart() const { return false; }
  // So many rows of zeros between the planes of x would make a plan faster; 0: none.
  virtual std::int64_t wanted_apart() const { return 0; }
  // x [images, channels, height, width] to y [images, outputs, out_height, out_width], both dense
  // but for the rows of zeros of the shape; nothing else outside x is read. Several threads may run
  // one plan, each with its own scratch.
  virtual void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
                   std::byte* scratch, Pool& pool) const = 0;
};

// The weights of a convolution, [outputs, channels / groups, kernel_height, kernel_width].
class ConvWeights {
 public:
  virtual ~ConvWeights() = default;
  virtual const char* form() const = 0;   // "dense", "sparse", "binary", ...
  virtual std::size_t bytes() const = 0;  // in memory
  // The sizes of image in `shape` are new; the others are those that the weights were made for.
  // The weights must outlive the plan.
  virtual std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const = 0;
};

// The weight of y = x W^T: W is [outputs, depth], x is [rows, depth], y is [rows, outputs].
class LinearWeights {
 public:
  virtual ~LinearWeights() = default;
  virtual const char* form() const = 0;
  virtual std::size_t bytes() const = 0;
  virtual std::size_t scratch_bytes(std::int64_t rows, int threads) const = 0;
  // Row i of x begins at x + i * x_stride, of y (and the addend) at y + i * y_stride; in floats.
  virtual void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
                   std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
                   Pool& pool) const = 0;
};

}  // namespace laconic::kernels
