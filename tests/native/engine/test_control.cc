#include "check.h"
#include "operate.h"

using namespace check;

namespace {

// A branch of one node that reads two outer values.
std::shared_ptr<const Graph> branch(const std::string& operation) {
  auto graph = std::make_shared<Graph>();
  graph->opset = 20;
  Node node;
  node.operation = operation;
  for (const char* name : {"a", "b"}) {
    node.inputs.push_back(graph->add(name));
    graph->inputs.push_back({node.inputs.back(), DType::f32, {}});
  }
  if (operation == "Identity") node.inputs.pop_back();
  node.outputs.push_back(graph->add("y"));
  graph->outputs = node.outputs;
  graph->nodes.push_back(node);
  return graph;
}

}  // namespace

TEST("If runs the branch that its condition names") {
  const Constant a = array<float>({2}, {1, 2}), b = array<float>({3, 1}, {10, 20, 30});
  const Attributes branches{{"then_branch", branch("Add")}, {"else_branch", branch("Identity")}};
  const Constant sum = operate("If", {array<bool>({}, {true}), a, b}, branches)[0];
  CHECK(sum.tensor.shape == (Shape{3, 2}));
  CHECK(items<float>(sum) == (std::vector<float>{11, 12, 21, 22, 31, 32}));
  const Constant same = operate("If", {array<bool>({1}, {false}), a, b}, branches)[0];
  CHECK(items<float>(same) == (std::vector<float>{1, 2}));
}

TEST("If names what its branches lack") {
  bool named = false;
  try {
    operate("If", {array<bool>({}, {true})},
            {{"then_branch", branch("Nowhere")}, {"else_branch", branch("Add")}});
  } catch (const Unsupported& error) {
    named = std::string(error.what()).find("Nowhere") != std::string::npos;
  }
  CHECK(named);
}
