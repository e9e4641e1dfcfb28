// The vocabulary of the kernels in AVX2 and FMA; see simd_avx512.h.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

namespace laconic::kernels::avx2 {

constexpr int LANES = 8;
constexpr int REGISTERS = 16;
using Floats = __m256;

static inline Floats zero() { return _mm256_setzero_ps(); }
static inline Floats all(float value) { return _mm256_set1_ps(value); }
static inline Floats load(const float* from) { return _mm256_loadu_ps(from); }
static inline void store(float* to, Floats value) { _mm256_storeu_ps(to, value); }

static inline __m256i first(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline Floats load_some(const float* from, int count) {
  return _mm256_maskload_ps(from, first(count));
}
static inline void store_some(float* to, Floats value, int count) {
  _mm256_maskstore_ps(to, first(count), value);
}

static inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
static inline Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
static inline Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
static inline Floats div(Floats a, Floats b) { return _mm256_div_ps(a, b); }
static inline Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
static inline Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }
static inline Floats minimum(Floats a, Floats b) { return _mm256_min_ps(a, b); }
static inline Floats square_root(Floats a) { return _mm256_sqrt_ps(a); }
static inline float sum(Floats a) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static inline float largest(Floats a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
static inline float smallest(Floats a) {
  __m128 half = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  half = _mm_min_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
}
// Two factors: neither overflows, and only the last product rounds to a denormal number.
static inline Floats times_power_of_two(Floats a, Floats n) {
  const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
  const __m256i one = _mm256_set1_epi32(127);
  const __m256i low = _mm256_slli_epi32(_mm256_add_epi32(half, one), 23);
  const __m256i high = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), one), 23);
  return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(low)), _mm256_castsi256_ps(high));
}
static inline Floats gather(const float* from, const std::int32_t* places) {
  const __m256i at = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(places));
  return _mm256_i32gather_ps(from, at, 4);
}

using Ints = __m256i;
static inline Ints bits(Floats a) { return _mm256_castps_si256(a); }
static inline Floats from_bits(Ints a) { return _mm256_castsi256_ps(a); }
static inline Ints all_bits(std::int32_t value) { return _mm256_set1_epi32(value); }
static inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
static inline Ints sub(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
static inline Ints bit_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
static inline Ints bit_or(Ints a, Ints b) { return _mm256_or_si256(a, b); }
static inline Ints bit_xor(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
template <int places>
static inline Ints shift_left(Ints a) {
  return _mm256_slli_epi32(a, places);
}
template <int places>
static inline Ints shift_right(Ints a) {
  return _mm256_srai_epi32(a, places);
}

static inline Ints load_ints(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
static inline void store_ints(void* to, Ints value) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}
template <int places>
static inline Ints shift_right_zeros(Ints a) {
  return _mm256_srli_epi32(a, places);
}
static inline Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
static inline Floats permute(Floats table, Ints index) {
  return _mm256_permutevar8x32_ps(table, index);
}

struct Mask {
  __m256 lanes;  // the top bit of each lane counts
};
static inline Mask less(Floats a, Floats b) { return {_mm256_cmp_ps(a, b, _CMP_LT_OQ)}; }
static inline Mask equal(Floats a, Floats b) { return {_mm256_cmp_ps(a, b, _CMP_EQ_OQ)}; }
static inline Mask is_nan(Floats a) { return {_mm256_cmp_ps(a, a, _CMP_UNORD_Q)}; }
static inline Mask negative(Ints a) { return {from_bits(a)}; }
static inline Mask lanes_below(int count) { return {from_bits(first(count))}; }
static inline Mask lanes_between(std::int64_t begin, std::int64_t end) {
  const int from = begin < 0 ? 0 : begin < LANES ? static_cast<int>(begin) : LANES;
  const int to = end < from ? from : end < LANES ? static_cast<int>(end) : LANES;
  return {_mm256_castsi256_ps(_mm256_xor_si256(first(to), first(from)))};
}
static inline Floats load_where(Mask mask, const float* from) {
  return _mm256_maskload_ps(from, _mm256_castps_si256(mask.lanes));
}
static inline bool any(Mask mask) { return _mm256_movemask_ps(mask.lanes) != 0; }
static inline Floats choose(Mask mask, Floats a, Floats b) {
  return _mm256_blendv_ps(b, a, mask.lanes);
}

struct Slide {
  __m256i places;     // rotates
  __m256 from_other;  // before it rotates
};
static inline Slide slide_by(int lanes) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i first_places = _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), lane);
  const __m256i last_places = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(LANES - 1 + lanes));
  return {_mm256_add_epi32(_mm256_set1_epi32(lanes), lane),
          _mm256_castsi256_ps(lanes >= 0 ? first_places : last_places)};
}
static inline Floats slide(Floats a, Floats other, Slide by) {
  return _mm256_permutevar8x32_ps(_mm256_blendv_ps(a, other, by.from_other), by.places);
}
static inline Floats slide_some(Floats a, Floats other, Slide by, const std::uint16_t* lanes) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(*lanes), bit);
  return _mm256_and_ps(slide(a, other, by), _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit)));
}
static inline Floats mixed_evens(Floats low, Floats high) {
  return _mm256_shuffle_ps(low, high, 0x88);
}
static inline Floats mixed_odds(Floats low, Floats high) {
  return _mm256_shuffle_ps(low, high, 0xdd);
}
static inline Floats unmixed(Floats mixed) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
static inline Floats evens(Floats low, Floats high) { return unmixed(mixed_evens(low, high)); }

