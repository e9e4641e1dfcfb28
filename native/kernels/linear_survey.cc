#include "kernels/linear_survey.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/distinct.h"

namespace laconic::kernels {
namespace {

std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Whether every value is scale * k for integers k, of which the least and greatest are at most 255
// apart.
bool on_grid(const std::vector<float>& values, float scale, std::int32_t& offset) {
  std::int32_t low = 1 << 20, high = -low;
  for (const float value : values) {
    const float steps = std::round(value / scale);
    if (!(std::fabs(steps) <= 65536) || scale * steps != value) return false;
    low = std::min(low, static_cast<std::int32_t>(steps));
    high = std::max(high, static_cast<std::int32_t>(steps));
  }
  offset = low;
  return high - low <= 255;
}

}  // namespace

LinearSurvey survey_linear(const float* weights, std::int64_t outputs, std::int64_t depth) {
  LinearSurvey survey{outputs, depth, 0, {}, true, true};
  const std::int64_t size = survey.size();
  for (std::int64_t i = 0; i < size; ++i) survey.non_zeros += weights[i] != 0;
  for (std::int64_t i = 0; i < size && survey.bfloat16; ++i) {
    survey.bfloat16 = (bits_of(weights[i]) & 0xffff) == 0;
  }
  std::uint16_t half;
  for (std::int64_t i = 0; i < size && survey.half; ++i) survey.half = exact_half(weights[i], half);
  survey.table = distinct_values(weights, size, 256, true);
  return survey;
}

bool exact_half(float value, std::uint16_t& half) {
  const std::uint32_t bits = bits_of(value), sign = bits >> 31 << 15;
  const std::uint32_t mantissa = bits & 0x7fffff;
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127;
  std::uint32_t magnitude;
  if ((bits & 0x7fffffff) == 0) {
    magnitude = 0;
  } else if (exponent == 128) {
    magnitude = 0x7c00 | mantissa >> 13;
    if (mantissa & 0x1fff) return false;
  } else if (exponent >= -14 && exponent <= 15) {
    magnitude = static_cast<std::uint32_t>(exponent + 15) << 10 | mantissa >> 13;
    if (mantissa & 0x1fff) return false;
  } else if (exponent >= -24 && exponent < -14) {
    const int shift = -1 - exponent;  // a denormal number: units of 2^-24
    magnitude = (mantissa | 0x800000) >> shift;
    if ((magnitude << shift) != (mantissa | 0x800000)) return false;
  } else {
    return false;
  }
  half = static_cast<std::uint16_t>(sign | magnitude);
  return true;
}

// The span of the values is a whole number of steps; a step is at most the least difference. The
// scale that was used lies within some units in the last place of span / steps.
UniformGrid uniform_grid(const std::vector<float>& values) {
  std::vector<float> sorted = values;
  sorted.push_back(0.0f);
  for (const float value : sorted) {
    if (!std::isfinite(value)) return {false, 0, 0};
  }
  std::sort(sorted.begin(), sorted.end());
  double least = INFINITY;
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const double difference = static_cast<double>(sorted[i]) - sorted[i - 1];
    if (difference > 0) least = std::min(least, difference);
  }
  if (!std::isfinite(least)) return {false, 0, 0};
  const double span = static_cast<double>(sorted.back()) - sorted.front();
  const double steps = std::round(span / least);
  if (steps > 65536) return {false, 0, 0};
  auto scale = static_cast<float>(span / steps);
  for (int i = 0; i < 4; ++i) scale = std::nextafter(scale, 0.0f);
  UniformGrid grid = {false, 0, 0};
  for (int i = 0; i < 9 && !grid.found; ++i) {
    grid.scale = scale;
    grid.found = on_grid(values, scale, grid.offset);
    scale = std::nextafter(scale, INFINITY);
  }
  return grid;
}

}  // namespace laconic::kernels
