// Numbers of one type as another.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

namespace laconic::engine {

// As a C++ cast, but a number that does not fit has a value too: what its lowest bits say, for an
// integer; the smallest of the 64 bits, for a float beyond them.
template <typename To, typename From>
To converted(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr auto BOUND = static_cast<From>(9223372036854775808.0);
    if (x >= -BOUND && x < BOUND) return static_cast<To>(static_cast<std::int64_t>(x));
    if (std::is_same_v<To, std::uint64_t> && x >= BOUND && x < 2 * BOUND) {
      return static_cast<To>(x);
    }
    return static_cast<To>(std::numeric_limits<std::int64_t>::min());
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace laconic::engine
