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

}  // namespace laconic::coding::context
