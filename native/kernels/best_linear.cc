#include "kernels/best_linear.h"

#include <algorithm>

#include "kernels/binary_linear.h"
#include "kernels/codebook_linear.h"
#include "kernels/dense_linear.h"
#include "kernels/int8_grid.h"
#include "kernels/int8_linear.h"
#include "kernels/signs.h"
#include "kernels/sparse_linear.h"

namespace laconic::kernels {
namespace {

// Estimated nanoseconds, and what the bytes are worth: of two forms that are as fast, the smaller.
double price(double nanoseconds, double bytes) {
  return nanoseconds + 0.006 * bytes * std::min(1.0, bytes / 16e6);
}

}  // namespace

std::unique_ptr<LinearWeights> best_linear(const float* weights, std::int64_t outputs,
                                           std::int64_t depth, std::int64_t rows, bool int8) {
  if (is_binary(weights, outputs, depth) &&
      binary_linear_cost(outputs, depth, rows) <= dense_linear_cost(outputs, depth, rows)) {
    return binary_linear(weights, outputs, depth);
  }
  const LinearSurvey survey = survey_linear(weights, outputs, depth);
  const auto size = static_cast<double>(survey.size());
  const auto non_zeros = static_cast<double>(survey.non_zeros);
  const bool few = fits_codebook(survey);
  // The estimates err by about a tenth; what is gained must be more.
  const double dense = price(0.92 * dense_linear_cost(outputs, depth, rows), 4 * size);
  const double sparse = price(sparse_linear_cost(weights, survey, rows), (few ? 3 : 6) * non_zeros);
  const double codebook =
      few ? price(codebook_linear_cost(survey, rows), codebook_bytes(survey)) : 2 * dense;
  const double half =
      survey.half || survey.bfloat16 ? price(half_linear_cost(survey, rows), 2 * size) : 2 * dense;
  Int8Weights grid;
  if (int8 && int8_linear_cost(outputs, depth, rows) < std::min({dense, sparse, codebook, half}) &&
      int8_grid(weights, outputs, depth, grid)) {
    return int8_linear(grid, outputs, depth);
  }
  const double best = std::min({dense, sparse, codebook, half});
  if (best == sparse) return sparse_linear(weights, survey, rows);
  if (best == codebook) return codebook_linear(weights, survey);
  if (best == half) return half_linear(weights, survey);
  return dense_linear(weights, outputs, depth);
}

}  // namespace laconic::kernels
