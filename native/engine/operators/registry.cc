#include "engine/operators/tables.h"

namespace laconic::engine {

const std::unordered_map<std::string, Entry>& operators() {
  static const auto all = [] {
    std::unordered_map<std::string, Entry> table;
    for (const auto& family : {
             activation_operators(),
             comparison_operators(),
             conversion_operators(),
             convolution_operators(),
             creation_operators(),
             cumulative_operators(),
             elementwise_operators(),
             extreme_operators(),
             global_pooling_operators(),
             indexing_operators(),
             integer_operators(),
             joining_operators(),
             linear_operators(),
             pooling_operators(),
             power_operators(),
             reduction_operators(),
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
