#include "kernels/signs.h"

#include <cmath>
#include <cstddef>

namespace laconic::kernels {

bool is_binary(const float* weights, std::int64_t outputs, std::int64_t depth) {
  for (std::int64_t o = 0; o < outputs; ++o, weights += depth) {
    const float magnitude = depth > 0 ? std::fabs(weights[0]) : 0.0f;
    if (!std::isfinite(magnitude) || magnitude == 0.0f) return false;
    for (std::int64_t k = 1; k < depth; ++k) {
      if (std::fabs(weights[k]) != magnitude) return false;
    }
  }
  return true;
}

std::vector<std::uint32_t> signs_of_channels(const float* weights, std::int64_t outputs,
                                             std::int64_t channels, std::int64_t taps) {
  const std::int64_t words = (channels + 31) / 32;
  std::vector<std::uint32_t> signs(static_cast<std::size_t>(outputs * taps * words), 0u);
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::uint32_t negative = std::signbit(weights[(o * channels + c) * taps + tap]);
        signs[static_cast<std::size_t>((o * taps + tap) * words + c / 32)] |= negative << (c % 32);
      }
    }
  }
  return signs;
}

std::vector<float> magnitudes(const float* weights, std::int64_t outputs, std::int64_t depth) {
  std::vector<float> out(static_cast<std::size_t>(outputs));
  for (std::int64_t o = 0; o < outputs; ++o) {
    out[static_cast<std::size_t>(o)] = std::fabs(weights[o * depth]);
  }
  return out;
}

}  // namespace laconic::kernels
