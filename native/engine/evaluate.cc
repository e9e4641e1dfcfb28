#include "engine/evaluate.h"

#include <algorithm>

namespace laconic::engine {

std::vector<Constant> evaluate(const Node& node, const Operator& operation,
                               const std::vector<const Tensor*>& inputs, const Planning& planning,
                               const Prepared* prepared) {
  std::vector<Constant> made;
  bool filled = true;
  for (const Planning::Output& result : planning.results()) {
    Constant memory{result.tensor, result.owner};
    if (result.declared && result.owner == nullptr) {
      filled = false;
      memory = Constant::make(result.tensor.type, result.tensor.shape);
      if (result.alias != NONE) {
        std::copy_n(static_cast<const std::byte*>(planning.input(result.alias).data),
                    memory.tensor.bytes(), static_cast<std::byte*>(memory.tensor.data));
      }
    }
    made.push_back(memory);
  }
  if (filled || planning.makes_nothing()) return made;
  std::vector<const Tensor*> outputs;
  for (std::size_t i = 0; i < made.size(); ++i) {
    outputs.push_back(node.outputs[i] == NONE ? nullptr : &made[i].tensor);
  }
  Pool alone(1);
  const Buffer scratch(planning.scratch_bytes());
  operation.run(Running(inputs.data(), static_cast<int>(inputs.size()), outputs.data(),
                        static_cast<int>(outputs.size()), prepared, scratch.data(), alone));
  return made;
}

}  // namespace laconic::engine
