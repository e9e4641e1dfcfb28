// The distinct values of an array, for tables of values that codes point to.
#pragma once

#include <cstdint>
#include <vector>

namespace laconic::kernels {

// The distinct values of `count` floats in the order of their bits, or, where there are more than
// `most` (at most 256), an empty vector. -0.0 counts as 0.0; with `skip_zeros`, zeros do not count.
std::vector<float> distinct_values(const float* values, std::int64_t count, int most,
                                   bool skip_zeros);

// The place of each value in a table that `distinct_values` made.
class CodeOf {
 public:
  explicit CodeOf(const std::vector<float>& table);
  std::uint8_t operator()(float value) const;

 private:
  std::vector<std::uint32_t> bits_;
};

}  // namespace laconic::kernels
