// y = x W^T with 8-bit integers, summed exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/int8_dot.h"
#include "kernels/layers.h"

namespace laconic::kernels {

// Where the sums go: those of one row with neighbouring outputs.
class Int8RowSums {
 public:
  virtual ~Int8RowSums() = default;
  virtual void take(const std::int32_t* sums, std::int64_t row, std::int64_t output,
                    std::int64_t count) const = 0;
};

class Int8Linear {
 public:
  // Weight (o, k) at weights[o * output_step + k * depth_step]; zero_points [outputs] are what
  // stands for 0 in the weights of each output (null: 0).
  Int8Linear(const std::int8_t* weights, std::int64_t output_step, std::int64_t depth_step,
             const std::int32_t* zero_points, std::int64_t outputs, std::int64_t depth);
  std::size_t bytes() const;
  // Bytes from one row of x to the next: the depth, filled up with any items.
  std::int64_t row_bytes() const { return words_ * 4; }
  std::size_t scratch_bytes(int threads) const;
  // x [rows][row_bytes()], at an address divisible by 4, with a zero point for each row (null: 0).
  // The sums are those of (x - zero point) * (weight - zero point), modulo 2^32.
  void run(const std::uint8_t* x, const std::int32_t* x_zero_points, std::int64_t rows,
           const Int8RowSums& y, std::byte* scratch, Pool& pool) const;

 private:
  void correct(std::int32_t* sums, std::int64_t output, std::int64_t count, const std::uint8_t* x,
               std::int32_t zero) const;

  const Int8Dot& dot_;
  std::int64_t outputs_, depth_, words_;
  std::vector<std::uint32_t> weights_;     // [panels][words][vectors * lanes]
  std::vector<std::int32_t> sums_;         // [outputs]: of the weights
  std::vector<std::int32_t> zero_points_;  // [outputs], empty when all are 0
};

// Weights on a grid (int8_grid.h): floats in, rounded for each row to the grid of
// DynamicQuantizeLinear; floats out. form() is "int8".
struct Int8Weights;
std::unique_ptr<LinearWeights> int8_linear(const Int8Weights& weights, std::int64_t outputs,
                                           std::int64_t depth);

// An estimate of nanoseconds; see dense_linear_cost.
double int8_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows);

}  // namespace laconic::kernels
