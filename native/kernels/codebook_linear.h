// y = x W^T with weights of few distinct values, kept as codes that are decoded in registers.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/layers.h"
#include "kernels/linear_survey.h"

namespace laconic::kernels {

// Whether W has at most 256 distinct values, zero among them.
bool fits_codebook(const LinearSurvey& survey);

// Keeps `weights` [outputs, depth] in 4 bits each where there are at most 16 distinct values, else
// in 8; form() is "codebook". Needs fits_codebook.
std::unique_ptr<LinearWeights> codebook_linear(const float* weights, const LinearSurvey& survey);

// Keeps `weights` in 16 bits each, which hold them exactly; form() is "half". Needs survey.half or
// survey.bfloat16.
std::unique_ptr<LinearWeights> half_linear(const float* weights, const LinearSurvey& survey);

// The memory of codebook_linear.
double codebook_bytes(const LinearSurvey& survey);

// Estimates of nanoseconds; see dense_linear_cost.
double codebook_linear_cost(const LinearSurvey& survey, std::int64_t rows);
double half_linear_cost(const LinearSurvey& survey, std::int64_t rows);

}  // namespace laconic::kernels
