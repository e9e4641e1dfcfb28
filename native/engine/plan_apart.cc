// Which values have rows of zeros between their planes (Tensor::apart).
#include <algorithm>

#include "engine/plan.h"

namespace laconic::engine {

// By value: how many rows of zeros between its planes its readers would like; -1 where one of them
// takes none.
std::vector<std::int64_t> Planner::rows_wanted() const {
  std::vector<std::int64_t> out(states_.size(), 0);
  for (Value value : graph_.outputs) out[static_cast<std::size_t>(value)] = -1;
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(plan_->steps[i].node)];
    const std::vector<std::int64_t>& apart = habits_[i].apart;
    for (std::size_t j = 0; j < node.inputs.size(); ++j) {
      if (node.inputs[j] == NONE) continue;
      std::int64_t& rows = out[static_cast<std::size_t>(node.inputs[j])];
      const std::int64_t wanted = apart.empty() ? -1 : apart[j];
      rows = rows < 0 || wanted < 0 ? -1 : std::max(rows, wanted);
    }
  }
  return out;
}

// Whether it has a place in the arena for itself.
bool Planner::lies_alone(Value value) const {
  const State& own = states_[static_cast<std::size_t>(value)];
  return own.shaped && !own.given && own.root == value &&
         std::count_if(states_.begin(), states_.end(),
                       [&](const State& state) { return state.root == value; }) == 1;
}

// Convolutions that follow each other agree on rows of zeros between planes: where all readers and
// the writer of a value take them, the readers need not copy it to have them.
void Planner::lay_apart() {
  const std::vector<std::int64_t> wanted = rows_wanted();
  std::vector<bool> changed(plan_->values.size(), false);
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    if (!habits_[i].makes_apart) continue;
    const Value value = graph_.nodes[static_cast<std::size_t>(plan_->steps[i].node)].outputs[0];
    const auto at = static_cast<std::size_t>(value);
    if (wanted[at] < 1 || !lies_alone(value)) continue;
    plan_->values[at].apart = wanted[at];
    changed[at] = true;
  }
  const auto touches = [&](const std::vector<Value>& values) {
    return std::any_of(values.begin(), values.end(), [&](Value value) {
      return value != NONE && changed[static_cast<std::size_t>(value)];
    });
  };
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(plan_->steps[i].node)];
    if (touches(node.inputs) || touches(node.outputs)) plan_again(i);
  }
}

void Planner::plan_again(std::size_t step) {
  Step& again = plan_->steps[step];
  const Node& node = graph_.nodes[static_cast<std::size_t>(again.node)];
  const Tensor& made = plan_->values[static_cast<std::size_t>(node.outputs[0])];
  Planning planning(node, inputs_of(node), threads_, made.apart);
  again.prepared = habits_[step].operation->plan(planning);
  again.scratch_bytes = planning.scratch_bytes();
}

}  // namespace laconic::engine
