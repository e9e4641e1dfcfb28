#include "engine/split_batch.h"

#include <algorithm>
#include <set>
#include <string>

namespace laconic::engine {

namespace {

const std::set<std::string> BY_IMAGE = {
    "Abs",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "Log",
    "MaxPool",
    "Mish",
    "Neg",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sin",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Sqrt",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
};
const std::set<std::string> BROADCASTING = {"Add",   "Div", "Max", "Min", "Mul",
                                            "PRelu", "Pow", "Sub", "Sum"};
const std::set<std::string> REDUCING = {"ReduceL1",  "ReduceL2",  "ReduceMax",      "ReduceMean",
                                        "ReduceMin", "ReduceSum", "ReduceSumSquare"};
constexpr int NOT_BATCHED = -1;

// Follows the values whose axis 0 is the batch, with their ranks.
class Follower {
 public:
  explicit Follower(const Graph& graph) : graph_(graph), ranks_(graph.values.size(), NOT_BATCHED) {
    for (const Input& input : graph.inputs) {
      const bool open = !input.sizes.empty() && input.sizes[0] < 0;
      if (open) rank(input.value) = static_cast<int>(input.sizes.size());
    }
    for (const Node& node : graph.nodes) {
      const int made = made_rank(node);
      in_first_.push_back(made != NOT_BATCHED);
      if (made != NOT_BATCHED) rank(node.outputs[0]) = made;
    }
  }

  bool in_first(std::size_t node) const { return in_first_[node]; }

 private:
  int& rank(Value value) { return ranks_[static_cast<std::size_t>(value)]; }
  bool is_batched(Value value) { return value != NONE && rank(value) != NOT_BATCHED; }
  const Source* constant(Value value) const {
    const auto found = graph_.constants.find(value);
    return found == graph_.constants.end() ? nullptr : &found->second;
  }

  // The rank of what the node makes, or NOT_BATCHED where it may mix the indices of axis 0.
  int made_rank(const Node& node) {
    const bool one_output = std::count(node.outputs.begin(), node.outputs.end(), NONE) + 1 ==
                                static_cast<std::ptrdiff_t>(node.outputs.size()) &&
                            node.outputs[0] != NONE;
    if (!one_output || node.inputs.empty()) return NOT_BATCHED;
    if (BROADCASTING.count(node.operation) > 0) return broadcast_rank(node);
    if (node.operation == "Concat") return concat_rank(node);
    if (!is_batched(node.inputs[0])) return NOT_BATCHED;
    const bool others_constant =
        std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                    [&](Value value) { return value == NONE || constant(value) != nullptr; });
    if (!others_constant) return NOT_BATCHED;
    const int own = rank(node.inputs[0]);
    if (BY_IMAGE.count(node.operation) > 0) {
      return node.integer("training_mode", 0) == 0 ? own : NOT_BATCHED;
    }
    if (node.operation == "Flatten") return node.integer("axis", 1) == 1 ? 2 : NOT_BATCHED;
    if (node.operation == "Pad") return pads_batch(node, own) ? NOT_BATCHED : own;
    if (node.operation == "Slice") return has_axis_0(node.input(3), own) ? NOT_BATCHED : own;
    if (REDUCING.count(node.operation) > 0) return reduced_rank(node, own);
    return NOT_BATCHED;
  }

  // Constants must not reach axis 0, or have one item there.
  int broadcast_rank(const Node& node) {
    int own = NOT_BATCHED;
    for (Value value : node.inputs) {
      if (!is_batched(value)) continue;
      if (own != NOT_BATCHED && rank(value) != own) return NOT_BATCHED;
      own = rank(value);
    }
    for (Value value : node.inputs) {
      if (is_batched(value)) continue;
      const Source* source = value == NONE ? nullptr : constant(value);
      if (source == nullptr || source->shape.rank() > own) return NOT_BATCHED;
      if (source->shape.rank() == own && source->shape[0] != 1) return NOT_BATCHED;
    }
    return own;
  }

