// The arithmetic of context_portable.h, eight numbers at a time; the same results.
#pragma once

#include <immintrin.h>

#include "coding/context_tables.h"

#define LACONIC_AVX2 __attribute__((target("avx2")))
#define LACONIC_AVX2_INLINE LACONIC_AVX2 __attribute__((always_inline)) inline

namespace laconic::coding::context::avx2 {

LACONIC_AVX2_INLINE std::int32_t sum_of(__m256i lanes) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1)));
}

LACONIC_AVX2_INLINE __m256i load(const std::int32_t* from) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
}

LACONIC_AVX2_INLINE __m256i within(__m256i lanes, const std::int32_t* most,
                                   const std::int32_t* least) {
  return _mm256_max_epi32(_mm256_min_epi32(lanes, load(most)), load(least));
}

LACONIC_AVX2_INLINE void store(std::int32_t* to, __m256i lanes) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), lanes);
}

LACONIC_AVX2_INLINE __m256i turned(__m256i lanes, const std::int32_t* half) {
  return _mm256_xor_si256(lanes, load(half));
}

class Decision {
 public:
  LACONIC_AVX2_INLINE Decision(Estimate* estimates, const Places& places)
      : estimates_(estimates), places_(places) {
    const __m256 first = pairs(0, 4), second = pairs(2, 6);
    slow_ = turned(_mm256_castps_si256(_mm256_shuffle_ps(first, second, 0x88)), kEights.slow_half);
    const __m256i others = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xDD));
    fast_ = turned(_mm256_and_si256(others, load(kEights.low_half)), kEights.fast_half);
    const __m256i stretched = _mm256_srai_epi32(others, 16);
    inputs_ = _mm256_blend_epi32(stretched, load(kEights.constant), 0x80);
  }

  LACONIC_AVX2_INLINE int mixed(const Mixer& mixer) const {
    return sum_of(_mm256_srai_epi32(_mm256_mullo_epi32(load(mixer.weights), inputs_), 4)) >> 12;
  }

  LACONIC_AVX2_INLINE void learn(Mixer& mixer, int error, int shift, int bit) {
    const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    const __m256i scaled =
        _mm256_add_epi32(_mm256_mullo_epi32(inputs_, _mm256_set1_epi32(error)), half);
    const __m256i step = _mm256_sra_epi32(scaled, _mm_cvtsi32_si128(shift));
    store(mixer.weights, within(_mm256_add_epi32(load(mixer.weights), step), kEights.most_weight,
                                kEights.least_weight));

    const __m256i most_seen = load(kEights.most_seen);
    const __m256i seen = _mm256_and_si256(slow_, most_seen);
    // Whole quotients of small numbers: single precision gives them exactly.
    const __m256i divisor = _mm256_add_epi32(_mm256_add_epi32(seen, seen), load(kEights.three));
    const __m256i rate =
        _mm256_cvttps_epi32(_mm256_div_ps(_mm256_set1_ps(8192), _mm256_cvtepi32_ps(divisor)));
    const __m256i slow_error =
        _mm256_sub_epi32(_mm256_set1_epi32(-bit & 0x3FFFFF), _mm256_srli_epi32(slow_, 10));
    const __m256i slow_step =
        _mm256_srai_epi32(_mm256_mullo_epi32(_mm256_srai_epi32(slow_error, 3), rate), 9);
    slow_ = _mm256_add_epi32(slow_, _mm256_slli_epi32(slow_step, 10));
    slow_ = _mm256_sub_epi32(slow_, _mm256_cmpgt_epi32(most_seen, seen));
    const __m256i fast_error = _mm256_sub_epi32(_mm256_set1_epi32(-bit & 0xFFFF), fast_);
    const __m256i fast_rate = _mm256_max_epi32(rate, load(kEights.fast_rate));
    fast_ =
        _mm256_add_epi32(fast_, _mm256_srai_epi32(_mm256_mullo_epi32(fast_error, fast_rate), 12));

    const __m256i mean =
        _mm256_srli_epi32(_mm256_add_epi32(_mm256_srli_epi32(slow_, 16), fast_), 5);
    // 32 bits are loaded from a table of 16; what is too much is moved out.
    const auto* table = reinterpret_cast<const int*>(kTables.stretch.data());
    const __m256i stretched = _mm256_slli_epi32(_mm256_i32gather_epi32(table, mean, 2), 16);
    const __m256i slow = turned(slow_, kEights.slow_half);
    const __m256i fast = _mm256_or_si256(turned(fast_, kEights.fast_half), stretched);
    const __m256 low = _mm256_castsi256_ps(_mm256_unpacklo_epi32(slow, fast));
    const __m256 high = _mm256_castsi256_ps(_mm256_unpackhi_epi32(slow, fast));
    _mm_storel_pi(at(0), _mm256_castps256_ps128(low));
    _mm_storeh_pi(at(1), _mm256_castps256_ps128(low));
    _mm_storel_pi(at(2), _mm256_castps256_ps128(high));
    _mm_storeh_pi(at(3), _mm256_castps256_ps128(high));
    _mm_storel_pi(at(4), _mm256_extractf128_ps(low, 1));
    _mm_storeh_pi(at(5), _mm256_extractf128_ps(low, 1));
    _mm_storel_pi(at(6), _mm256_extractf128_ps(high, 1));
  }

 private:
  LACONIC_AVX2_INLINE __m64* at(std::size_t i) const {
    return reinterpret_cast<__m64*>(estimates_ + places_[i]);
  }

  // The estimates i and i + 1, j and j + 1; there is no estimate 7.
  LACONIC_AVX2_INLINE __m256 pairs(std::size_t i, std::size_t j) const {
    __m128 low = _mm_loadl_pi(_mm_setzero_ps(), at(i));
    __m128 high = _mm_loadl_pi(_mm_setzero_ps(), at(j));
    low = _mm_loadh_pi(low, at(i + 1));
    if (j + 1 < kContexts) high = _mm_loadh_pi(high, at(j + 1));
    return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
  }

  Estimate* estimates_;
  const Places& places_;
  __m256i slow_;
  __m256i fast_;
  __m256i inputs_;
};

