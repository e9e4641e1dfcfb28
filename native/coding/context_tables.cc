#include "coding/context_tables.h"

#include <cmath>

namespace laconic::coding::context {

Tables::Tables() : stretch{} {
  for (int i = 0; i < 4096; ++i) {
    const auto place = static_cast<std::size_t>(i);
    stretch[place] =
        static_cast<std::int16_t>(std::lround(256 * std::log((i + 0.5) / (4095.5 - i))));
  }
  for (int i = 0; i <= kMostLevelled; ++i) {
    int top = 0;
    while (i >> (top + 1) != 0) ++top;
    const int found = i < 2 ? i : 2 * top + (i >> (top - 1) & 1);
    level[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(std::min(found, static_cast<int>(kLevels) - 1));
  }
  for (int i = -kMostStretch; i <= kMostStretch; ++i) {
    squash[static_cast<std::size_t>(i + kMostStretch)] =
        static_cast<std::int32_t>(std::lround(65536 / (1 + std::exp(-i / 256.0))));
  }
  for (int n = 0; n <= kMostSeen; ++n) rate[static_cast<std::size_t>(n)] = 8192 / (2 * n + 3);
}

const Tables kTables;

Eights::Eights() {
  std::fill_n(slow_half, 8, static_cast<std::int32_t>(kSlowHalf));
  std::fill_n(fast_half, 8, static_cast<std::int32_t>(kFastHalf));
  std::fill_n(low_half, 8, 0xFFFF);
  std::fill_n(constant, 8, kConstant);
  std::fill_n(most_seen, 8, kMostSeen);
  std::fill_n(three, 8, 3);
  std::fill_n(fast_rate, 8, kFastRate);
  std::fill_n(most_weight, 8, kMostWeight);
  std::fill_n(least_weight, 8, -kMostWeight);
  std::fill_n(most_pull, 8, kMostPull);
  std::fill_n(least_pull, 8, -kMostPull);
}

const Eights kEights;

}  // namespace laconic::coding::context
