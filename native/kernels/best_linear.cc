#include "kernels/best_linear.h"

#include "kernels/binary_linear.h"
#include "kernels/dense_linear.h"
#include "kernels/signs.h"
#include "kernels/sparse_linear.h"

namespace laconic::kernels {

std::unique_ptr<LinearWeights> best_linear(const float* weights, std::int64_t outputs,
                                           std::int64_t depth, std::int64_t rows) {
  if (is_binary(weights, outputs, depth) &&
      binary_linear_cost(outputs, depth, rows) <= dense_linear_cost(outputs, depth, rows)) {
    return binary_linear(weights, outputs, depth);
  }
  const LinearSurvey survey = survey_linear(weights, outputs, depth);
  if (sparse_linear_cost(weights, survey, rows) < dense_linear_cost(outputs, depth, rows)) {
    return sparse_linear(weights, survey, rows);
  }
  return dense_linear(weights, outputs, depth);
}

}  // namespace laconic::kernels
