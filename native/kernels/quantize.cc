#include "kernels/quantize.h"

#include <algorithm>
#include <cmath>

namespace laconic::kernels {

Grid8 dynamic_grid(float low, float high) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  const float scale = (high - low) / 255.0f;
  if (!(scale > 0.0f)) return {};
  const float zero = std::nearbyint(std::clamp(-low / scale, 0.0f, 255.0f));
  return {scale, static_cast<std::int32_t>(zero)};
}

}  // namespace laconic::kernels
