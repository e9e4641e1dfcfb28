// How a Program is made of a Graph; running it is in program.cc.
#include <algorithm>
#include <set>

#include "engine/evaluate.h"
#include "engine/fuse.h"
#include "engine/program.h"
#include "engine/trials.h"

namespace laconic::engine {

namespace {

// Constants are computed beforehand up to this size; a larger one is made anew in each run.
constexpr std::size_t MOST_FOLDED_BYTES = std::size_t{1} << 28;

// The graph's constants while the program is made: read when they are needed, forgotten when the
// last reader has packed its own form.
class Constants {
 public:
  explicit Constants(Graph& graph) : graph_(graph) {
    for (const Node& node : graph.nodes) {
      for (Value value : node.inputs) ++readers_[value];
    }
    kept_.insert(graph.outputs.begin(), graph.outputs.end());
  }

  bool has(Value value) const { return graph_.constants.count(value) > 0; }
  // Whether somebody keeps its data.
  bool kept(Value value) const { return kept_.count(value) > 0 && has(value); }
  const Tensor* get(Value value) {
    const auto source = graph_.constants.find(value);
    if (source == graph_.constants.end()) return nullptr;
    const auto known = loaded_.find(value);
    if (known != loaded_.end()) return &known->second.tensor;
    return &loaded_.emplace(value, source->second.fetch()).first->second.tensor;
  }
  void add(Value value, const Constant& constant) {
    graph_.constants[value] = {constant.tensor.type, constant.tensor.shape, [] {
                                 return Constant();  // never asked: it is loaded
                               }};
    loaded_[value] = constant;
  }
  void done(const Node& node, const std::vector<Value>& consumed) {
    for (Value value : node.inputs) {
      // A node that packs one of its inputs may read the same tensor as another input.
      const bool packed = std::count(consumed.begin(), consumed.end(), value) > 0 &&
                          std::count(node.inputs.begin(), node.inputs.end(), value) == 1;
      if (!packed) kept_.insert(value);
      if (--readers_[value] == 0 && kept_.count(value) == 0) loaded_.erase(value);
    }
  }
  // Types and shapes of all, data of those that somebody reads.
  std::map<Value, Tensor> tensors() const {
    std::map<Value, Tensor> out;
    for (const auto& [value, source] : graph_.constants) {
      const auto found = loaded_.find(value);
      out[value] = found == loaded_.end() ? Tensor{source.type, source.shape, nullptr}
                                          : found->second.tensor;
    }
    return out;
  }
  std::map<Value, Tensor> finish(std::vector<std::shared_ptr<const void>>& owners) {
    for (const auto& [value, source] : graph_.constants) {
      if (kept_.count(value) > 0) owners.push_back((get(value), loaded_.at(value).owner));
    }
    std::map<Value, Tensor> out = tensors();
    for (auto& [value, tensor] : out) {
      if (kept_.count(value) == 0) tensor.data = nullptr;
    }
    graph_.constants.clear();
    return out;
  }

 private:
  Graph& graph_;
  std::map<Value, Constant> loaded_;
  std::map<Value, int> readers_;
  std::set<Value> kept_;
};

Making making_for(const Graph& graph, const Node& node, const Options& options,
                  Constants& constants, const Trials* trials) {
  return Making(
      node, graph.opset, options.int8, [&constants](Value value) { return constants.get(value); },
      [&constants, trials](Value value) -> const Tensor* {
        return trials != nullptr ? trials->known(value) : constants.get(value);
      });
}

std::unique_ptr<Operator> make_operator(const Graph& graph, int index, Making& making) {
  const Node& node = graph.nodes[static_cast<std::size_t>(index)];
  try {
    return operators().at(node.operation).make(making);
  } catch (const Mismatch& error) {
    throw Mismatch("operator " + std::to_string(index + 1) + " of " +
                   std::to_string(graph.nodes.size()) + ", " + node.operation + ": " +
                   error.what());
  } catch (const Unsupported& error) {
    throw Unsupported("operator " + std::to_string(index + 1) + " of " +
                      std::to_string(graph.nodes.size()) + ", " + node.operation + ": " +
                      error.what());
  }
}

// Computes the node from constants; false when its outputs are too large to keep.
bool fold(const Graph& graph, int index, const Options& options, Constants& constants) {
  const Node& node = graph.nodes[static_cast<std::size_t>(index)];
  Making making = making_for(graph, node, options, constants, nullptr);
  const std::unique_ptr<Operator> operation = make_operator(graph, index, making);
  std::vector<const Tensor*> inputs;
  for (Value value : node.inputs) inputs.push_back(constants.get(value));
  Planning planning(node, inputs, 1);
  std::unique_ptr<Prepared> prepared;
  try {
    prepared = operation->plan(planning);
    planning.require_wanted();
  } catch (const Mismatch& error) {
    throw Mismatch(blame(graph, index, inputs, error.what()));
  }
  std::size_t bytes = 0;
  for (const Planning::Output& result : planning.results()) bytes += result.tensor.bytes();
  if (bytes > MOST_FOLDED_BYTES) return false;
  const auto made = evaluate(node, *operation, inputs, planning, prepared.get());
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (node.outputs[i] != NONE) constants.add(node.outputs[i], made[i]);
  }
  return true;
}

}  // namespace

