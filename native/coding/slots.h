// From a value to a number of its own: a table when the values lie close together, else a hash
// table with open addressing. Both the histogram and the Huffman encoder look values up so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace laconic::coding {

// Values whose span is below this are looked up in a plain table (it fits the second-level cache).
constexpr std::uint64_t kPlainSpan = std::uint64_t{1} << 18;

class HashSlots {
 public:
  explicit HashSlots(std::size_t most) {
    while ((std::size_t{1} << bits_) < 2 * most) ++bits_;
    keys_.resize(std::size_t{1} << bits_);
    used_.resize(std::size_t{1} << bits_);
  }

  // Where `key` lies, or the free place where it belongs. At most half of the places may be taken,
  // so the walk ends.
  std::size_t find(std::uint64_t key) const {
    const std::size_t mask = (std::size_t{1} << bits_) - 1;
    // Fibonacci hashing: the high bits of the product depend on all bits of the key.
    auto place = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> (64 - bits_));
    while (used_[place] && keys_[place] != key) place = (place + 1) & mask;
    return place;
  }

  bool taken(std::size_t place) const { return used_[place] != 0; }
  void take(std::size_t place, std::uint64_t key) {
    keys_[place] = key;
    used_[place] = 1;
  }
  std::uint64_t key(std::size_t place) const { return keys_[place]; }
  std::size_t size() const { return keys_.size(); }

 private:
  int bits_ = 4;
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint8_t> used_;
};

}  // namespace laconic::coding
