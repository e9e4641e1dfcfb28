// The distinct values of an array, for tables of values that codes point to.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace laconic::kernels {

// The distinct values of `count` floats in the order of their bits, or, where there are more than
// `most` (at most 256), an empty vector. -0.0 counts as 0.0; with `skip_zeros`, zeros do not count.
std::vector<float> distinct_values(const float* values, std::int64_t count, int most,
                                   bool skip_zeros);

// The place of each value in a table of distinct values: at most 256, -0.0 counts as 0.0.
class CodeOf {
 public:
  explicit CodeOf(const std::vector<float>& table);
  // The value must be in the table.
  std::uint8_t operator()(float value) const {
    const std::uint32_t bits = bits_of(value);
    std::uint32_t place = place_of(bits);
    while (bits_[place] != bits) place = (place + 1) % PLACES;
    return codes_[place];
  }

 private:
  static constexpr std::uint32_t PLACES = 1024;  // open addressing
  static std::uint32_t bits_of(float value) {
    if (value == 0) value = 0;
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
  }
  static std::uint32_t place_of(std::uint32_t bits) { return (bits * 2654435761u) >> 22; }

  std::vector<std::uint32_t> bits_;
  std::vector<std::uint8_t> codes_;
};

}  // namespace laconic::kernels
