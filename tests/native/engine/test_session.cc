// Batches that are computed image by image give what the whole program gives.
#include "check.h"
#include "engine/session.h"
#include "engine/split_batch.h"

using namespace laconic::engine;
using laconic::kernels::Pool;

namespace {

struct Sketch {
  Graph graph;
  check::Random random{7};

  Value input(const std::vector<std::int64_t>& sizes) {
    const Value value = graph.add("input");
    graph.inputs.push_back({value, DType::f32, sizes});
    return value;
  }
  Value constant(const Shape& shape) {
    const Constant held = Constant::make(DType::f32, shape);
    const auto items = random.floats(static_cast<std::size_t>(shape.count()));
    std::copy(items.begin(), items.end(), held.tensor.as<float>());
    return graph.add_constant("constant", held);
  }
  Value integers(const std::vector<std::int64_t>& items) {
    const Constant held = Constant::make(DType::i64, {static_cast<std::int64_t>(items.size())});
    std::copy(items.begin(), items.end(), held.tensor.as<std::int64_t>());
    return graph.add_constant("integers", held);
  }
  Value node(const std::string& operation, const std::vector<Value>& inputs,
             const Attributes& attributes = {}) {
    const Value out = graph.add(operation);
    graph.nodes.push_back({operation, inputs, {out}, attributes, {}});
    return out;
  }
};

using Run = std::function<void(const std::vector<Tensor>&, Pool&, const Program::Take&)>;

std::vector<float> outputs_of(const Run& run, const Shape& shape, std::vector<float> items,
                              int threads) {
  Pool pool(threads);
  std::vector<float> out;
  run({{DType::f32, shape, items.data()}}, pool, [&](const std::vector<Tensor>& made) {
    for (const Tensor& tensor : made) {
      out.insert(out.end(), tensor.as<float>(), tensor.as<float>() + tensor.count());
    }
  });
  return out;
}

// Two convolutions with a branch between them, a pool, then a linear head over the batch's mean.
Graph sketch() {
  Sketch sketch;
  const Value x = sketch.input({-1, 3, 9, 8});
  const Attributes pads{{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}};
  const Value a =
      sketch.node("Relu", {sketch.node("Conv", {x, sketch.constant({6, 3, 3, 3})}, pads)});
  const Value b = sketch.node("Conv", {a, sketch.constant({6, 6, 1, 1})});
  const Value joined =
      sketch.node("Concat", {a, sketch.node("Add", {a, b})}, {{"axis", std::int64_t{1}}});
  const Value pooled =
      sketch.node("ReduceMean", {joined, sketch.integers({2, 3})}, {{"keepdims", std::int64_t{0}}});
  const Value scores = sketch.node("MatMul", {pooled, sketch.constant({12, 5})});
  const Value mean = sketch.node("ReduceMean", {joined, sketch.integers({0})});
  sketch.graph.outputs = {scores, mean};
  sketch.graph.opset = 20;
  return sketch.graph;
}

}  // namespace

TEST("what mixes the images of a batch is left to the second half") {
  const auto split = split_batch(sketch());
  CHECK(split.has_value());
  CHECK(split->first.nodes.size() == 6);
  CHECK(split->second.nodes.size() == 2);
  CHECK(split->first.outputs.size() == 2);
}

TEST("a batch in parts gives what the whole gives, for any number of threads") {
  const Graph graph = sketch();
  Program whole(graph, {});
  Session session(graph, {});
  check::Random random(8);
  for (int batch : {0, 1, 2, 3, 4, 5, 11}) {
    const Shape shape{batch, 3, 9, 8};
    const auto items = random.floats(static_cast<std::size_t>(shape.count()));
    const auto run_whole = [&](auto&&... arguments) { whole.run(arguments...); };
    const auto run_session = [&](auto&&... arguments) { session.run(arguments...); };
    const auto expected = outputs_of(run_whole, shape, items, 1);
    const auto found = outputs_of(run_session, shape, items, 1);
    if (batch > 0) CHECK(check::deviation(found, expected) < 1e-5);
    CHECK(found.size() == expected.size());
    if (batch > 0) CHECK(outputs_of(run_session, shape, items, 3) == found);
  }
}

TEST("operators that would mix images keep a program whole") {
  const std::vector<std::int64_t> whole_pads{1, 0, 0, 0, 0, 0, 0, 0};
  for (int kind = 0; kind < 4; ++kind) {
    Sketch sketch;
    const Value x = sketch.input({-1, 2, 4, 4});
    Value y = x;
    if (kind == 0) y = sketch.node("Concat", {x, x}, {{"axis", std::int64_t{0}}});
    if (kind == 1) y = sketch.node("Pad", {x, sketch.integers(whole_pads)});
    if (kind == 2) y = sketch.node("Add", {x, sketch.constant({3, 1, 1, 1})});
    if (kind == 3) y = sketch.node("ReduceMax", {x, sketch.integers({-4})});
    y = sketch.node("Conv", {y, sketch.constant({2, 2, 1, 1})});
    sketch.graph.outputs = {sketch.node("Conv", {y, sketch.constant({2, 2, 1, 1})})};
    CHECK(!split_batch(sketch.graph).has_value());
  }
}

TEST("a shape that does not fit is refused in the middle of a batch, too") {
  Sketch sketch;
  const Value x = sketch.input({-1, 2, -1, 4});
  Value y = sketch.node("Conv", {x, sketch.constant({2, 2, 3, 1})});
  sketch.graph.outputs = {sketch.node("Conv", {y, sketch.constant({2, 2, 3, 1})})};
  Session session(sketch.graph, {});
  bool refused = false;
  try {
    const auto run = [&](auto&&... arguments) { session.run(arguments...); };
    outputs_of(run, {6, 2, 4, 4}, std::vector<float>(6 * 32), 2);
  } catch (const Mismatch&) {
    refused = true;
  }
  CHECK(refused);
}
