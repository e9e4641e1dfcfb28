#include "engine/operators/tables.h"

namespace laconic::engine {

const std::unordered_map<std::string, Entry>& operators() {
  static const auto all = [] {
    std::unordered_map<std::string, Entry> table;
    for (const auto& family : {
             activation_operators(),
             axis_normalisation_operators(),
             comparison_operators(),
             control_operators(),
             conv_transpose_operators(),
             conversion_operators(),
             convolution_operators(),
             creation_operators(),
             cumulative_operators(),
             elementwise_operators(),
             extreme_operators(),
             global_pooling_operators(),
             indexing_operators(),
             integer_conv_operators(),
             integer_matmul_operators(),
             integer_operators(),
             joining_operators(),
             layer_normalisation_operators(),
             linear_operators(),
             normalisation_operators(),
             pooling_operators(),
             power_operators(),
             quantized_operators(),
             recurrent_operators(),
             reduction_operators(),
             resize_operators(),
             scatter_operators(),
             shape_operators(),
             softmax_operators(),
         }) {
      for (const Entry& entry : family) table.emplace(entry.name, entry);
    }
    return table;
  }();
  return all;
}

}  // namespace laconic::engine
