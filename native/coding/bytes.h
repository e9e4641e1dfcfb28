// Loads and stores of fixed byte order; compilers make one instruction of each.
#pragma once

#include <cstddef>
#include <cstdint>

namespace laconic::coding {

inline std::uint64_t load_little(const std::uint8_t* from, std::size_t size = 8) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint64_t{from[i]} << (8 * i);
  return value;
}

inline void store_little(std::uint64_t value, std::uint8_t* to, std::size_t size = 8) {
  for (std::size_t i = 0; i < size; ++i) to[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

inline std::uint64_t load_big(const std::uint8_t* from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value |= std::uint64_t{from[i]} << (56 - 8 * i);
  return value;
}

inline void store_big(std::uint64_t value, std::uint8_t* to, std::size_t size = 8) {
  for (std::size_t i = 0; i < size; ++i) to[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
}

}  // namespace laconic::coding
