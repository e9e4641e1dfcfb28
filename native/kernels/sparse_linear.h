// y = x W^T where only the non-zeros of W are kept.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

// Keeps the non-zeros of `weights` [outputs, depth] (NaN is one, -0.0 is none); form() is "sparse".
// A non-zero takes 3 bytes where W has at most 256 distinct ones, else 6; an output 3 bytes more.
std::unique_ptr<LinearWeights> sparse_linear(const float* weights, std::int64_t outputs,
                                             std::int64_t depth);

// An estimate of the nanoseconds that `rows` rows take on one thread; see dense_linear_cost.
double sparse_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t non_zeros,
                          bool codes, std::int64_t rows);

// Non-zeros of one output within a block of columns: x[columns[i]] counts for the value of code
// codes[i] or for values[i]; one of the two is null.
struct SparseRun {
  const std::uint16_t* columns;
  const std::uint8_t* codes;
  const float* table;
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
