#include "engine/plan.h"

#include <algorithm>
#include <utility>

#include "engine/arena.h"
#include "engine/evaluate.h"

namespace laconic::engine {

namespace {

// Values that follow from shapes are computed while planning up to this size: shapes are small.
constexpr std::size_t MOST_KNOWN_BYTES = 1 << 16;

// Bytes of the rows of zeros before the first plane, with which it begins at a multiple of 64.
std::size_t lead_bytes(const Tensor& tensor) {
  if (tensor.apart == 0) return 0;
  return (static_cast<std::size_t>(tensor.apart * tensor.shape[3]) * sizeof(float) + 63) / 64 * 64;
}

std::size_t room_bytes(const Tensor& tensor) {
  if (tensor.apart == 0) return tensor.bytes();
  const std::int64_t plane = (tensor.shape[2] + tensor.apart) * tensor.shape[3];
  return lead_bytes(tensor) +
         static_cast<std::size_t>(tensor.shape.count(0, 2) * plane) * sizeof(float);
}

}  // namespace

std::string blame(const Graph& graph, int node, const std::vector<const Tensor*>& inputs,
                  const std::string& why) {
  std::string shown;
  for (const Tensor* input : inputs) {
    if (!shown.empty()) shown += ", ";
    shown += input == nullptr ? "nothing" : input->text();
  }
  return "operator " + std::to_string(node + 1) + " of " + std::to_string(graph.nodes.size()) +
         ", " + graph.nodes[static_cast<std::size_t>(node)].operation + ", cannot take (" + shown +
         "): " + why + "; the program does not fit these inputs or tensors";
}

Planner::Planner(const Graph& graph, const std::map<Value, Tensor>& constants, int threads)
    : graph_(graph),
      threads_(threads),
      states_(graph.values.size()),
      last_reader_(graph.values.size(), -1),
      plan_(new Plan) {
  plan_->values.resize(graph.values.size());
  plan_->places.resize(graph.values.size(), -1);
  for (std::size_t i = 0; i < states_.size(); ++i) states_[i].root = static_cast<Value>(i);
  for (const auto& [value, tensor] : constants) input(value, tensor);
  const int count = static_cast<int>(graph.nodes.size());
  for (int node = 0; node < count; ++node) {
    for (Value value : graph.nodes[static_cast<std::size_t>(node)].inputs) {
      if (value != NONE) last_reader_[static_cast<std::size_t>(value)] = node;
    }
  }
  for (Value value : graph.outputs) last_reader_[static_cast<std::size_t>(value)] = count;
}

void Planner::input(Value value, const Tensor& tensor) {
  const auto at = static_cast<std::size_t>(value);
  plan_->values[at] = tensor;
  states_[at].shaped = true;
  states_[at].given = true;
}

const Tensor* Planner::known(Value value) const {
  if (value == NONE) return nullptr;
  const auto at = static_cast<std::size_t>(value);
  return states_[at].shaped ? &plan_->values[at] : nullptr;
}

std::vector<const Tensor*> Planner::inputs_of(const Node& node) const {
  std::vector<const Tensor*> out;
  for (Value value : node.inputs) {
    out.push_back(value == NONE ? nullptr : &plan_->values[static_cast<std::size_t>(value)]);
  }
  return out;
}

void Planner::step(int node_index, const Operator& operation) {
  const Node& node = graph_.nodes[static_cast<std::size_t>(node_index)];
  Step step;
  step.node = node_index;
  habits_.resize(plan_->steps.size() + 1);
  habits_.back() = {&operation, {}, false};
  if (!plan_statically(node_index, operation, step)) {
    step.dynamic = true;
    // Each run makes these anew, outside the arena.
    for (Value value : node.outputs) {
      if (value != NONE) states_[static_cast<std::size_t>(value)].given = true;
    }
  } else if (step.node == NONE) {
    return;  // computed while planning
  }
  note_uses(node, static_cast<int>(plan_->steps.size()));
  plan_->steps.push_back(std::move(step));
}

// False when the shapes of the outputs have to wait for the run.
bool Planner::plan_statically(int node_index, const Operator& operation, Step& step) {
  const Node& node = graph_.nodes[static_cast<std::size_t>(node_index)];
  for (Value value : node.inputs) {
    if (value != NONE && !states_[static_cast<std::size_t>(value)].shaped) return false;
  }
  const auto inputs = inputs_of(node);
  Planning planning(node, inputs, threads_);
  try {
    step.prepared = operation.plan(planning);
    planning.require_wanted();
  } catch (const NeedsValues&) {
    return false;
  } catch (const Mismatch& error) {
    throw Mismatch(blame(graph_, node_index, inputs, error.what()));
  }
  step.scratch_bytes = planning.scratch_bytes();
  step.makes_nothing = planning.makes_nothing();
  habits_.back().apart = planning.apart();
  habits_.back().makes_apart = planning.makes_apart();
  if (compute_now(node, operation, planning, step)) {
    step.node = NONE;
    return true;
  }
  take_results(node, planning);
  return true;
}

// Runs the operator here when all that it reads is known and what it makes is small.
bool Planner::compute_now(const Node& node, const Operator& operation, const Planning& planning,
                          const Step& step) {
  std::size_t bytes = step.scratch_bytes;
  bool filled = true;
  for (const Planning::Output& result : planning.results()) {
    filled = filled && (!result.declared || result.owner != nullptr);
    if (result.declared) bytes += result.tensor.bytes();
  }
  bool known = true;
  for (Value value : node.inputs) {
    const Tensor* tensor = this->known(value);
    known = known && (tensor == nullptr || tensor->data != nullptr || tensor->count() == 0);
  }
  if (!filled && (!known || bytes > MOST_KNOWN_BYTES)) return false;
  const auto inputs = inputs_of(node);
  const auto made = evaluate(node, operation, inputs, planning, step.prepared.get());
  for (std::size_t i = 0; i < made.size(); ++i) {
    plan_->kept.push_back(made[i].owner);
    if (node.outputs[i] != NONE) input(node.outputs[i], made[i].tensor);
  }
  return true;
}

void Planner::take_results(const Node& node, const Planning& planning) {
  const int step = static_cast<int>(plan_->steps.size());
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const Value value = node.outputs[i];
    if (value == NONE) continue;
    const Planning::Output& result = planning.results()[i];
    State& state = states_[static_cast<std::size_t>(value)];
    plan_->values[static_cast<std::size_t>(value)] = result.tensor;
    state.shaped = true;
    state.born = state.dies = step;
    if (result.owner != nullptr) {
      state.given = true;
      plan_->kept.push_back(result.owner);
    } else if (result.alias != NONE || may_share(node, result, value, step)) {
      const int from = result.alias != NONE ? result.alias : result.overwrites;
      const Value source = node.inputs[static_cast<std::size_t>(from)];
      state.root = states_[static_cast<std::size_t>(source)].root;
    }
  }
}

