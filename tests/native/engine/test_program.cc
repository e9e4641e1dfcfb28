// Programs told node by node in C++: folding, fusing, views, changing shapes, several threads.
#include <thread>

#include "check.h"
#include "engine/program.h"

using namespace laconic::engine;
using laconic::kernels::Pool;

namespace {

Constant floats(const Shape& shape, const std::vector<float>& items) {
  const Constant out = Constant::make(DType::f32, shape);
  std::copy(items.begin(), items.end(), out.tensor.as<float>());
  return out;
}

// A graph under construction.
struct Sketch {
  Graph graph;

  Sketch() { graph.opset = 20; }
  Value input(const std::vector<std::int64_t>& sizes) {
    const Value value = graph.add("input");
    graph.inputs.push_back({value, DType::f32, sizes});
    return value;
  }
  Value constant(const Shape& shape, const std::vector<float>& items) {
    return graph.add_constant("constant", floats(shape, items));
  }
  Value node(const std::string& operation, const std::vector<Value>& inputs,
             const Attributes& attributes = {}) {
    const Value out = graph.add(operation);
    graph.nodes.push_back({operation, inputs, {out}, attributes, {}});
    return out;
  }
};

std::vector<float> run(Program& program, const Shape& shape, std::vector<float> items, Pool& pool) {
  std::vector<float> out;
  program.run({{DType::f32, shape, items.data()}}, pool, [&](const std::vector<Tensor>& outputs) {
    out.assign(outputs[0].as<float>(), outputs[0].as<float>() + outputs[0].count());
  });
  return out;
}

}  // namespace

TEST("a 1x1 convolution takes in its normalisation, an addition and a Relu") {
  Sketch sketch;
  const Value x = sketch.input({-1, 1, -1, -1});
  const Value weight = sketch.constant({1, 1, 1, 1}, {2});
  const Value bias = sketch.constant({1}, {1});
  Value y = sketch.node("Conv", {x, weight, bias});
  const Value one = sketch.constant({1}, {3}), shift = sketch.constant({1}, {-1});
  const Value mean = sketch.constant({1}, {0.5f}), variance = sketch.constant({1}, {4});
  y = sketch.node("BatchNormalization", {y, one, shift, mean, variance}, {{"epsilon", 0.0}});
  y = sketch.node("Add", {x, y});
  y = sketch.node("Relu", {y});
  sketch.graph.outputs = {y};
  Program program(sketch.graph, {});
  CHECK(program.layers().size() == 1);
  Pool pool(1);
  // 3 * ((2 x + 1) - 0.5) / 2 - 1 + x
  const auto found = run(program, {1, 1, 1, 3}, {1, 0, -2}, pool);
  CHECK(check::deviation(found, {3.75f, 0, 0}) < 1e-6);
}

TEST("sparse convolutions that follow each other agree on rows of zeros between planes") {
  check::Random random(11);
  const std::int64_t channels = 6;
  const Attributes pads{{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}};
  const auto weights = random.floats(channels * channels * 9, 0.9);
  // y = relu(conv(relu(conv(x))) + x) as often as asked; then what is read by others too.
  const auto blocks = [&](int count, bool shown) {
    Sketch sketch;
    Value x = sketch.input({-1, channels, -1, -1});
    const Value weight = sketch.constant({channels, channels, 3, 3}, weights);
    for (int i = 0; i < count; ++i) {
      const Value first = sketch.node("Relu", {sketch.node("Conv", {x, weight}, pads)});
      const Value second = sketch.node("Conv", {first, weight}, pads);
      x = sketch.node("Relu", {sketch.node("Add", {second, x})});
      if (shown) x = sketch.node("Abs", {x});
    }
    sketch.graph.outputs = {x};
    return Program(sketch.graph, Options{});
  };
  for (const Shape& shape : {Shape{1, channels, 32, 32}, Shape{2, channels, 9, 16}}) {
    const auto x = random.floats(static_cast<std::size_t>(shape.count()));
    for (const int threads : {1, 2}) {
      Pool pool(threads);
      Program one = blocks(1, false), three = blocks(3, false), dense = blocks(3, true);
      const auto expected = run(one, shape, run(one, shape, run(one, shape, x, pool), pool), pool);
      CHECK(check::deviation(run(three, shape, x, pool), expected) < 1e-6);
      CHECK(check::deviation(run(dense, shape, x, pool), expected) < 1e-6);
    }
  }
}

TEST("a value that two operators read is not fused away") {
  Sketch sketch;
  const Value x = sketch.input({-1, 1, -1, -1});
  const Value y = sketch.node("Conv", {x, sketch.constant({1, 1, 1, 1}, {1})});
  const Value relu = sketch.node("Relu", {y});
  sketch.graph.outputs = {sketch.node("Add", {y, relu})};
  Program program(sketch.graph, {});
  Pool pool(1);
  CHECK(run(program, {1, 1, 1, 2}, {-3, 5}, pool) == std::vector<float>({-3, 10}));
}