static inline void transpose(Floats* row) {
  Floats pairs[8];
  for (int i = 0; i < 8; i += 4) {
    const __m256 low = _mm256_unpacklo_ps(row[i], row[i + 1]);
    const __m256 high = _mm256_unpackhi_ps(row[i], row[i + 1]);
    const __m256 low_next = _mm256_unpacklo_ps(row[i + 2], row[i + 3]);
    const __m256 high_next = _mm256_unpackhi_ps(row[i + 2], row[i + 3]);
    pairs[i] = _mm256_shuffle_ps(low, low_next, 0x44);
    pairs[i + 1] = _mm256_shuffle_ps(low, low_next, 0xee);
    pairs[i + 2] = _mm256_shuffle_ps(high, high_next, 0x44);
    pairs[i + 3] = _mm256_shuffle_ps(high, high_next, 0xee);
  }
  for (int c = 0; c < 4; ++c) {
    row[c] = _mm256_permute2f128_ps(pairs[c], pairs[4 + c], 0x20);
    row[4 + c] = _mm256_permute2f128_ps(pairs[c], pairs[4 + c], 0x31);
  }
}

static inline Ints widen(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}
static inline Ints widen(const std::uint16_t* from) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
template <int VECTORS>
static inline Floats lookup(const Floats* table, Ints index) {
  if constexpr (VECTORS == 1) {
    return permute(table[0], index);
  } else {
    const Floats low = lookup<VECTORS / 2>(table, index);
    const Floats high = lookup<VECTORS / 2>(table + VECTORS / 2, index);
    constexpr int bit = VECTORS == 2 ? 3 : VECTORS == 4 ? 4 : VECTORS == 8 ? 5 : 6;
    static_assert(VECTORS / 2 * LANES == 1 << bit, "more vectors than the bits above know");
    return choose(negative(shift_left<31 - bit>(index)), high, low);
  }
}

static inline Floats from_half(const void* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}

// from[places[i]] with small places. Loads and inserts: faster here than the gather instruction.
template <typename Place>
static inline __m128 gather_four(const float* from, const Place* places) {
  __m128 value = _mm_load_ss(from + places[0]);
  value = _mm_insert_ps(value, _mm_load_ss(from + places[1]), 0x10);
  value = _mm_insert_ps(value, _mm_load_ss(from + places[2]), 0x20);
  return _mm_insert_ps(value, _mm_load_ss(from + places[3]), 0x30);
}
template <typename Place>
static inline Floats gather_small(const float* from, const Place* places) {
  return _mm256_set_m128(gather_four(from, places + 4), gather_four(from, places));
}

static inline void prefetch(const void* from) {
  _mm_prefetch(static_cast<const char*>(from), _MM_HINT_T0);
}

}  // namespace laconic::kernels::avx2
