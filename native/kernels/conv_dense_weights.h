// The packed weights of a dense convolution; used by conv_dense.cc alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/conv_dense_plan.h"
#include "kernels/conv_slab.h"
#include "kernels/dense_tile.h"
#include "kernels/layers.h"

namespace laconic::kernels {

// Packed as [group][run of channels][block of outputs][depth of the run][packed rows].
class DenseConv final : public ConvWeights {
 public:
  // `weights` [outputs, channels / groups, kernel_height, kernel_width]
  DenseConv(const float* weights, const ConvShape& shape);

  const char* form() const override { return "dense"; }
  std::size_t bytes() const override { return packed_.size() * sizeof(float); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override;

  const DenseTileKernels& tile() const { return tile_; }
  const ConvSlabKernels& slab() const { return slab_; }
  std::int64_t channels() const { return channels_; }
  // The weights of a block for the run of channels that begins at `channel`.
  const float* at(std::int64_t group, std::int64_t channel, const OutputBlock& block) const {
    return packed_.data() + place(group, channel, block);
  }

 private:
  std::int64_t kernel() const { return shape_.kernel_height * shape_.kernel_width; }
  std::int64_t place(std::int64_t group, std::int64_t channel, const OutputBlock& block) const {
    const std::int64_t all = shape_.channels / shape_.groups;
    const std::int64_t run = std::min(channels_, all - channel);
    return ((group * all + channel) * columns_ + block.column * run) * kernel();
  }

  ConvShape shape_;
  const DenseTileKernels& tile_;
  const ConvSlabKernels& slab_;
  std::int64_t channels_;     // of a run
  std::int64_t columns_ = 0;  // packed rows of all blocks of a group
  std::vector<float> packed_;
};

}  // namespace laconic::kernels
