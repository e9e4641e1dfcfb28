#include <algorithm>
#include <vector>

#include "coding/cpu.h"
#include "coding/rans_model.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define LACONIC_AVX2
#include <immintrin.h>
#endif

namespace laconic::coding {
namespace {

constexpr std::size_t kBlock = 4096;  // ranks that are decoded before they become values

// What is left to read, and the states of all lanes.
struct Source {
  const std::uint8_t* next;
  const std::uint8_t* end;
  std::uint32_t states[kMostLanes];

  std::size_t words() const { return static_cast<std::size_t>(end - next) / 2; }
};

// For each slot the rank of its symbol (or with one-byte items the symbol itself) from bit 24 on,
// the frequency from bit 12 on, and how far the slot lies in the symbol's share. A frequency is
// below 2^12, since there are two symbols or more.
std::vector<std::uint32_t> narrow_slots(const std::uint16_t* frequencies, std::size_t count,
                                        const std::uint8_t* byte_of_rank) {
  std::vector<std::uint32_t> slots;
  for (std::size_t rank = 0; rank < count; ++rank) {
    for (std::uint32_t i = 0; i < frequencies[rank]; ++i) {
      slots.push_back(std::uint32_t{byte_of_rank[rank]} << 24 |
                      std::uint32_t{frequencies[rank]} << 12 | i);
    }
  }
  return slots;
}

// The same with more than 256 symbols: the rank from bit 32 on.
std::vector<std::uint64_t> wide_slots(const std::uint16_t* frequencies, std::size_t count) {
  std::vector<std::uint64_t> slots;
  for (std::size_t rank = 0; rank < count; ++rank) {
    for (std::uint32_t i = 0; i < frequencies[rank]; ++i) {
      slots.push_back(std::uint64_t{rank} << 32 | std::uint64_t{frequencies[rank]} << 12 | i);
    }
  }
  return slots;
}

inline std::uint8_t rank_in(std::uint32_t slot) { return static_cast<std::uint8_t>(slot >> 24); }
inline std::uint16_t rank_in(std::uint64_t slot) { return static_cast<std::uint16_t>(slot >> 32); }

// One step of a lane without its refill.
template <typename Slot>
inline std::uint32_t step(std::uint32_t x, Slot slot, int precision) {
  return static_cast<std::uint32_t>(slot >> 12 & 0xFFF) * (x >> precision) +
         static_cast<std::uint32_t>(slot & 0xFFF);
}

// Decodes ranks number `from` to `count`; false when the words end too early.
template <typename Slot, typename Rank>
bool decode_scalar(Source& source, const std::vector<Slot>& slots, int precision,
                   std::size_t lanes, Rank* out, std::size_t from, std::size_t count) {
  const std::uint32_t mask = (std::uint32_t{1} << precision) - 1;
  std::size_t i = from;
  const std::uint8_t* next = source.next;
  // Whole rounds of all lanes: no check of the end for each item, and no branch for each refill.
  while (i % lanes == 0 && count - i >= lanes &&
         static_cast<std::size_t>(source.end - next) >= 2 * lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const Slot slot = slots[source.states[lane] & mask];
      out[i + lane] = rank_in(slot);
      const std::uint32_t x = step(source.states[lane], slot, precision);
      const auto low = static_cast<std::uint32_t>(x < kLowestState);
      source.states[lane] = x << 16 * low | (load_word(next) & (0 - low));
      next += 2 * low;
    }
    i += lanes;
  }
  for (; i < count; ++i) {
    std::uint32_t& state = source.states[i & (lanes - 1)];
    const Slot slot = slots[state & mask];
    out[i] = rank_in(slot);
    state = step(state, slot, precision);
    if (state >= kLowestState) continue;
    if (source.end - next < 2) return false;
    state = state << 16 | load_word(next);
    next += 2;
  }
  source.next = next;
  return true;
}

#ifdef LACONIC_AVX2
// For each set of lanes that need a word: which of the next eight words each lane takes.
struct Refills {
  alignas(32) std::uint32_t word[256][8];
  Refills() : word() {
    for (std::uint32_t set = 0; set < 256; ++set) {
      std::uint32_t next = 0;
      for (std::uint32_t lane = 0; lane < 8; ++lane) {
        if (set >> lane & 1) word[set][lane] = next++;
      }
    }
  }
};

// Rounds of 32 lanes, eight in a register; returns how many ranks were decoded.
__attribute__((target("avx2,popcnt"))) std::size_t decode_avx2(
    Source& source, const std::vector<std::uint32_t>& slots, int precision, std::uint8_t* out,
    std::size_t count) {
  static const Refills refills;
  const __m256i mask = _mm256_set1_epi32((1 << precision) - 1);
  const __m256i low_twelve = _mm256_set1_epi32(0xFFF);
  const __m256i bytes_of_four = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto* table = reinterpret_cast<const int*>(slots.data());
  const __m128i shift = _mm_cvtsi32_si128(precision);
  __m256i state[4], slot[4];
  for (int group = 0; group < 4; ++group) {
    state[group] =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source.states + 8 * group));
  }
  std::size_t i = 0;
  const std::uint8_t* next = source.next;
  // A round takes at most 32 words and loads none behind them.
  while (count - i >= 32 && source.end - next >= 2 * 32) {
    for (int group = 0; group < 4; ++group) {
      slot[group] = _mm256_i32gather_epi32(table, _mm256_and_si256(state[group], mask), 4);
    }
    for (int group = 0; group < 4; ++group) {
      const __m256i frequency = _mm256_and_si256(_mm256_srli_epi32(slot[group], 12), low_twelve);
      const __m256i within = _mm256_and_si256(slot[group], low_twelve);
      const __m256i x = _mm256_add_epi32(
          _mm256_mullo_epi32(frequency, _mm256_srl_epi32(state[group], shift)), within);
      const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
      const auto set = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
      const __m256i words = _mm256_permutevar8x32_epi32(
          _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(next))),
          _mm256_load_si256(reinterpret_cast<const __m256i*>(refills.word[set])));
      const __m256i filled = _mm256_or_si256(_mm256_slli_epi32(x, 16), words);
      state[group] = _mm256_blendv_epi8(x, filled, low);
      next += 2 * _mm_popcnt_u32(set);
    }
    for (int group = 0; group < 4; ++group) slot[group] = _mm256_srli_epi32(slot[group], 24);
    const __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(slot[0], slot[1]),
                                               _mm256_packus_epi32(slot[2], slot[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm256_permutevar8x32_epi32(packed, bytes_of_four));
    i += 32;
  }
  for (int group = 0; group < 4; ++group) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(source.states + 8 * group), state[group]);
  }
  source.next = next;
  return i;
}
#endif