// Whether an output may be written over the input that the operator offers: nobody else reads that
// memory from now on, and it has the right size.
bool Planner::may_share(const Node& node, const Planning::Output& result, Value output, int) const {
  if (result.overwrites == NONE) return false;
  const Value source = node.inputs[static_cast<std::size_t>(result.overwrites)];
  const State& state = states_[static_cast<std::size_t>(source)];
  const Value root = state.root;
  if (states_[static_cast<std::size_t>(root)].given || state.given) return false;
  if (plan_->values[static_cast<std::size_t>(source)].bytes() != result.tensor.bytes())
    return false;
  const int node_index = static_cast<int>(&node - graph_.nodes.data());
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (static_cast<Value>(i) == output || states_[i].root != root) continue;
    if (last_reader_[i] > node_index) return false;
    // Another input of this node in the same memory would be overwritten too early.
    if (static_cast<Value>(i) != source && last_reader_[i] == node_index) return false;
  }
  return std::count(node.inputs.begin(), node.inputs.end(), source) == 1;
}

void Planner::note_uses(const Node& node, int step) {
  for (Value value : node.inputs) {
    if (value == NONE) continue;
    const Value root = states_[static_cast<std::size_t>(value)].root;
    State& state = states_[static_cast<std::size_t>(root)];
    state.dies = std::max(state.dies, step);
  }
  for (Value value : node.outputs) {
    if (value == NONE) continue;
    const Value root = states_[static_cast<std::size_t>(value)].root;
    State& state = states_[static_cast<std::size_t>(root)];
    state.dies = std::max(state.dies, step);
  }
}

std::unique_ptr<Plan> Planner::finish() {
  const int end = static_cast<int>(plan_->steps.size());
  for (Value value : graph_.outputs) {
    const Value root = states_[static_cast<std::size_t>(value)].root;
    states_[static_cast<std::size_t>(root)].dies = end;
  }
  lay_apart();
  place_values();
  return std::move(plan_);
}

void Planner::place_values() {
  std::vector<Tenant> tenants;
  std::vector<std::size_t> values;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    const bool own = state.root == static_cast<Value>(i) && !state.given && state.shaped;
    if (!own) continue;
    tenants.push_back({room_bytes(plan_->values[i]), state.born, state.dies, 0});
    values.push_back(i);
  }
  const std::size_t first_scratch = tenants.size();
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    const int step = static_cast<int>(i);
    tenants.push_back({plan_->steps[i].scratch_bytes, step, step, 0});
  }
  plan_->arena_bytes = place_tenants(tenants);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t place = tenants[i].place + lead_bytes(plan_->values[values[i]]);
    plan_->places[values[i]] = static_cast<std::int64_t>(place);
  }
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    plan_->steps[i].scratch_place = tenants[first_scratch + i].place;
  }
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    if (state.given || !state.shaped || state.root == static_cast<Value>(i)) continue;
    const auto root = static_cast<std::size_t>(state.root);
    if (plan_->places[root] >= 0) {
      plan_->places[i] = plan_->places[root];
    } else if (plan_->values[root].data != nullptr) {
      plan_->values[i].data = plan_->values[root].data;
    } else {
      plan_->views_of_inputs.emplace_back(static_cast<Value>(i), state.root);
    }
  }
}

}  // namespace laconic::engine
