// What the values of a program would look like for sizes that it leaves open, while it is made.
#pragma once

#include <map>
#include <vector>

#include "engine/plan.h"

namespace laconic::engine {

// Plans the graph twice, for two sets of sizes that have nothing in common, so that what is equal
// or of one rank in both does not depend on them by accident. The first has TRIAL_BATCH and sizes
// like those of small images, the second a batch of 1 and others.
class Trials {
 public:
  Trials(const Graph& graph, const std::map<Value, Tensor>& constants);

  void constant(Value value, const Tensor& tensor);
  // Plans the node; a trial whose sizes do not fit knows nothing of its outputs.
  void step(int node, const Operator& operation);
  // The value looks as another one does.
  void takes_place_of(Value value, Value other);

  // Type and shape in the first trial; null where they are not known.
  const Tensor* known(Value value) const { return trials_[0].known(value); }
  // Type and sizes as far as both trials have them in common.
  Input description(Value value) const;
  // Whether the shape has the same rank in every trial.
  bool has_sure_rank(Value value) const;
  // Whether both have the same type and shape in every trial; never where several inputs have open
  // sizes, because theirs may differ, and broadcast, in a run.
  bool are_alike(Value a, Value b) const;

 private:
  std::vector<Planner> trials_;
  bool comparable_;
};

}  // namespace laconic::engine
