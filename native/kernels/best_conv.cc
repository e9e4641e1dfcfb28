#include "kernels/best_conv.h"

#include "kernels/conv_dense.h"

namespace laconic::kernels {

std::unique_ptr<ConvWeights> best_conv(const float* weights, const ConvShape& shape) {
  return dense_conv(weights, shape);
}

}  // namespace laconic::kernels
