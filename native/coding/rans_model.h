// What the rANS encoder and decoder check and share.
#pragma once

#include <cstring>

#include "coding/bytes.h"
#include "coding/rans.h"

namespace laconic::coding {

inline void require_model(const std::uint16_t* frequencies, std::size_t symbol_count,
                          int precision, std::size_t lanes) {
  require(precision >= kLeastPrecision && precision <= kMostPrecision,
          "a precision must be from 5 to 12 bits");
  require(lanes >= 1 && lanes <= kMostLanes && (lanes & (lanes - 1)) == 0,
          "lanes must be 1, 2, 4, 8, 16 or 32");
  require(symbol_count >= 2 && symbol_count <= std::size_t{1} << precision,
          "a model has from 2 to 2^precision symbols");
  std::size_t total = 0;
  for (std::size_t i = 0; i < symbol_count; ++i) {
    require(frequencies[i] != 0, "a frequency is 0");
    total += frequencies[i];
  }
  require(total == std::size_t{1} << precision, "the frequencies do not add up to 2^precision");
}

inline std::uint32_t load_word(const std::uint8_t* from) {
  return static_cast<std::uint32_t>(from[0] | from[1] << 8);
}

}  // namespace laconic::coding