bool decode_ranks(Source& source, const std::vector<std::uint32_t>& slots, int precision,
                  std::size_t lanes, std::uint8_t* out, std::size_t count) {
  std::size_t done = 0;
#ifdef LACONIC_AVX2
  if (lanes == kMostLanes && has_avx2()) {
    done = decode_avx2(source, slots, precision, out, count);
  }
#endif
  return decode_scalar(source, slots, precision, lanes, out, done, count);
}

bool decode_ranks(Source& source, const std::vector<std::uint64_t>& slots, int precision,
                  std::size_t lanes, std::uint16_t* out, std::size_t count) {
  return decode_scalar(source, slots, precision, lanes, out, 0, count);
}

// Blocks of ranks, and their values. A block is a multiple of the lanes, so that each begins with
// the first lane.
template <typename Rank, typename Slot, typename T>
bool decode_values(Source& source, const std::vector<Slot>& slots, int precision,
                   std::size_t lanes, const T* symbols, T* out, std::size_t count) {
  Rank ranks[kBlock];
  for (std::size_t done = 0; done < count;) {
    const std::size_t part = std::min(kBlock, count - done);
    if (!decode_ranks(source, slots, precision, lanes, ranks, part)) return false;
    for (std::size_t i = 0; i < part; ++i) out[done + i] = symbols[ranks[i]];
    done += part;
  }
  return true;
}

template <typename T>
bool decode_all(Source& source, const T* symbols, const std::uint16_t* frequencies,
                std::size_t symbol_count, int precision, std::size_t lanes, T* out,
                std::size_t count) {
  if constexpr (sizeof(T) == 1) {
    return decode_ranks(source, narrow_slots(frequencies, symbol_count, symbols), precision, lanes,
                        out, count);
  } else {
    if (symbol_count > 256) {
      return decode_values<std::uint16_t>(source, wide_slots(frequencies, symbol_count), precision,
                                          lanes, symbols, out, count);
    }
    std::uint8_t ranks[256];
    for (std::size_t i = 0; i < 256; ++i) ranks[i] = static_cast<std::uint8_t>(i);
    return decode_values<std::uint8_t>(source, narrow_slots(frequencies, symbol_count, ranks),
                                       precision, lanes, symbols, out, count);
  }
}

}  // namespace

template <typename T>
std::int64_t rans_decode(const std::uint8_t* data, std::size_t size, const T* symbols,
                         const std::uint16_t* frequencies, std::size_t symbol_count, int precision,
                         std::size_t lanes, T* out, std::size_t count) {
  require_model(frequencies, symbol_count, precision, lanes);
  if (size < 4 * lanes) return static_cast<std::int64_t>(size);
  if (size % 2 != 0) return static_cast<std::int64_t>(size) - 1;
  Source source{data + 4 * lanes, data + size, {}};
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    source.states[lane] = static_cast<std::uint32_t>(load_little(data + 4 * lane, 4));
    if (source.states[lane] < kLowestState) return static_cast<std::int64_t>(4 * lane);
  }
  if (!decode_all(source, symbols, frequencies, symbol_count, precision, lanes, out, count)) {
    return static_cast<std::int64_t>(size);
  }
  if (source.next != source.end) return source.next - data;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    if (source.states[lane] != kLowestState) return static_cast<std::int64_t>(4 * lane);
  }
  return kGood;
}

#define LACONIC_FOR(T)                                                                          \
  template std::int64_t rans_decode<T>(const std::uint8_t*, std::size_t, const T*,              \
                                       const std::uint16_t*, std::size_t, int, std::size_t, T*, \
                                       std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
