// Runs one operator without a session: plan, memory, run.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator.h"

namespace check {

using namespace laconic::engine;

template <typename T>
Constant array(const Shape& shape, const std::vector<T>& items) {
  const Constant out = Constant::make(DTypeOf<T>::value, shape);
  std::copy(items.begin(), items.end(), static_cast<T*>(out.tensor.data));
  return out;
}

// The items 0, 1, 2, ... in an array.
template <typename T>
Constant counted(const Shape& shape) {
  std::vector<T> items(static_cast<std::size_t>(shape.count()));
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<T>(i);
  return array(shape, items);
}

inline Constant integers(const std::vector<std::int64_t>& items) {
  return array<std::int64_t>({static_cast<std::int64_t>(items.size())}, items);
}

template <typename T>
std::vector<T> items(const Constant& from) {
  const T* data = from.tensor.as<T>();
  return std::vector<T>(data, data + from.tensor.count());
}

// The outputs of one node; an input without owner is absent. The first `fixed` inputs behind input
// 0 are constants of the program, which the operator may make its own.
inline std::vector<Constant> operate(const std::string& operation,
                                     const std::vector<Constant>& inputs,
                                     const Attributes& attributes = {}, int outputs = 1,
                                     int threads = 1, int fixed = 0) {
  Node node;
  node.operation = operation;
  node.attributes = attributes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    node.inputs.push_back(inputs[i].owner ? static_cast<Value>(i) : NONE);
  }
  for (int i = 0; i < outputs; ++i) node.outputs.push_back(100 + i);
  const auto nothing = [](Value) -> const Tensor* { return nullptr; };
  const auto constant = [&](Value value) -> const Tensor* {
    if (value < 1 || value > fixed) return nullptr;
    return &inputs[static_cast<std::size_t>(value)].tensor;
  };
  Making making(node, 20, false, constant, nothing);
  const std::unique_ptr<Operator> made = operators().at(operation).make(making);

  std::vector<const Tensor*> given;
  for (const Constant& input : inputs) given.push_back(input.owner ? &input.tensor : nullptr);
  Planning planning(node, given, threads);
  const std::unique_ptr<Prepared> prepared = made->plan(planning);

  std::vector<Constant> made_outputs;
  std::vector<const Tensor*> places;
  made_outputs.reserve(static_cast<std::size_t>(outputs));
  for (const Planning::Output& output : planning.results()) {
    if (output.alias != NONE) {
      const Constant& source = inputs[static_cast<std::size_t>(output.alias)];
      made_outputs.push_back(
          {{source.tensor.type, output.tensor.shape, source.tensor.data}, source.owner});
    } else if (output.owner) {
      made_outputs.push_back({output.tensor, output.owner});
    } else {
      made_outputs.push_back(Constant::make(output.tensor.type, output.tensor.shape));
    }
    places.push_back(&made_outputs.back().tensor);
  }
  const Buffer scratch(planning.scratch_bytes());
  Pool pool(threads);
  made->run(Running(given.data(), static_cast<int>(given.size()), places.data(),
                    static_cast<int>(places.size()), prepared.get(), scratch.data(), pool));
  return made_outputs;
}

}  // namespace check
