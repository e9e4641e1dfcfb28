// y = x W^T where only the non-zeros of W are kept: NaN is one, -0.0 is none.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/instructions.h"
#include "kernels/layers.h"
#include "kernels/linear_survey.h"

namespace laconic::kernels {

// Keeps the non-zeros of `weights` [outputs, depth] in the form that is estimated to take least
// time for `rows` rows; form() is "sparse". Where W has at most 256 distinct non-zeros, one takes
// at most 3.1 bytes, else 6.4; an output takes 3 bytes more.
std::unique_ptr<LinearWeights> sparse_linear(const float* weights, std::int64_t outputs,
                                             std::int64_t depth, std::int64_t rows = 1);
std::unique_ptr<LinearWeights> sparse_linear(const float* weights, const LinearSurvey& survey,
                                             std::int64_t rows);

// An estimate of the nanoseconds that `rows` rows take on one thread; see dense_linear_cost.
double sparse_linear_cost(const float* weights, const LinearSurvey& survey, std::int64_t rows);

// Non-zeros of one output within a block of columns: x[columns[i]] counts for the value of code
// codes[i] or for values[i]; one of the two is null.
struct SparseRun {
  const std::uint16_t* columns;
  const std::uint8_t* codes;
  const float* table;  // 32 or 256 floats: the codes' values, then any
  std::int64_t table_length;
  const float* values;
  std::int64_t count;
};

struct SparseLinearKernels {
  int lanes;
  // The sum over a run for one row.
  float (*dot)(const SparseRun& run, const float* x);
  // For `vectors` (1, 2 or 4) times lanes rows, x[column * stride + row]: adds to sums[row].
  void (*lanes_dot)(const SparseRun& run, const float* x, std::int64_t stride, int vectors,
                    float* sums);
};
LACONIC_KERNELS(SparseLinearKernels, sparse_linear_kernels)

}  // namespace laconic::kernels
