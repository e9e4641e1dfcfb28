#include "kernels/best_linear.h"

#include "kernels/dense_linear.h"
#include "kernels/distinct.h"
#include "kernels/sparse_linear.h"

namespace laconic::kernels {

std::unique_ptr<LinearWeights> best_linear(const float* weights, std::int64_t outputs,
                                           std::int64_t depth, std::int64_t rows) {
  const std::int64_t size = outputs * depth;
  std::int64_t non_zeros = 0;
  for (std::int64_t i = 0; i < size; ++i) non_zeros += weights[i] != 0;
  const bool codes = !distinct_values(weights, size, 256, true).empty();
  const double dense = dense_linear_cost(outputs, depth, rows);
  if (sparse_linear_cost(outputs, depth, non_zeros, codes, rows) < dense) {
    return sparse_linear(weights, outputs, depth);
  }
  return dense_linear(weights, outputs, depth);
}

}  // namespace laconic::kernels
