// What the values of a weight say about the forms that can keep it.
#pragma once

#include <cstdint>
#include <vector>

namespace laconic::kernels {

struct LinearSurvey {
  std::int64_t outputs, depth, non_zeros;
  std::vector<float> table;  // the distinct non-zeros, empty if they are more than 256
};

LinearSurvey survey_linear(const float* weights, std::int64_t outputs, std::int64_t depth);

}  // namespace laconic::kernels
