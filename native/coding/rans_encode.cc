#include <algorithm>
#include <vector>

#include "coding/rans_model.h"
#include "coding/slots.h"

namespace laconic::coding {
namespace {

// A symbol's share of the states; frequency 0 marks a value that is no symbol.
struct Share {
  std::uint64_t reciprocal = 0;
  std::uint32_t frequency = 0;
  std::uint32_t start = 0;
};

std::vector<Share> shares(const std::uint16_t* frequencies, std::size_t count, int precision) {
  std::vector<Share> all(count);
  std::uint32_t start = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t frequency = frequencies[i];
    // x / f is x * reciprocal >> (32 + precision), exactly: x is below f * 2^(32 - precision), so
    // that the error of rounding up stays below one part and the product below 2^64.
    all[i].reciprocal = ((std::uint64_t{1} << (32 + precision)) + frequency - 1) / frequency;
    all[i].frequency = frequencies[i];
    all[i].start = start;
    start += frequencies[i];
  }
  return all;
}

template <typename T>
class TableOfShares {
 public:
  TableOfShares(const T* symbols, const std::vector<Share>& all, T lowest, T highest)
      : lowest_(lowest), shares_(static_cast<std::size_t>(highest - lowest) + 1) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      shares_[static_cast<std::size_t>(symbols[i] - lowest)] = all[i];
    }
  }
  const Share& operator()(T value) const {
    const auto offset = static_cast<std::size_t>(static_cast<T>(value - lowest_));
    return offset < shares_.size() ? shares_[offset] : none_;
  }

 private:
  T lowest_;
  std::vector<Share> shares_;
  Share none_;
};

template <typename T>
class HashOfShares {
 public:
  HashOfShares(const T* symbols, const std::vector<Share>& all)
      : slots_(all.size()), shares_(slots_.size()) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t place = slots_.find(symbols[i]);
      slots_.take(place, symbols[i]);
      shares_[place] = all[i];
    }
  }
  const Share& operator()(T value) const { return shares_[slots_.find(value)]; }

 private:
  HashSlots slots_;
  std::vector<Share> shares_;
};

// From the last item to the first; words are written downwards. Returns where they begin.
template <typename T, typename Shares>
std::uint8_t* write(const T* values, std::size_t count, const Shares& share_of, int precision,
                    std::size_t lanes, std::uint32_t* states, std::uint8_t* to) {
  std::uint32_t missing = 0;
  for (std::size_t i = count; i-- > 0;) {
    const Share& share = share_of(values[i]);
    missing |= share.frequency == 0 ? 1u : 0u;
    std::uint32_t& state = states[i & (lanes - 1)];
    std::uint32_t x = state;
    // The word is stored whether or not it is kept: a branch would be guessed wrong half the time.
    to[-1] = static_cast<std::uint8_t>(x >> 8);
    to[-2] = static_cast<std::uint8_t>(x);
    const auto full = static_cast<std::uint32_t>(x >= share.frequency << (32 - precision));
    to -= 2 * full;
    x >>= 16 * full;
    const auto quotient = static_cast<std::uint32_t>(x * share.reciprocal >> (32 + precision));
    state = x + share.start + quotient * ((std::uint32_t{1} << precision) - share.frequency);
  }
  require(missing == 0, "a value has no frequency");
  return to;
}

}  // namespace

template <typename T>
std::int64_t rans_encode(const T* values, std::size_t count, const T* symbols,
                         const std::uint16_t* frequencies, std::size_t symbol_count, int precision,
                         std::size_t lanes, std::uint8_t* out, std::size_t size) {
  require_model(frequencies, symbol_count, precision, lanes);
  require(size >= 4 * lanes && size - 4 * lanes == 2 * count,
          "the output has not four bytes a lane and two an item");
  const auto all = shares(frequencies, symbol_count, precision);
  std::uint32_t states[kMostLanes];
  std::fill(states, states + kMostLanes, kLowestState);
  const auto [lowest, highest] = std::minmax_element(symbols, symbols + symbol_count);
  const std::uint64_t reach = std::uint64_t{*highest} - std::uint64_t{*lowest};
  std::uint8_t* to = out + size;
  if (reach < kPlainSpan && reach < 256 + 2 * std::uint64_t{count}) {
    to = write(values, count, TableOfShares<T>(symbols, all, *lowest, *highest), precision, lanes,
               states, to);
  } else {
    to = write(values, count, HashOfShares<T>(symbols, all), precision, lanes, states, to);
  }
  for (std::size_t lane = lanes; lane-- > 0;) store_little(states[lane], to -= 4, 4);
  return to - out;
}

#define LACONIC_FOR(T)                                                                            \
  template std::int64_t rans_encode<T>(const T*, std::size_t, const T*, const std::uint16_t*,     \
                                       std::size_t, int, std::size_t, std::uint8_t*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