void Program::require_operators() const {
  std::set<std::string> missing, strange;
  for (const Node& node : graph_.nodes) {
    const auto found = operators().find(node.operation);
    if (found == operators().end()) {
      missing.insert(node.operation);
      continue;
    }
    const Entry& entry = found->second;
    const int inputs = static_cast<int>(node.inputs.size());
    if (entry.most_inputs >= 0 && inputs > entry.most_inputs) {
      strange.insert(node.operation + " with " + std::to_string(inputs) + " inputs");
    }
    for (const auto& [name, value] : node.attributes) {
      const auto& known = entry.attributes;
      const bool found_name = std::any_of(
          known.begin(), known.end(), [&, key = name](const char* other) { return key == other; });
      if (!found_name) strange.insert(node.operation + " with the attribute " + name);
    }
  }
  const auto listed = [](const std::set<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
    return out;
  };
  if (!missing.empty()) {
    throw Unsupported("the engine has no " + listed(missing) + "; it has " +
                      std::to_string(operators().size()) +
                      " other operators. ONNX Runtime can run the network: laconic run X.lac "
                      "--engine onnxruntime");
  }
  if (!strange.empty()) {
    throw Unsupported("nodes that are not as opset 18 and later have them: " + listed(strange) +
                      ". Export the model with a newer opset");
  }
}

void Program::compile(const Options& options) {
  const int count = static_cast<int>(graph_.nodes.size());
  Constants constants(graph_);
  for (int i = 0; i < count; ++i) {
    Node& node = graph_.nodes[static_cast<std::size_t>(i)];
    const bool constant = std::all_of(node.inputs.begin(), node.inputs.end(), [&](Value value) {
      return value == NONE || constants.has(value);
    });
    if (constant && fold(graph_, i, options, constants)) {
      constants.done(node, node.inputs);
      node = Node();
      node.operation = NOTHING;
    }
  }
  Trials trials(graph_, constants.tensors());
  const Surroundings around{[&](Value value) { return constants.get(value); },
                            [&](Value a, Value b) { return trials.are_alike(a, b); }};
  for (int i = 0; i < count; ++i) {
    Node& node = graph_.nodes[static_cast<std::size_t>(i)];
    if (node.operation == NOTHING) {
      operators_.push_back(nullptr);
      continue;
    }
    Making making = making_for(graph_, node, options, constants, &trials);
    operators_.push_back(make_operator(graph_, i, making));
    const Operator& operation = *operators_.back();
    constants.done(node, making.consumed());
    for (Value value : node.inputs) {
      if (constants.kept(value)) trials.constant(value, *constants.get(value));
    }
    trials.step(i, operation);
    const Value made = node.outputs[0];
    if (operation.fusable_outputs() == 0 || !trials.has_sure_rank(made)) continue;
    if (fuse_following(graph_, i, operation.fusable_outputs(), trials.known(made)->rank(),
                       constants.get(node.input(2)), around)) {
      trials.takes_place_of(node.outputs[0], made);
    }
  }
  for (Value value : graph_.outputs) outputs_.push_back(trials.description(value));
  constants_ = constants.finish(owners_);
}

}  // namespace laconic::engine