  int concat_rank(const Node& node) {
    int own = NOT_BATCHED;
    for (Value value : node.inputs) {
      if (!is_batched(value) || (own != NOT_BATCHED && rank(value) != own)) return NOT_BATCHED;
      own = rank(value);
    }
    const std::int64_t axis = node.integer("axis", 0);
    return axis == 0 || axis == -own ? NOT_BATCHED : own;
  }

  std::vector<std::int64_t> integers(Value value) const {
    const Source* source = value == NONE ? nullptr : constant(value);
    if (source == nullptr || source->type != DType::i64 || source->shape.count() > 64) return {};
    const Constant held = source->fetch();
    const std::int64_t* items = held.tensor.as<std::int64_t>();
    return std::vector<std::int64_t>(items, items + held.tensor.count());
  }

  // Whether the axes are unknown, or axis 0 is among them.
  bool has_axis_0(Value axes, int own) const { return has_axis_0(integers(axes), own); }
  static bool has_axis_0(const std::vector<std::int64_t>& axes, int own) {
    return axes.empty() || std::count(axes.begin(), axes.end(), 0) > 0 ||
           std::count(axes.begin(), axes.end(), -own) > 0;
  }

  bool pads_batch(const Node& node, int own) const {
    const std::vector<std::int64_t> pads = integers(node.input(1));
    const auto axes = static_cast<std::size_t>(own);
    return node.input(3) != NONE || pads.size() != 2 * axes || pads[0] != 0 || pads[axes] != 0;
  }

  int reduced_rank(const Node& node, int own) const {
    const std::vector<std::int64_t> axes =
        node.has("axes") ? node.integers("axes") : integers(node.input(1));
    if (has_axis_0(axes, own)) return NOT_BATCHED;
    if (node.integer("keepdims", 1) != 0) return own;
    return own - static_cast<int>(std::set<std::int64_t>(axes.begin(), axes.end()).size());
  }

  const Graph& graph_;
  std::vector<int> ranks_;
  std::vector<bool> in_first_;
};

// The constants that the nodes read.
void take_constants(const Graph& graph, Graph& part) {
  for (const Node& node : part.nodes) {
    for (Value value : node.inputs) {
      const auto found = graph.constants.find(value);
      if (found != graph.constants.end()) part.constants.insert(*found);
    }
  }
  for (Value value : part.outputs) {
    const auto found = graph.constants.find(value);
    if (found != graph.constants.end()) part.constants.insert(*found);
  }
}

}  // namespace

std::optional<SplitGraph> split_batch(const Graph& graph) {
  const Follower follower(graph);
  SplitGraph out;
  out.first.opset = out.second.opset = graph.opset;
  out.first.values = out.second.values = graph.values;
  std::set<Value> read_by_first, made_by_first, wanted(graph.outputs.begin(), graph.outputs.end());
  int convolutions = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (follower.in_first(i)) {
      convolutions += node.operation == "Conv" ? 1 : 0;
      read_by_first.insert(node.inputs.begin(), node.inputs.end());
      made_by_first.insert(node.outputs[0]);
      out.first.nodes.push_back(node);
    } else {
      wanted.insert(node.inputs.begin(), node.inputs.end());
      out.second.nodes.push_back(node);
    }
  }
  if (convolutions < 2) return std::nullopt;
  for (const Input& input : graph.inputs) {
    if (read_by_first.count(input.value) > 0) out.first.inputs.push_back(input);
  }
  out.second.inputs = graph.inputs;
  for (Value value : made_by_first) {
    if (wanted.count(value) == 0) continue;
    out.first.outputs.push_back(value);
    out.second.inputs.push_back({value, DType::f32, {}, false});
  }
  out.second.outputs = graph.outputs;
  take_constants(graph, out.first);
  take_constants(graph, out.second);
  return out;
}

}  // namespace laconic::engine
