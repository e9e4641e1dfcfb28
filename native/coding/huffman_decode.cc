#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "coding/bytes.h"
#include "coding/canonical.h"

namespace laconic::coding {
namespace {

constexpr int kWindow = 12;  // bits looked up at once: 4096 entries of 8 bytes
constexpr std::size_t kEntries = std::size_t{1} << kWindow;
constexpr std::size_t kPerEntry = 6;    // symbols that one entry can hold
constexpr std::size_t kSlack = 4 * 8;   // four lookups store eight bytes each, wanted or not
constexpr std::size_t kBlock = 4096;    // ranks that are decoded before they become values
constexpr std::size_t kWorthTables = 4096;  // below so many symbols the tables cost more

// Bits from the highest down. Behind the end come zeros; `left` says how many bits are real.
class Bits {
 public:
  Bits(const std::uint8_t* data, std::size_t size) : begin_(data), next_(data), end_(data + size) {}

  // At least 56 valid bits, if eight bytes are left to read. Bits below `held_` may already be
  // those of the next byte: the next fill writes the same ones there.
  bool fill_fast() {
    if (end_ - next_ < 8) return false;
    window_ |= load_big(next_) >> held_;
    next_ += (63 - held_) >> 3;
    held_ |= 56;
    return true;
  }

  // As many bits as there are, up to 57.
  void fill() {
    while (held_ <= 56 && next_ != end_) {
      // After fill_fast the bits of this byte may stand there already; or-ing them again is safe.
      window_ |= std::uint64_t{*next_++} << (56 - held_);
      held_ += 8;
    }
  }

  std::uint64_t window() const { return window_; }
  int held() const { return held_; }
  void skip(int count) {
    window_ <<= count;
    held_ -= count;
  }

  // Where the bits that were not skipped begin, in whole bytes, rounded up.
  std::size_t position() const {
    return static_cast<std::size_t>(next_ - begin_) - static_cast<std::size_t>(held_ / 8);
  }

