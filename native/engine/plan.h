// Everything that can be settled for one set of input shapes before a run: the shape of every
// value, what each operator prepares, and the place of each value in one block of memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/graph.h"
#include "engine/operator.h"

namespace laconic::engine {

// One operator's turn.
struct Step {
  int node = 0;
  std::unique_ptr<Prepared> prepared;
  // Its outputs' shapes depend on values that only the run knows: planned again each time.
  bool dynamic = false;
  bool makes_nothing = false;  // all its outputs are without items
  std::size_t scratch_bytes = 0;
  std::size_t scratch_place = 0;
};

struct Plan {
  // Type and shape of each value; data where it is constant or known from shapes alone.
  std::vector<Tensor> values;
  // Bytes from the start of the arena, or -1 for a value that lies elsewhere.
  std::vector<std::int64_t> places;
  // Values that share the memory of an input of the graph, with that input.
  std::vector<std::pair<Value, Value>> views_of_inputs;
  std::vector<Step> steps;
  std::size_t arena_bytes = 0;
  std::vector<std::shared_ptr<const void>> kept;
};

// Builds a plan node by node.
class Planner {
 public:
  // `constants` holds data, or null data where an operator keeps the tensor in a form of its own.
  Planner(const Graph& graph, const std::map<Value, Tensor>& constants, int threads);

  void input(Value value, const Tensor& tensor);
  // Plans the node at this place of the graph (nodes must come in order). Mismatch when its inputs
  // do not fit; the message names the operator.
  void step(int node, const Operator& operation);
  // Forget what operators prepared: only the shapes are wanted.
  void drop_prepared() {
    for (Step& step : plan_->steps) step.prepared.reset();
  }
  // The value as far as it is known, or null.
  const Tensor* known(Value value) const;
  // Places every value; the planner is empty afterwards.
  std::unique_ptr<Plan> finish();

 private:
  // What a step said about rows of zeros between planes (Tensor::apart).
  struct Habit {
    const Operator* operation = nullptr;
    std::vector<std::int64_t> apart;  // Planning::apart; empty: takes none
    bool makes_apart = false;
  };
  struct State {
    bool shaped = false;  // type and shape are known
    Value root = NONE;    // the value whose memory it shares (itself, mostly)
    int born = -1;        // the step that writes it
    int dies = -1;        // the last step that reads it (or a view of it)
    bool given = false;   // constant, known or an input: no place in the arena
  };

  std::vector<const Tensor*> inputs_of(const Node& node) const;
  bool plan_statically(int node, const Operator& operation, Step& step);
  void take_results(const Node& node, const Planning& planning);
  bool compute_now(const Node& node, const Operator& operation, const Planning& planning,
                   const Step& step);
  void note_uses(const Node& node, int step);
  bool may_share(const Node& node, const Planning::Output& result, Value output, int step) const;
  // In plan_apart.cc.
  void lay_apart();
  std::vector<std::int64_t> rows_wanted() const;
  bool lies_alone(Value value) const;
  void plan_again(std::size_t step);

  void place_values();

  const Graph& graph_;
  int threads_;
  std::vector<State> states_;
  std::vector<Habit> habits_;     // of the steps
  std::vector<int> last_reader_;  // the last node that reads each value; nodes.size() for outputs
  std::unique_ptr<Plan> plan_;
};

// Who calls what is wrong: "operator 3 of 17, Conv, cannot take (float32[1, 3], nothing): why".
std::string blame(const Graph& graph, int node, const std::vector<const Tensor*>& inputs,
                  const std::string& why);

}  // namespace laconic::engine
