// The vocabulary of the kernels in plain C++, for every processor; see simd_avx512.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace laconic::kernels::portable {

constexpr int LANES = 4;
constexpr int REGISTERS = 16;
struct Floats {
  float lane[LANES];
};

template <typename Function>
static inline Floats each(Function function) {
  Floats out;
  for (int i = 0; i < LANES; ++i) out.lane[i] = function(i);
  return out;
}

static inline Floats all(float value) {
  return each([&](int) { return value; });
}
static inline Floats zero() { return all(0.0f); }
static inline Floats load(const float* from) {
  return each([&](int i) { return from[i]; });
}
static inline void store(float* to, Floats value) {
  for (int i = 0; i < LANES; ++i) to[i] = value.lane[i];
}
static inline Floats load_some(const float* from, int count) {
  return each([&](int i) { return i < count ? from[i] : 0.0f; });
}
static inline void store_some(float* to, Floats value, int count) {
  for (int i = 0; i < count; ++i) to[i] = value.lane[i];
}

static inline Floats add(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
static inline Floats sub(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
static inline Floats mul(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
static inline Floats div(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
static inline Floats fma(Floats a, Floats b, Floats c) {
  return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
static inline Floats maximum(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
static inline Floats minimum(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
static inline Floats square_root(Floats a) {
  return each([&](int i) { return std::sqrt(a.lane[i]); });
}
static inline float sum(Floats a) { return (a.lane[0] + a.lane[2]) + (a.lane[1] + a.lane[3]); }
static inline float largest(Floats a) {
  float best = a.lane[0];
  for (float lane : a.lane) best = lane > best ? lane : best;
  return best;
}
static inline float smallest(Floats a) {
  float best = a.lane[0];
  for (float lane : a.lane) best = lane < best ? lane : best;
  return best;
}
static inline Floats times_power_of_two(Floats a, Floats n) {
  return each([&](int i) {
    // Two factors: neither overflows, and only the last product rounds to a denormal number.
    const auto whole = static_cast<std::int32_t>(n.lane[i] == n.lane[i] ? n.lane[i] : 0.0f);
    const std::int32_t half = whole >> 1;
    const std::int32_t bits[2] = {(half + 127) * (1 << 23), (whole - half + 127) * (1 << 23)};
    float factors[2];
    std::memcpy(factors, bits, sizeof factors);
    return a.lane[i] * factors[0] * factors[1];
  });
}
static inline Floats gather(const float* from, const std::int32_t* places) {
  return each([&](int i) { return from[places[i]]; });
}

struct Ints {
  std::uint32_t lane[LANES];
};

template <typename Function>
static inline Ints each_int(Function function) {
  Ints out;
  for (int i = 0; i < LANES; ++i) out.lane[i] = static_cast<std::uint32_t>(function(i));
  return out;
}

static inline Ints bits(Floats a) {
  Ints out;
  std::memcpy(&out, &a, sizeof out);
  return out;
}
static inline Floats from_bits(Ints a) {
  Floats out;
  std::memcpy(&out, &a, sizeof out);
  return out;
}
static inline Ints all_bits(std::int32_t value) {
  return each_int([&](int) { return value; });
}
static inline Ints add(Ints a, Ints b) {
  return each_int([&](int i) { return a.lane[i] + b.lane[i]; });
}
static inline Ints sub(Ints a, Ints b) {
  return each_int([&](int i) { return a.lane[i] - b.lane[i]; });
}
static inline Ints bit_and(Ints a, Ints b) {
  return each_int([&](int i) { return a.lane[i] & b.lane[i]; });
}
static inline Ints bit_or(Ints a, Ints b) {
  return each_int([&](int i) { return a.lane[i] | b.lane[i]; });
}
static inline Ints bit_xor(Ints a, Ints b) {
  return each_int([&](int i) { return a.lane[i] ^ b.lane[i]; });
}
template <int places>
static inline Ints shift_left(Ints a) {
  return each_int([&](int i) { return a.lane[i] << places; });
}
template <int places>
static inline Ints shift_right(Ints a) {
  return each_int([&](int i) { return static_cast<std::int32_t>(a.lane[i]) >> places; });
}

static inline Ints load_ints(const void* from) {
  Ints out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
static inline void store_ints(void* to, Ints value) { std::memcpy(to, &value, sizeof value); }
template <int places>
static inline Ints shift_right_zeros(Ints a) {
  return each_int([&](int i) { return a.lane[i] >> places; });
}
static inline Floats to_floats(Ints a) {
  return each([&](int i) { return static_cast<float>(static_cast<std::int32_t>(a.lane[i])); });
}
static inline Floats permute(Floats table, Ints index) {
  return each([&](int i) { return table.lane[index.lane[i] % LANES]; });
}

struct Mask {
  bool lane[LANES];
};

template <typename Function>
static inline Mask each_truth(Function function) {
  Mask out;
  for (int i = 0; i < LANES; ++i) out.lane[i] = function(i);
  return out;
}

static inline Mask less(Floats a, Floats b) {
  return each_truth([&](int i) { return a.lane[i] < b.lane[i]; });
}
static inline Mask equal(Floats a, Floats b) {
  return each_truth([&](int i) { return a.lane[i] == b.lane[i]; });
}
static inline Mask is_nan(Floats a) {
  return each_truth([&](int i) { return a.lane[i] != a.lane[i]; });
}
static inline Mask negative(Ints a) {
  return each_truth([&](int i) { return (a.lane[i] >> 31) != 0; });
}
static inline Mask lanes_below(int count) {
  return each_truth([&](int i) { return i < count; });
}
static inline Mask lanes_between(std::int64_t begin, std::int64_t end) {
  return each_truth([&](int i) { return begin <= i && i < end; });
}
static inline Floats load_where(Mask mask, const float* from) {
  return each([&](int i) { return mask.lane[i] ? from[i] : 0.0f; });
}
static inline bool any(Mask mask) {
  for (bool truth : mask.lane) {
    if (truth) return true;
  }
  return false;
}
static inline Floats choose(Mask mask, Floats a, Floats b) {
  return each([&](int i) { return mask.lane[i] ? a.lane[i] : b.lane[i]; });
}

using Slide = int;
static inline Slide slide_by(int lanes) { return lanes; }
static inline Floats slide(Floats a, Floats other, Slide by) {
  return each([&](int i) {
    const int place = i + by;
    const bool inside = place >= 0 && place < LANES;
    return (inside ? a : other).lane[place & (LANES - 1)];
  });
}
static inline Floats slide_some(Floats a, Floats other, Slide by, const std::uint16_t* lanes) {
  const Floats whole = slide(a, other, by);
  return each([&](int i) { return (*lanes >> i & 1) != 0 ? whole.lane[i] : 0.0f; });
}
static inline Floats evens(Floats low, Floats high) {
  return each([&](int i) { return 2 * i < LANES ? low.lane[2 * i] : high.lane[2 * i - LANES]; });
}
static inline Floats mixed_evens(Floats low, Floats high) { return evens(low, high); }
static inline Floats mixed_odds(Floats low, Floats high) {
  return each(
      [&](int i) { return 2 * i < LANES ? low.lane[2 * i + 1] : high.lane[2 * i + 1 - LANES]; });
}
static inline Floats unmixed(Floats mixed) { return mixed; }

static inline void transpose(Floats* row) {
  for (int i = 0; i < LANES; ++i) {
    for (int j = 0; j < i; ++j) {
      const float value = row[i].lane[j];
      row[i].lane[j] = row[j].lane[i];
      row[j].lane[i] = value;
    }
  }
}

static inline Ints widen(const std::uint8_t* from) {
  return each_int([&](int i) { return from[i]; });
}
static inline Ints widen(const std::uint16_t* from) {
  return each_int([&](int i) { return from[i]; });
}
template <int VECTORS>
static inline Floats lookup(const Floats* table, Ints index) {
  return each([&](int i) {
    const std::uint32_t place = index.lane[i] % (VECTORS * LANES);
    return table[place / LANES].lane[place % LANES];
  });
}

static inline float half_value(std::uint32_t half) {
  const std::uint32_t magnitude_bits = (half & 0x7fff) << 13;
  const bool finite = (half & 0x7c00) != 0x7c00;
  std::uint32_t bits_of = finite ? magnitude_bits : magnitude_bits | 0x7f800000;
  float value;
  std::memcpy(&value, &bits_of, sizeof value);
  // The exponents' zero points lie 112 apart; denormal numbers come right by the same product.
  if (finite) value *= 5192296858534827628530496329220096.0f;
  return (half & 0x8000) ? -value : value;
}
static inline Floats from_half(const void* from) {
  std::uint16_t halves[LANES];
  std::memcpy(halves, from, sizeof halves);
  return each([&](int i) { return half_value(halves[i]); });
}

template <typename Place>
static inline Floats gather_small(const float* from, const Place* places) {
  return each([&](int i) { return from[places[i]]; });
}

static inline void prefetch(const void*) {}

}  // namespace laconic::kernels::portable