 private:
  const std::uint8_t* begin_;
  const std::uint8_t* next_;
  const std::uint8_t* end_;
  std::uint64_t window_ = 0;
  int held_ = 0;
};

// Rank and length of the code with which a window begins; looks through lengths from `from` on.
inline std::uint32_t rank_of(const CanonicalCode& code, std::uint64_t window, int from,
                             int* length) {
  const auto high = static_cast<std::uint32_t>(window >> (64 - kLongestCode));
  int l = from;
  while (high >= code.limit[l]) ++l;  // ends: limit[20] is 2^20, as the code is complete
  *length = l;
  return code.rank[l] + ((high - code.first[l]) >> (kLongestCode - l));
}

// Up to 256 symbols: an entry holds the bits it takes, how many symbols it holds, and their
// ranks, or with one-byte items the symbols themselves; no symbols where the code is longer.
struct ManyTable {
  ManyTable(const CanonicalCode& code, const std::uint8_t* bytes_by_rank) {
    std::uint8_t byte[kEntries];
    std::uint8_t bits[kEntries];
    for (std::size_t i = 0; i < kEntries; ++i) {
      int length = 0;
      const std::uint32_t rank = rank_of(code, std::uint64_t{i} << (64 - kWindow), 1, &length);
      bits[i] = static_cast<std::uint8_t>(length);
      byte[i] = length <= kWindow ? bytes_by_rank[rank] : std::uint8_t{0};
    }
    for (std::size_t i = 0; i < kEntries; ++i) {
      std::uint64_t symbols = 0;
      std::uint64_t held = 0;
      int used = 0;
      for (std::size_t rest = i; held < kPerEntry; rest = i << used & (kEntries - 1)) {
        if (used + bits[rest] > kWindow) break;
        symbols |= std::uint64_t{byte[rest]} << (8 * held++);
        used += bits[rest];
      }
      entries[i] = symbols << 16 | held << 8 | static_cast<std::uint64_t>(used);
    }
  }
  std::uint64_t entries[kEntries];
};

// Decodes from `*out` on until fewer than kSlack places or eight bytes are left.
void decode_many(const CanonicalCode& code, const ManyTable& table,
                 const std::uint8_t* bytes_by_rank, Bits& bits, std::uint8_t** out,
                 const std::uint8_t* end) {
  std::uint8_t* to = *out;
  Bits local = bits;
  while (end - to >= static_cast<std::ptrdiff_t>(kSlack) && local.fill_fast()) {
    for (int lookup = 0; lookup < 4; ++lookup) {  // 4 * 12 bits of the 56
      const std::uint64_t entry = table.entries[local.window() >> (64 - kWindow)];
      const auto held = static_cast<std::size_t>(entry >> 8 & 0xFF);
      if (held == 0) {  // a long code, of up to 20 bits: there are at least 56 - 3 * 12
        int length = 0;
        *to++ = bytes_by_rank[rank_of(code, local.window(), kWindow + 1, &length)];
        local.skip(length);
        break;
      }
      store_little(entry >> 16, to);
      to += held;
      local.skip(static_cast<int>(entry & 0xFF));
    }
  }
  *out = to;
  bits = local;
}

// More than 256 symbols: one symbol for each lookup.
struct OneTable {
  explicit OneTable(const CanonicalCode& code) {
    for (std::size_t i = 0; i < kEntries; ++i) {
      int length = 0;
      const std::uint32_t rank = rank_of(code, std::uint64_t{i} << (64 - kWindow), 1, &length);
      entries[i] = length <= kWindow ? rank << 8 | static_cast<std::uint32_t>(length) : 0;
    }
  }
  std::uint32_t entries[kEntries];
};

template <typename T>
T* decode_ones(const CanonicalCode& code, const std::vector<T>& by_rank, Bits& bits, T* out,
               const T* end) {
  const OneTable table(code);
  Bits local = bits;
  while (end - out >= 2 && local.fill_fast()) {
    for (int lookup = 0; lookup < 2; ++lookup) {  // 2 * 20 bits of the 56
      const std::uint32_t entry = table.entries[local.window() >> (64 - kWindow)];
      int length = static_cast<int>(entry & 0xFF);
      std::uint32_t rank = entry >> 8;
      if (length == 0) rank = rank_of(code, local.window(), kWindow + 1, &length);
      *out++ = by_rank[rank];
      local.skip(length);
    }
  }
  bits = local;
  return out;
}

// The fast part of the way: returns where it stopped, near the end of the bytes or of the output.
template <typename T>
T* decode_most(const CanonicalCode& code, const std::vector<T>& by_rank, Bits& bits, T* out,
               const T* end) {
  if (by_rank.size() > 256) return decode_ones(code, by_rank, bits, out, end);
  if constexpr (sizeof(T) == 1) {
    const ManyTable table(code, by_rank.data());
    decode_many(code, table, by_rank.data(), bits, &out, end);
  } else {
    std::uint8_t ranks[256];
    for (std::size_t i = 0; i < 256; ++i) ranks[i] = static_cast<std::uint8_t>(i);
    T values[256] = {};
    std::copy(by_rank.begin(), by_rank.end(), values);
    const ManyTable table(code, ranks);
    std::uint8_t block[kBlock];
    for (bool more = true; more;) {
      const auto room = std::min(static_cast<std::size_t>(end - out), kBlock);
      std::uint8_t* stop = block;
      decode_many(code, table, ranks, bits, &stop, block + room);
      more = stop != block;
      for (const std::uint8_t* rank = block; rank != stop; ++rank) *out++ = values[*rank];
    }
  }
  return out;
}

}  // namespace

template <typename T>
std::int64_t huffman_decode(const std::uint8_t* data, std::size_t size, const T* symbols,
                            const std::uint8_t* lengths, std::size_t symbol_count, T* out,
                            std::size_t count) {
  const CanonicalCode code(lengths, symbol_count);
  if (symbol_count == 1) {
    std::fill(out, out + count, symbols[0]);
    return size == 0 ? kGood : 0;
  }
  std::vector<T> by_rank(symbol_count);
  for (std::size_t rank = 0; rank < symbol_count; ++rank) by_rank[rank] = symbols[code.order[rank]];
  Bits bits(data, size);
  T* const end = out + count;
  if (count >= kWorthTables) out = decode_most(code, by_rank, bits, out, end);
  while (out != end) {
    bits.fill();
    int length = 0;
    const std::uint32_t rank = rank_of(code, bits.window(), 1, &length);
    if (length > bits.held()) return static_cast<std::int64_t>(size);
    *out++ = by_rank[rank];
    bits.skip(length);
  }
  const std::size_t position = bits.position();
  if (position != size) return static_cast<std::int64_t>(position);
  const int spare = bits.held() % 8;
  if (spare != 0 && bits.window() >> (64 - spare) != 0) return static_cast<std::int64_t>(size) - 1;
  return kGood;
}

#define LACONIC_FOR(T)                                                                          \
  template std::int64_t huffman_decode<T>(const std::uint8_t*, std::size_t, const T*,           \
                                          const std::uint8_t*, std::size_t, T*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
