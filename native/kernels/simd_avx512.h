// The vocabulary of the kernels in AVX-512 (F, BW, DQ, VL). The same words stand in simd_avx2.h and
// simd_portable.h; a .inc file of kernels is written in them and compiled once for each.
#pragma once

// GCC 12 warns of its own "undefined" vectors (gcc.gnu.org/PR105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdint>

namespace laconic::kernels::avx512 {

constexpr int LANES = 16;      // floats in a vector
constexpr int REGISTERS = 32;  // vectors that fit in registers
using Floats = __m512;

static inline Floats zero() { return _mm512_setzero_ps(); }
static inline Floats all(float value) { return _mm512_set1_ps(value); }
static inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
static inline void store(float* to, Floats value) { _mm512_storeu_ps(to, value); }

// The first `count` lanes, 0 <= count <= LANES; nothing beyond them is read or written.
static inline __mmask16 first(int count) { return static_cast<__mmask16>((1u << count) - 1u); }
static inline Floats load_some(const float* from, int count) {
  return _mm512_maskz_loadu_ps(first(count), from);
}
static inline void store_some(float* to, Floats value, int count) {
  _mm512_mask_storeu_ps(to, first(count), value);
}

static inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
static inline Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
static inline Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
static inline Floats div(Floats a, Floats b) { return _mm512_div_ps(a, b); }
// a * b + c, rounded once (twice in the portable form).
static inline Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
// The second argument where either is NaN: maximum(bound, x) keeps a NaN of x.
static inline Floats maximum(Floats a, Floats b) { return _mm512_max_ps(a, b); }
static inline Floats minimum(Floats a, Floats b) { return _mm512_min_ps(a, b); }
static inline Floats square_root(Floats a) { return _mm512_sqrt_ps(a); }
// The sum of the lanes, in a fixed order.
static inline float sum(Floats a) { return _mm512_reduce_add_ps(a); }
// The largest and the smallest of lanes without NaN.
static inline float largest(Floats a) { return _mm512_reduce_max_ps(a); }
static inline float smallest(Floats a) { return _mm512_reduce_min_ps(a); }
// a 2^n for integers n from -152 to 128 and a near 1, rounded once.
static inline Floats times_power_of_two(Floats a, Floats n) { return _mm512_scalef_ps(a, n); }
// from[places[i]] for LANES places.
static inline Floats gather(const float* from, const std::int32_t* places) {
  return _mm512_i32gather_ps(_mm512_loadu_si512(places), from, 4);
}

// LANES 32-bit integers, and the same bits as floats.
using Ints = __m512i;
static inline Ints bits(Floats a) { return _mm512_castps_si512(a); }
static inline Floats from_bits(Ints a) { return _mm512_castsi512_ps(a); }
static inline Ints all_bits(std::int32_t value) { return _mm512_set1_epi32(value); }
static inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }  // modulo 2^32
static inline Ints sub(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
static inline Ints bit_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
static inline Ints bit_or(Ints a, Ints b) { return _mm512_or_si512(a, b); }
static inline Ints bit_xor(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
template <int places>
static inline Ints shift_left(Ints a) {
  return _mm512_slli_epi32(a, places);
}
// Copies of the sign come in from the left.
template <int places>
static inline Ints shift_right(Ints a) {
  return _mm512_srai_epi32(a, places);
}

// LANES integers of 32 bits in memory, at any address.
static inline Ints load_ints(const void* from) { return _mm512_loadu_si512(from); }
static inline void store_ints(void* to, Ints value) { _mm512_storeu_si512(to, value); }
// Zeros come in from the left.
template <int places>
static inline Ints shift_right_zeros(Ints a) {
  return _mm512_srli_epi32(a, places);
}
// Signed integers to the nearest floats.
static inline Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
// Lane i is lane index[i] modulo LANES of the table.
static inline Floats permute(Floats table, Ints index) {
  return _mm512_permutexvar_ps(index, table);
}

// A truth for each lane; a comparison with NaN is false.
using Mask = __mmask16;
static inline Mask less(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline Mask equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline Mask is_nan(Floats a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
static inline Mask negative(Ints a) { return _mm512_movepi32_mask(a); }
// True for the first `count` lanes, 0 <= count <= LANES.
static inline Mask lanes_below(int count) { return first(count); }
// True for lanes `begin` to before `end`, of any integers.
static inline Mask lanes_between(std::int64_t begin, std::int64_t end) {
  const int from = begin < 0 ? 0 : begin < LANES ? static_cast<int>(begin) : LANES;
  const int to = end < from ? from : end < LANES ? static_cast<int>(end) : LANES;
  return static_cast<Mask>(first(to) ^ first(from));
}
// Zero where the mask is false; nothing is read there.
static inline Floats load_where(Mask mask, const float* from) {
  return _mm512_maskz_loadu_ps(mask, from);
}
static inline bool any(Mask mask) { return mask != 0; }
// a where the mask is true, else b.
static inline Floats choose(Mask mask, Floats a, Floats b) {
  return _mm512_mask_blend_ps(mask, b, a);
}

// slide(a, other, slide_by(n)), |n| < LANES: lane i takes lane i + n of a; from beyond its end it
// takes the first lanes of `other` (n > 0), from before its beginning the last (n < 0).
using Slide = __m512i;
static inline Slide slide_by(int lanes) {
  return _mm512_add_epi32(_mm512_set1_epi32(lanes),
                          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
static inline Floats slide(Floats a, Floats other, Slide by) {
  return _mm512_permutex2var_ps(a, by, other);
}
// The same, but zero in the lanes whose bit is not set.
static inline Floats slide_some(Floats a, Floats other, Slide by, const std::uint16_t* lanes) {
  return _mm512_maskz_permutex2var_ps(*lanes, a, by, other);
}
// Lanes 0, 2, 4, ... of low followed by high.
static inline Floats evens(Floats low, Floats high) {
  const __m512i places =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(low, places, high);
}
// The same and lanes 1, 3, 5, ... in an order that costs less; unmixed() puts them in theirs.
static inline Floats mixed_evens(Floats low, Floats high) {
  return _mm512_shuffle_ps(low, high, 0x88);
}
static inline Floats mixed_odds(Floats low, Floats high) {
  return _mm512_shuffle_ps(low, high, 0xdd);
}
static inline Floats unmixed(Floats mixed) {
  const __m512i places = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  return _mm512_castpd_ps(_mm512_permutexvar_pd(places, _mm512_castps_pd(mixed)));
}

// Lane j of row i and lane i of row j change places.
static inline void transpose(Floats* row) {
  Floats pairs[16];
  for (int i = 0; i < 16; i += 4) {
    const __m512 low = _mm512_unpacklo_ps(row[i], row[i + 1]);
    const __m512 high = _mm512_unpackhi_ps(row[i], row[i + 1]);
    const __m512 low_next = _mm512_unpacklo_ps(row[i + 2], row[i + 3]);
    const __m512 high_next = _mm512_unpackhi_ps(row[i + 2], row[i + 3]);
    pairs[i] = _mm512_shuffle_ps(low, low_next, 0x44);
    pairs[i + 1] = _mm512_shuffle_ps(low, low_next, 0xee);
    pairs[i + 2] = _mm512_shuffle_ps(high, high_next, 0x44);
    pairs[i + 3] = _mm512_shuffle_ps(high, high_next, 0xee);
  }
  // pairs[4 a + c] holds, in quarter b, column 4 b + c of rows 4 a to 4 a + 3.
  for (int c = 0; c < 4; ++c) {
    const Floats low = _mm512_shuffle_f32x4(pairs[c], pairs[4 + c], 0x88);
    const Floats high = _mm512_shuffle_f32x4(pairs[8 + c], pairs[12 + c], 0x88);
    const Floats low_odd = _mm512_shuffle_f32x4(pairs[c], pairs[4 + c], 0xdd);
    const Floats high_odd = _mm512_shuffle_f32x4(pairs[8 + c], pairs[12 + c], 0xdd);
    row[c] = _mm512_shuffle_f32x4(low, high, 0x88);
    row[4 + c] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    row[8 + c] = _mm512_shuffle_f32x4(low, high, 0xdd);
    row[12 + c] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
  }
}

// LANES unsigned integers of 8 or 16 bits.
static inline Ints widen(const std::uint8_t* from) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
static inline Ints widen(const std::uint16_t* from) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
// Lane i is float index[i], modulo their number, of those in VECTORS (a power of two) vectors.
template <int VECTORS>
static inline Floats lookup(const Floats* table, Ints index) {
  if constexpr (VECTORS == 1) {
    return permute(table[0], index);
  } else if constexpr (VECTORS == 2) {
    return _mm512_permutex2var_ps(table[0], index, table[1]);
  } else {
    const Floats low = lookup<VECTORS / 2>(table, index);
    const Floats high = lookup<VECTORS / 2>(table + VECTORS / 2, index);
    const Mask upper = _mm512_test_epi32_mask(index, all_bits(VECTORS / 2 * LANES));
    return choose(upper, high, low);
  }
}

// LANES numbers of IEEE 754 binary16.
static inline Floats from_half(const void* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
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
  const __m256 low = _mm256_set_m128(gather_four(from, places + 4), gather_four(from, places));
  const __m256 high =
      _mm256_set_m128(gather_four(from, places + 12), gather_four(from, places + 8));
  return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

// Asks for the cache line at an address that will be read soon.
static inline void prefetch(const void* from) {
  _mm_prefetch(static_cast<const char*>(from), _MM_HINT_T0);
}

}  // namespace laconic::kernels::avx512
