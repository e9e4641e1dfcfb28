#include "kernels/int8_grid.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace laconic::kernels {

namespace {

// Scales, as exact as double is, from which item * scale rounds to the weight for all weights seen.
struct Interval {
  double low = 0, high = INFINITY;
};

// Narrows the interval to that of one weight, if it is `item` steps; false where nothing is left.
bool narrow(Interval& interval, float weight, double item) {
  const float magnitude = std::fabs(weight);
  const double down = std::nextafterf(magnitude, 0.0f), up = std::nextafterf(magnitude, INFINITY);
  interval.low = std::max(interval.low, (magnitude + down) / 2 / item);
  interval.high = std::min(interval.high, (magnitude + up) / 2 / item);
  return interval.low <= interval.high;
}

bool reproduces(const float* weights, std::int64_t depth, float scale, std::int8_t* items) {
  for (std::int64_t k = 0; k < depth; ++k) {
    const float item = std::nearbyint(weights[k] / scale);
    if (!(std::fabs(item) <= 127.0f) || item * scale != weights[k]) return false;
    items[k] = static_cast<std::int8_t>(item);
  }
  return true;
}

// The largest weight as `most` steps of a scale.
bool fits(const float* weights, std::int64_t depth, float largest, int most, float& scale,
          std::int8_t* items) {
  Interval interval;
  const double steps = most / static_cast<double>(largest);
  for (std::int64_t k = 0; k < depth; ++k) {
    if (weights[k] == 0.0f) continue;
    const double item = std::nearbyint(std::fabs(weights[k]) * steps);
    if (item == 0 || !narrow(interval, weights[k], item)) return false;
  }
  scale = static_cast<float>((interval.low + interval.high) / 2);
  for (float candidate : {scale, std::nextafterf(scale, 0.0f), std::nextafterf(scale, INFINITY)}) {
    if (candidate > 0 && reproduces(weights, depth, candidate, items)) {
      scale = candidate;
      return true;
    }
  }
  return false;
}

bool row_grid(const float* weights, std::int64_t depth, float& scale, std::int8_t* items) {
  float largest = 0;
  for (std::int64_t k = 0; k < depth; ++k) {
    if (!std::isfinite(weights[k])) return false;
    largest = std::max(largest, std::fabs(weights[k]));
  }
  scale = 1.0f;
  std::fill_n(items, depth, std::int8_t{0});
  if (largest == 0.0f) return true;
  for (int most = 1; most <= 127; ++most) {
    if (fits(weights, depth, largest, most, scale, items)) return true;
  }
  return false;
}

}  // namespace

bool int8_grid(const float* weights, std::int64_t outputs, std::int64_t depth, Int8Weights& found) {
  found.items.resize(static_cast<std::size_t>(outputs * depth));
  found.scales.resize(static_cast<std::size_t>(outputs));
  for (std::int64_t o = 0; o < outputs; ++o) {
    if (!row_grid(weights + o * depth, depth, found.scales[static_cast<std::size_t>(o)],
                  found.items.data() + o * depth)) {
      return false;
    }
  }
  return true;
}

}  // namespace laconic::kernels
