#include "coding/context_model.h"

#include <cmath>

namespace laconic::coding::context {

Tables::Tables() {
  for (int i = 0; i < 4096; ++i) {
    stretch[static_cast<std::size_t>(i)] =
        static_cast<std::int16_t>(std::lround(256 * std::log((i + 0.5) / (4095.5 - i))));
    int top = 0;
    while (i >> (top + 1) != 0) ++top;
    level[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(i < 2 ? i : std::min(2 * top + (i >> (top - 1) & 1), static_cast<int>(kLevels) - 1));
  }
  for (int i = -kMostStretch; i <= kMostStretch; ++i) {
    squash[static_cast<std::size_t>(i + kMostStretch)] =
        static_cast<std::int32_t>(std::lround(65536 / (1 + std::exp(-i / 256.0))));
  }
  for (int n = 0; n <= kMostSeen; ++n) rate[static_cast<std::size_t>(n)] = 8192 / (2 * n + 3);
}

const Tables kTables;

namespace {

// One for each context of `look`, kernels or not.
std::size_t size_contexts(std::size_t kernel) { return 1 + kLevels + 4 * kLevels * kLevels + kernel * kLevels; }

std::size_t sign_contexts(std::size_t kernel) {
  return 1 + 9 + 27 + kSignLevels * kSignLevels + kSignLevels + kSignLevels * kLevels + kernel * kSignLevels;
}

}  // namespace

template <bool Kernels>
Model<Kernels>::Model(const Geometry& shape, std::size_t count, int most_exponent)
    : shape_(shape),
      has_rows_(count > shape.columns),
      most_exponent_(most_exponent),
      first_mantissa_(static_cast<std::size_t>(1 + std::min(most_exponent, kNodes))),
      sizes_(size_contexts(shape.kernel), first_mantissa_ + 8 * first_mantissa_),
      signs_(sign_contexts(shape.kernel), 1),
      values_(64 + (has_rows_ ? 2 * shape.columns : 0) + count),
      place_(values_.size() - count),
      column_means_(Kernels ? (has_rows_ ? shape.columns : 1) : 0, -1),
      channels_(has_rows_ ? shape.columns / shape.kernel : 1),
      pulls_(Kernels ? shape.kernel : 0) {}

template class Model<false>;
template class Model<true>;

}  // namespace laconic::coding::context
