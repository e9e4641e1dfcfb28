#include "kernels/conv_dense_weights.h"

#include <algorithm>

namespace laconic::kernels {

DenseConv::DenseConv(const float* weights, const ConvShape& shape)
    : shape_(shape),
      tile_(dense_tile()),
      slab_(conv_slab()),
      channels_(channels_at_a_time(shape, tile_.lanes)) {
  const std::int64_t outputs = shape.outputs / shape.groups, depth = shape.depth();
  const std::vector<OutputBlock> blocks = output_blocks(outputs, tile_.rows);
  columns_ = blocks.back().column + blocks.back().packed;
  packed_.assign(static_cast<std::size_t>(columns_ * depth * shape.groups), 0.0f);
  for (std::int64_t output = 0; output < shape.outputs; ++output) {
    const OutputBlock& block = blocks[static_cast<std::size_t>(output % outputs / tile_.rows)];
    const float* from = weights + output * depth;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t step = channels_ * kernel();
      float* to = packed_.data() + place(output / outputs, k / step * channels_, block);
      to[k % step * block.packed + output % outputs - block.first] = from[k];
    }
  }
}

}  // namespace laconic::kernels
