// The operators of each family; a new family adds its line here and in registry.cc.
#pragma once

#include <vector>

#include "engine/operator.h"

namespace laconic::engine {

std::vector<Entry> activation_operators();
std::vector<Entry> axis_normalisation_operators();
std::vector<Entry> comparison_operators();
std::vector<Entry> control_operators();
std::vector<Entry> conv_transpose_operators();
std::vector<Entry> conversion_operators();
std::vector<Entry> convolution_operators();
std::vector<Entry> creation_operators();
std::vector<Entry> cumulative_operators();
std::vector<Entry> elementwise_operators();
std::vector<Entry> extreme_operators();
std::vector<Entry> global_pooling_operators();
std::vector<Entry> indexing_operators();
std::vector<Entry> integer_conv_operators();
std::vector<Entry> integer_matmul_operators();
std::vector<Entry> integer_operators();
std::vector<Entry> joining_operators();
std::vector<Entry> layer_normalisation_operators();
std::vector<Entry> linear_operators();
std::vector<Entry> normalisation_operators();
std::vector<Entry> pooling_operators();
std::vector<Entry> power_operators();
std::vector<Entry> quantized_operators();
std::vector<Entry> recurrent_operators();
std::vector<Entry> reduction_operators();
std::vector<Entry> resize_operators();
std::vector<Entry> scatter_operators();
std::vector<Entry> shape_operators();
std::vector<Entry> softmax_operators();

}  // namespace laconic::engine
