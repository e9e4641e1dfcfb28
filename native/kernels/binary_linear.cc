#include "kernels/binary_linear.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/scratch.h"
#include "kernels/signs.h"

namespace laconic::kernels {

namespace {

// Additions that take about as long as to wake another thread.
constexpr std::int64_t WORTH_A_THREAD = 1 << 17;

template <typename Body>
void split(Pool& pool, std::int64_t count, std::int64_t additions, const Body& body) {
  if (additions < WORTH_A_THREAD) {
    body(0, count, 0);
  } else {
    pool.split(count, body);
  }
}

class Weights final : public LinearWeights {
 public:
  Weights(const float* weights, std::int64_t outputs, std::int64_t depth)
      : kernels_(binary_linear()),
        outputs_(outputs),
        depth_(depth),
        alphas_(magnitudes(weights, outputs, depth)) {
    const std::int64_t lanes = kernels_.lanes, in_word = kernels_.positions * kernels_.per_word;
    words_ = (depth + in_word - 1) / in_word;
    const std::int64_t blocks = (outputs + lanes - 1) / lanes;
    signs_.resize(static_cast<std::size_t>(blocks * words_ * lanes));
    for (std::int64_t o = 0; o < outputs; ++o) {
      for (std::int64_t k = 0; k < depth; ++k) {
        const std::uint32_t negative = std::signbit(weights[o * depth + k]);
        const std::int64_t word = (o / lanes * words_ + k / in_word) * lanes + o % lanes;
        signs_[static_cast<std::size_t>(word)] |= negative << (k % in_word);
      }
    }
  }

  const char* form() const override { return "binary"; }
  std::size_t bytes() const override { return 4 * (signs_.size() + alphas_.size()); }
  std::size_t scratch_bytes(std::int64_t rows, int) const override {
    const std::int64_t together = std::min<std::int64_t>(rows, BINARY_ROWS);
    return rounded_to_line(static_cast<std::size_t>(together * table_size()) * sizeof(float));
  }
  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
           Pool& pool) const override;

 private:
  std::int64_t tables() const { return words_ * kernels_.per_word; }
  std::int64_t table_size() const { return tables() * kernels_.lanes; }

  const BinaryLinearKernels& kernels_;
  std::int64_t outputs_, depth_, words_;
  std::vector<std::uint32_t> signs_;  // [blocks of lanes][words][lanes]
  std::vector<float> alphas_;
};

void Weights::run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
                  std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
                  Pool& pool) const {
  float* table = reinterpret_cast<float*>(scratch);
  const std::int64_t lanes = kernels_.lanes, blocks = (outputs_ + lanes - 1) / lanes;
  for (std::int64_t first = 0; first < rows; first += BINARY_ROWS) {
    const std::int64_t count = std::min<std::int64_t>(BINARY_ROWS, rows - first);
    split(pool, tables(), count * table_size(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = 0; row < count; ++row) {
        kernels_.tabulate(x + (first + row) * x_stride, depth_, begin, end,
                          table + row * table_size());
      }
    });
    split(pool, blocks, count * outputs_ * depth_, [&](std::int64_t begin, std::int64_t end, int) {
      const std::int64_t output = begin * lanes, place = first * y_stride + output;
      Epilogue part = epilogue;
      if (part.scale) part.scale += output;
      if (part.bias) part.bias += output;
      if (part.addend) part.addend += place;
      const BinaryLinearTask task{table,
                                  table_size(),
                                  words_,
                                  signs_.data() + output * words_,
                                  std::min(end * lanes, outputs_) - output,
                                  alphas_.data() + output,
                                  &part,
                                  y + place,
                                  y_stride,
                                  count};
      kernels_.multiply(task);
    });
  }
}

}  // namespace

std::unique_ptr<LinearWeights> binary_linear(const float* weights, std::int64_t outputs,
                                             std::int64_t depth) {
  return std::make_unique<Weights>(weights, outputs, depth);
}

double binary_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows) {
  const BinaryLinearKernels& kernels = binary_linear();
  // Nanoseconds of a vector of outputs under one table, and to make a table: on a Zen 5 processor.
  const double add = kernels.lanes == 16 ? 0.3 : kernels.lanes == 8 ? 0.3 : 1.1;
  const double make = kernels.lanes == 4 ? 4.0 : 1.1;
  const double vectors = static_cast<double>((outputs + kernels.lanes - 1) / kernels.lanes);
  const std::int64_t in_word = kernels.positions * kernels.per_word;
  const double tables = static_cast<double>((depth + in_word - 1) / in_word * kernels.per_word);
  return 50 + static_cast<double>(rows) * tables * (make + vectors * add);
}

}  // namespace laconic::kernels
