// A program as the engine reads it: nodes of ONNX operators over numbered values.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/tensor.h"

namespace laconic::engine {

struct Graph;
using Attribute =
    std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                 std::vector<std::string>, Constant, std::shared_ptr<const Graph>>;
using Attributes = std::map<std::string, Attribute>;

// Places of values in Graph::values; NONE is an absent input or output.
using Value = int;
constexpr Value NONE = -1;

// What was fused into a node that ends in kernels::Epilogue (see fuse.h).
struct Fusion {
  std::vector<float> scale;  // [outputs]; empty: 1
  std::vector<float> bias;   // [outputs]; where it is not empty, it stands for the node's own bias
  Value addend = NONE;       // of the output's shape; then it is also the node's last input
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

struct Node {
  std::string operation;  // the operator's name in ONNX
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  Attributes attributes;
  Fusion fusion;

  // The attribute, or the fallback when the node has none; Mismatch for another kind.
  std::int64_t integer(const std::string& name, std::int64_t fallback) const;
  double real(const std::string& name, double fallback) const;
  std::string text(const std::string& name, const std::string& fallback) const;
  std::vector<std::int64_t> integers(const std::string& name,
                                     const std::vector<std::int64_t>& fallback = {}) const;
  std::vector<double> reals(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  const Constant* constant(const std::string& name) const;  // null when there is none
  std::shared_ptr<const Graph> graph(const std::string& name) const;
  bool has(const std::string& name) const { return attributes.count(name) > 0; }
  Value input(std::size_t index) const { return index < inputs.size() ? inputs[index] : NONE; }
};

// A tensor that is read when it is needed, so that a big one can be packed and forgotten.
struct Source {
  DType type = DType::f32;
  Shape shape;
  std::function<Constant()> fetch;
};

struct Input {
  Value value = NONE;
  DType type = DType::f32;
  std::vector<std::int64_t> sizes;  // -1 where the size is free
  bool has_shape = true;            // false: neither rank nor type is known before the run
};

struct Graph {
  std::int64_t opset = 0;
  std::vector<std::string> values;  // a name for each, for messages
  std::map<Value, Source> constants;
  std::vector<Input> inputs;
  std::vector<Node> nodes;  // in an order that runs
  std::vector<Value> outputs;

  Value add(const std::string& name) {
    values.push_back(name);
    return static_cast<Value>(values.size()) - 1;
  }
  Value add_constant(const std::string& name, const Constant& constant) {
    const Value value = add(name);
    constants[value] = {constant.tensor.type, constant.tensor.shape,
                        [constant] { return constant; }};
    return value;
  }
};

}  // namespace laconic::engine
