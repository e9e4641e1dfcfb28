// Products of 8-bit integers, summed exactly in 32 bits (modulo 2^32): one vector of unsigned times
// signed items, four positions of the depth to a word.
#pragma once

#include <cstdint>

namespace laconic::kernels {

struct Int8Tile {
  const std::uint32_t* panel;  // [words][vectors * lanes]
  std::int64_t words;
  int vectors;
  const std::uint32_t* rows;  // row r at rows + r * row_step
  std::int64_t row_step;
  std::int64_t count;  // of rows
  std::int32_t* sums;  // [count][vectors * lanes]: of row r with each column of the panel
};

struct Int8Dot {
  int lanes;
  int vectors;                                   // in a tile, at most
  void (*unsigned_panel)(const Int8Tile& tile);  // times signed rows
  void (*signed_panel)(const Int8Tile& tile);    // times unsigned rows
  double product_ns;                             // measured for one product on a Zen 5 processor
};

// sums[i] -= factor * items[i], modulo 2^32.
inline void subtract_products(std::int32_t* sums, std::int64_t count, std::int32_t factor,
                              const std::int32_t* items) {
  for (std::int64_t i = 0; i < count; ++i) {
    sums[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[i]) -
                                        static_cast<std::uint32_t>(factor) *
                                            static_cast<std::uint32_t>(items[i]));
  }
}

// The fastest that this processor has and that is allowed.
const Int8Dot& int8_dot();

}  // namespace laconic::kernels
