// Weights that are 8-bit integers times a scale.
#pragma once

#include <cstdint>
#include <vector>

namespace laconic::kernels {

struct Int8Weights {
  std::vector<std::int8_t> items;  // [outputs, depth], -127 to 127
  std::vector<float> scales;       // [outputs]
};

// Finds, for each output's `depth` weights, a scale of which every weight is a multiple up to 127:
// item * scale, rounded to a float, is the weight itself. Of several scales the coarsest. Returns
// false where an output has none.
bool int8_grid(const float* weights, std::int64_t outputs, std::int64_t depth, Int8Weights& found);

}  // namespace laconic::kernels
