// y = x W^T for floats x and weights that are +alpha or -alpha: additions alone.
//
// The sums of a few inputs under every pattern of their signs fill one vector (two inputs for each
// doubling of the lanes); each lane is an output and picks its entry by a permutation.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

constexpr int BINARY_ROWS = 4;  // of x, multiplied together

struct BinaryLinearTask {
  const float* tables;  // row r at tables + r * table_step, as `tabulate` writes them
  std::int64_t table_step;
  std::int64_t words;          // of each output
  const std::uint32_t* signs;  // [blocks of `lanes` outputs][words][lanes]
  std::int64_t outputs;
  const float* alphas;       // [outputs]
  const Epilogue* epilogue;  // of these outputs
  float* y;                  // row r at y + r * y_step
  std::int64_t y_step;
  std::int64_t rows;  // at most BINARY_ROWS
};

struct BinaryLinearKernels {
  int lanes;
  int positions;  // whose signs stand in one vector of a table
  int per_word;   // tables whose patterns stand in one word, the first in its low bits
  // The tables from position begin * positions to before end * positions of x [depth]: entry n is
  // the sum of its positions, negative where their bit of n is 1. Beyond the depth x counts as 0.
  void (*tabulate)(const float* x, std::int64_t depth, std::int64_t begin, std::int64_t end,
                   float* tables);
  void (*multiply)(const BinaryLinearTask& task);
};

LACONIC_KERNELS(BinaryLinearKernels, binary_linear)

// weights [outputs, depth], for which is_binary (signs.h) holds; form() is "binary".
std::unique_ptr<LinearWeights> binary_linear(const float* weights, std::int64_t outputs,
                                             std::int64_t depth);

// An estimate of nanoseconds; see dense_linear_cost.
double binary_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows);

}  // namespace laconic::kernels
