#include "kernels/distinct.h"

#include <algorithm>
#include <cstring>

namespace laconic::kernels {
namespace {

std::uint32_t bits_of(float value) {
  if (value == 0) value = 0;  // -0.0 too
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Open addressing over 1024 places: at most 256 values are in it.
class Seen {
 public:
  // False when the value was there before.
  bool insert(std::uint32_t bits) {
    std::uint32_t place = (bits * 2654435761u) >> 22;
    while (used_[place]) {
      if (bits_[place] == bits) return false;
      place = (place + 1) & 1023u;
    }
    used_[place] = true;
    bits_[place] = bits;
    return true;
  }

 private:
  bool used_[1024] = {};
  std::uint32_t bits_[1024] = {};
};

}  // namespace

std::vector<float> distinct_values(const float* values, std::int64_t count, int most,
                                   bool skip_zeros) {
  Seen seen;
  std::vector<std::uint32_t> found;
  for (std::int64_t i = 0; i < count; ++i) {
    if (skip_zeros && values[i] == 0) continue;
    const std::uint32_t bits = bits_of(values[i]);
    if (!seen.insert(bits)) continue;
    if (static_cast<int>(found.size()) == most) return {};
    found.push_back(bits);
  }
  std::sort(found.begin(), found.end());
  std::vector<float> table;
  for (const std::uint32_t bits : found) table.push_back(float_of(bits));
  return table;
}

CodeOf::CodeOf(const std::vector<float>& table) {
  // A free place holds bits that belong elsewhere, so that they are never asked for there.
  const std::uint32_t nowhere = table.empty() ? 0 : bits_of(table[0]);
  bits_.assign(PLACES, nowhere);
  codes_.assign(PLACES, 0);
  std::vector<bool> taken(PLACES, false);
  for (std::size_t code = 0; code < table.size(); ++code) {
    std::uint32_t place = place_of(bits_of(table[code]));
    while (taken[place]) place = (place + 1) % PLACES;
    taken[place] = true;
    bits_[place] = bits_of(table[code]);
    codes_[place] = static_cast<std::uint8_t>(code);
  }
}

}  // namespace laconic::kernels
