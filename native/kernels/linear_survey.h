// What the values of a weight say about the forms that can keep it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace laconic::kernels {

struct LinearSurvey {
  std::int64_t outputs, depth, non_zeros;
  std::vector<float> table;  // the distinct non-zeros by their bits, empty if more than 256
  bool half, bfloat16;       // every value is a number of that format

  std::int64_t size() const { return outputs * depth; }
  bool has_zeros() const { return non_zeros < size(); }
};

// Nanoseconds until a byte of weights is there: many weights come from memory, few from caches.
// Measured on a Zen 5 processor.
inline double read_ns(double bytes) { return 0.004 + 0.02 * std::min(1.0, bytes / 16e6); }

LinearSurvey survey_linear(const float* weights, std::int64_t outputs, std::int64_t depth);

// The IEEE 754 binary16 number that equals `value`; false if there is none. -0.0 stays one.
bool exact_half(float value, std::uint16_t& half);

// Values scale * (code + offset) with codes 0 to 255, each rounded once to a float.
struct UniformGrid {
  bool found;
  float scale;
  std::int32_t offset;
};
UniformGrid uniform_grid(const std::vector<float>& values);

}  // namespace laconic::kernels
