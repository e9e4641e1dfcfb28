// Convolution of signs with signs: XNOR-Net (arXiv:1603.05279), section 3.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layers.h"

namespace laconic::kernels {

// One size of image; see ConvPlan.
class XnorConvPlan {
 public:
  virtual ~XnorConvPlan() = default;
  virtual std::size_t scratch_bytes(std::int64_t images, int threads) const = 0;
  // As ConvPlan::run, for an x that holds +c and -c alone (any finite c but 0): the sums are exact
  // integers, multiplied by alpha * c * scale. Returns false, with y unfinished, where x holds
  // another value; 0 and NaN are such.
  virtual bool run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
                   std::byte* scratch, Pool& pool) const = 0;
};

// Weights that are +alpha or -alpha, one alpha for each output: their signs in bits.
class XnorConv {
 public:
  // weights [outputs, channels / groups, kernel_height, kernel_width], for which is_binary holds.
  XnorConv(const float* weights, const ConvShape& shape);
  std::size_t bytes() const;
  // See ConvWeights::plan.
  std::unique_ptr<XnorConvPlan> plan(const ConvShape& shape) const;

 private:
  std::vector<std::uint32_t> signs_;  // [outputs][taps][words]
  std::vector<float> alphas_;         // [outputs]
};

}  // namespace laconic::kernels
