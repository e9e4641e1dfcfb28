#include "kernels/linear_survey.h"

#include "kernels/distinct.h"

namespace laconic::kernels {

LinearSurvey survey_linear(const float* weights, std::int64_t outputs, std::int64_t depth) {
  LinearSurvey survey{outputs, depth, 0, {}};
  for (std::int64_t i = 0; i < outputs * depth; ++i) survey.non_zeros += weights[i] != 0;
  survey.table = distinct_values(weights, outputs * depth, 256, true);
  return survey;
}

}  // namespace laconic::kernels
