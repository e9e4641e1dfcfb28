#include "engine/trials.h"

#include <algorithm>

namespace laconic::engine {

namespace {

// What stands for open sizes; those of two axes differ, too.
struct Sizes {
  std::int64_t batch, first, step;
  std::int64_t of_axis(std::size_t axis) const {
    return axis == 0 ? batch : first + step * static_cast<std::int64_t>(axis);
  }
};
constexpr Sizes SETS[] = {{TRIAL_BATCH, 55, 6}, {1, 97, 4}};

bool is_open(const Input& input) {
  return std::any_of(input.sizes.begin(), input.sizes.end(),
                     [](std::int64_t size) { return size < 0; });
}

}  // namespace

Trials::Trials(const Graph& graph, const std::map<Value, Tensor>& constants)
    // Sizes of two inputs that are equal here may differ, and broadcast, in a run.
    : comparable_(std::count_if(graph.inputs.begin(), graph.inputs.end(), is_open) <= 1) {
  for (const Sizes& sizes : SETS) {
    Planner& trial = trials_.emplace_back(graph, constants, 1);
    for (const Input& input : graph.inputs) {
      if (!input.has_shape) continue;
      Tensor tensor{input.type, {}, nullptr};
      for (std::size_t axis = 0; axis < input.sizes.size(); ++axis) {
        const std::int64_t size = input.sizes[axis];
        tensor.shape.push(size >= 0 ? size : sizes.of_axis(axis));
      }
      trial.input(input.value, tensor);
    }
  }
}

void Trials::constant(Value value, const Tensor& tensor) {
  for (Planner& trial : trials_) trial.input(value, tensor);
}

void Trials::step(int node, const Operator& operation) {
  for (Planner& trial : trials_) {
    try {
      trial.step(node, operation);
      trial.drop_prepared();
    } catch (const Mismatch&) {
      // The sizes of the trial do not fit; those of a run may.
    }
  }
}

void Trials::takes_place_of(Value value, Value other) {
  for (Planner& trial : trials_) {
    const Tensor* found = trial.known(other);
    if (found != nullptr) trial.input(value, {found->type, found->shape, nullptr});
  }
}

Input Trials::description(Value value) const {
  const Tensor *one = trials_[0].known(value), *other = trials_[1].known(value);
  if (!has_sure_rank(value) || one->type != other->type) return {value, DType::f32, {}, false};
  Input out{value, one->type, {}, true};
  for (int axis = 0; axis < one->rank(); ++axis) {
    out.sizes.push_back(one->shape[axis] == other->shape[axis] ? one->shape[axis] : -1);
  }
  return out;
}

bool Trials::has_sure_rank(Value value) const {
  return std::all_of(trials_.begin(), trials_.end(), [&](const Planner& trial) {
    const Tensor* first = trials_[0].known(value);
    const Tensor* found = trial.known(value);
    return first != nullptr && found != nullptr && found->rank() == first->rank();
  });
}

bool Trials::are_alike(Value a, Value b) const {
  return comparable_ && std::all_of(trials_.begin(), trials_.end(), [&](const Planner& trial) {
           const Tensor *one = trial.known(a), *other = trial.known(b);
           return one != nullptr && other != nullptr && one->type == other->type &&
                  one->shape == other->shape;
         });
}

}  // namespace laconic::engine
