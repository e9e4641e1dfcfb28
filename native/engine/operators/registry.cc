#include "engine/operators/tables.h"

namespace laconic::engine {

const std::unordered_map<std::string, Entry>& operators() {
  static const auto all = [] {
    std::unordered_map<std::string, Entry> table;
    for (const auto& family : {
             convolution_operators(),
             joining_operators(),
             linear_operators(),
             shape_operators(),
         }) {
      for (const Entry& entry : family) table.emplace(entry.name, entry);
    }
    return table;
  }();
  return all;
}

}  // namespace laconic::engine
