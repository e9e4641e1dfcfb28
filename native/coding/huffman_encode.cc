#include <algorithm>
#include <limits>
#include <vector>

#include "coding/bytes.h"
#include "coding/canonical.h"
#include "coding/slots.h"

namespace laconic::coding {
namespace {

// The code in the high bits, its length in the low eight; 0xFF where there is no code.
constexpr std::uint32_t kNoCode = 0xFF;

// Codes by value, in a table when the symbols lie close together.
template <typename T>
class TableOfCodes {
 public:
  TableOfCodes(const T* symbols, const std::vector<std::uint32_t>& codes, T lowest, T highest)
      : lowest_(lowest), codes_(static_cast<std::size_t>(highest - lowest) + 1, kNoCode) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes_[static_cast<std::size_t>(symbols[i] - lowest)] = codes[i];
    }
  }
  std::uint32_t operator()(T value) const {
    const auto offset = static_cast<std::size_t>(static_cast<T>(value - lowest_));
    return offset < codes_.size() ? codes_[offset] : kNoCode;
  }

 private:
  T lowest_;
  std::vector<std::uint32_t> codes_;
};

template <typename T>
class HashOfCodes {
 public:
  HashOfCodes(const T* symbols, const std::vector<std::uint32_t>& codes)
      : slots_(codes.size()), codes_(slots_.size(), kNoCode) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t place = slots_.find(symbols[i]);
      slots_.take(place, symbols[i]);
      codes_[place] = codes[i];
    }
  }
  std::uint32_t operator()(T value) const { return codes_[slots_.find(value)]; }

 private:
  HashSlots slots_;
  std::vector<std::uint32_t> codes_;
};

template <typename T, typename Codes>
void write(const T* values, std::size_t count, const Codes& codes, std::uint8_t* out,
           std::size_t size) {
  std::uint64_t pending = 0;  // the next bits, from the highest down
  int filled = 0;             // below 32 between two codes
  std::size_t used = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t code = codes(values[i]);
    require(code != kNoCode, "a value has no code");
    const int length = static_cast<int>(code & 0xFF);
    // `length` is at least 1 here: a lone symbol never comes so far.
    pending |= std::uint64_t{code >> 8} << (64 - filled - length);
    filled += length;
    if (filled >= 32) {
      require(size - used >= 4, "the codes take more bytes than the output has");
      store_big(pending, out + used, 4);
      used += 4;
      pending <<= 32;
      filled -= 32;
    }
  }
  const auto rest = static_cast<std::size_t>(filled + 7) / 8;
  require(size - used == rest, "the codes take another number of bytes than the output has");
  store_big(pending, out + used, rest);
}

}  // namespace

template <typename T>
void huffman_encode(const T* values, std::size_t count, const T* symbols,
                    const std::uint8_t* lengths, std::size_t symbol_count, std::uint8_t* out,
                    std::size_t size) {
  const CanonicalCode code(lengths, symbol_count);
  if (symbol_count == 1) {
    const bool same =
        std::all_of(values, values + count, [&](T value) { return value == symbols[0]; });
    require(same, "a value has no code");
    require(size == 0, "a lone symbol takes no bits");
    return;
  }
  std::vector<std::uint32_t> codes(symbol_count);
  for (std::size_t rank = 0; rank < symbol_count; ++rank) {
    const std::uint32_t place = code.order[rank];
    const int length = lengths[place];
    const auto number = (code.first[length] >> (kLongestCode - length)) +
                        static_cast<std::uint32_t>(rank) - code.rank[length];
    codes[place] = number << 8 | static_cast<std::uint32_t>(length);
  }
  const auto [lowest, highest] = std::minmax_element(symbols, symbols + symbol_count);
  const std::uint64_t reach = std::uint64_t{*highest} - std::uint64_t{*lowest};
  if (reach < kPlainSpan && reach < 256 + 2 * std::uint64_t{count}) {
    write(values, count, TableOfCodes<T>(symbols, codes, *lowest, *highest), out, size);
  } else {
    write(values, count, HashOfCodes<T>(symbols, codes), out, size);
  }
}

#define LACONIC_FOR(T)                                                                      \
  template void huffman_encode<T>(const T*, std::size_t, const T*, const std::uint8_t*,     \
                                  std::size_t, std::uint8_t*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
