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
  for (const float value : table) bits_.push_back(bits_of(value));
}

std::uint8_t CodeOf::operator()(float value) const {
  const auto at = std::lower_bound(bits_.begin(), bits_.end(), bits_of(value));
  return static_cast<std::uint8_t>(at - bits_.begin());
}

}  // namespace laconic::kernels