TEST("what a batch of another size adds is not taken for the output's own shape") {
  Sketch sketch;
  const Value x = sketch.input({-1, 1, 1, 2});
  const Value y = sketch.node("Conv", {x, sketch.constant({1, 1, 1, 1}, {1})});
  const Value first = sketch.node("ReduceMean", {x}, {{"keepdims", std::int64_t{1}}});
  sketch.graph.outputs = {sketch.node("Add", {y, first})};
  Program program(sketch.graph, {});
  Pool pool(1);
  CHECK(run(program, {1, 1, 1, 2}, {1, 3}, pool) == std::vector<float>({3, 5}));
  CHECK(run(program, {2, 1, 1, 2}, {1, 3, 5, 7}, pool) == std::vector<float>({5, 7, 9, 11}));
}

TEST("constants are folded, and an operator that is missing is named") {
  Sketch sketch;
  const Value x = sketch.input({2});
  const Value a = sketch.constant({2}, {1, 2}), b = sketch.constant({2}, {10, 20});
  sketch.graph.outputs = {sketch.node("Add", {x, sketch.node("Add", {a, b})})};
  Program program(sketch.graph, {});
  CHECK(program.layers().size() == 1);
  Pool pool(1);
  CHECK(run(program, {2}, {1, 1}, pool) == std::vector<float>({12, 23}));

  Sketch missing;
  missing.graph.outputs = {missing.node("NoSuchThing", {missing.input({1})})};
  std::string message;
  try {
    Program refused(missing.graph, {});
  } catch (const Unsupported& error) {
    message = error.what();
  }
  CHECK(message.find("NoSuchThing") != std::string::npos);
}

TEST("shapes may change between calls, and threads give the same bits") {
  check::Random random(2);
  Sketch sketch;
  const Value x = sketch.input({-1, 3, -1, -1});
  const Value weight = sketch.constant({8, 3, 3, 3}, random.floats(8 * 27, 0.7));
  const Attributes pads{{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}};
  const Value y = sketch.node("Relu", {sketch.node("Conv", {x, weight}, pads)});
  sketch.graph.outputs = {
      sketch.node("Conv", {y, sketch.constant({4, 8, 1, 1}, random.floats(32))})};
  Program program(sketch.graph, {});
  Pool one(1), three(3);
  for (int round = 0; round < 12; ++round) {
    const Shape shape{random.between(1, 5), 3, random.between(1, 20), random.between(1, 20)};
    const auto items = random.floats(static_cast<std::size_t>(shape.count()));
    CHECK(run(program, shape, items, one) == run(program, shape, items, three));
  }
}

TEST("calls from several threads do not disturb each other") {
  check::Random random(3);
  Sketch sketch;
  const Value x = sketch.input({-1, 5});
  Value y = sketch.node("MatMul", {x, sketch.constant({5, 7}, random.floats(35))});
  y = sketch.node("Relu", {y});
  sketch.graph.outputs = {sketch.node("MatMul", {y, sketch.constant({7, 2}, random.floats(14))})};
  Program program(sketch.graph, {});
  Pool pool(2);
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&, caller] {
      check::Random own(caller);
      const Shape shape{static_cast<std::int64_t>(caller % 3 + 1), 5};
      const auto items = own.floats(static_cast<std::size_t>(shape.count()));
      Pool alone(1);
      const auto expected = run(program, shape, items, alone);
      for (int round = 0; round < 200; ++round) CHECK(run(program, shape, items, pool) == expected);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST("inputs that do not fit are refused with what was found") {
  Sketch sketch;
  const Value x = sketch.input({-1, 5});
  sketch.graph.outputs = {sketch.node("MatMul", {x, sketch.constant({5, 1}, {1, 2, 3, 4, 5})})};
  Program program(sketch.graph, {});
  Pool pool(1);
  std::string message;
  try {
    run(program, {1, 4}, {1, 2, 3, 4}, pool);
  } catch (const Mismatch& error) {
    message = error.what();
  }
  CHECK(message.find("MatMul") != std::string::npos);
  CHECK(message.find("float32[1, 4]") != std::string::npos);
}

TEST("a product of matrices says which of them does not fit") {
  const auto message = [](const Shape& shape, const Constant& b, bool with_c) {
    Sketch sketch;
    const Value x = sketch.input(std::vector<std::int64_t>(shape.begin(), shape.end()));
    std::vector<Value> inputs{x, sketch.graph.add_constant("B", b)};
    if (with_c) {
      inputs.push_back(sketch.graph.add_constant("C", Constant::make(DType::i64, {2})));
    }
    try {
      sketch.graph.outputs = {sketch.node("Gemm", inputs)};
      Program program(sketch.graph, {});
      Pool pool(1);
      run(program, shape, std::vector<float>(static_cast<std::size_t>(shape.count())), pool);
    } catch (const Mismatch& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto says = [](const std::string& found, const std::string& words) {
    return found.find("Gemm") != std::string::npos && found.find(words) != std::string::npos;
  };
  const Constant floating = floats({2, 2}, {1, 2, 3, 4});
  CHECK(says(message({1, 2}, Constant::make(DType::i64, {2, 2}), false),
             "B of float32 is needed, found int64[2, 2]"));
  CHECK(says(message({1, 2}, floating, true), "C of float32 is needed, found int64[2]"));
  CHECK(says(message({1, 1, 2}, floating, false), "A is a matrix, found float32[1, 1, 2]"));
  CHECK(message({1, 2}, floating, false).empty());
}
