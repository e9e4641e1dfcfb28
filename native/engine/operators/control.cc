// If.
#include "engine/operators/copying.h"
#include "engine/operators/tables.h"
#include "engine/program.h"

namespace laconic::engine {

namespace {

// Runs one of two programs. What the branches read stands behind the condition among the inputs,
// in the order of the branches' own inputs. All is done in the plan: the sizes of the outputs may
// depend on the condition.
class If final : public Operator {
 public:
  explicit If(Making& making)
      : then_(branch(making, "then_branch")), else_(branch(making, "else_branch")) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& condition = planning.value(0);
    if (condition.count() != 1) throw Mismatch("a condition of " + condition.text());
    std::vector<Tensor> inputs;
    for (int i = 1; i < planning.inputs(); ++i) inputs.push_back(planning.value(i));
    Program& chosen = *condition.as<bool>() ? *then_ : *else_;
    if (inputs.size() != chosen.graph().inputs.size()) {
      throw Mismatch("a branch of " + std::to_string(chosen.graph().inputs.size()) +
                     " inputs gets " + std::to_string(inputs.size()));
    }
    Pool alone(1);
    chosen.run(inputs, alone, [&](const std::vector<Tensor>& outputs) {
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const int index = static_cast<int>(i);
        if (planning.wants(index)) give(planning, index, outputs[i]);
      }
    });
    return nullptr;
  }

  void run(const Running&) const override {}

  std::size_t bytes() const override { return then_->constant_bytes() + else_->constant_bytes(); }

 private:
  static std::unique_ptr<Program> branch(const Making& making, const char* name) {
    const std::shared_ptr<const Graph> graph = making.node().graph(name);
    if (graph == nullptr) throw Mismatch(std::string("If has no ") + name);
    return std::make_unique<Program>(*graph, Options{making.int8()});
  }

  const std::unique_ptr<Program> then_;
  const std::unique_ptr<Program> else_;
};

}  // namespace

std::vector<Entry> control_operators() {
  return {{"If", make<If>, {"then_branch", "else_branch"}, -1}};
}

}  // namespace laconic::engine