// In a register: a load of items that were just stored one by one would wait for them.
struct Recent {
  __m128i items;
  LACONIC_AVX2_INLINE explicit Recent(const std::int16_t*) : items(_mm_setzero_si128()) {}
  LACONIC_AVX2_INLINE void push(int value) {
    items = _mm_insert_epi16(_mm_slli_si128(items, 2), value, 0);
  }
};

LACONIC_AVX2_INLINE void gather(Taps& taps, const Recent& recent, std::size_t inside, int above,
                                int channel) {
  const __m128i places = _mm_set_epi16(7, 6, 5, 4, 3, 2, 1, 0);
  const __m128i kept = _mm_cmpgt_epi16(_mm_set1_epi16(static_cast<short>(inside)), places);
  __m128i items = _mm_and_si128(recent.items, kept);
  items = _mm_insert_epi16(items, above, 6);
  items = _mm_insert_epi16(items, channel, 7);
  store(taps.items, _mm256_cvtepi16_epi32(items));
}

LACONIC_AVX2_INLINE std::int32_t weigh(const Taps& pulls, const Taps& taps) {
  return sum_of(_mm256_srai_epi32(_mm256_mullo_epi32(load(pulls.items), load(taps.items)), 4));
}

LACONIC_AVX2_INLINE std::int32_t power(const Taps& taps) {
  return sum_of(_mm256_mullo_epi32(load(taps.items), load(taps.items)));
}

LACONIC_AVX2_INLINE void move(Taps& pulls, const Taps& taps, std::int32_t gain) {
  const __m256i step =
      _mm256_srai_epi32(_mm256_mullo_epi32(load(taps.items), _mm256_set1_epi32(gain)), 5);
  store(pulls.items,
        within(_mm256_add_epi32(load(pulls.items), step), kEights.most_pull, kEights.least_pull));
}

}  // namespace laconic::coding::context::avx2
