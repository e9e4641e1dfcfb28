// The contract of an operator: made once from its node, planned once for each set of input shapes,
// then run. To add one: a class and a line in the table of its file (operators/*.cc).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/graph.h"
#include "engine/tensor.h"
#include "kernels/pool.h"

namespace laconic::engine {

using kernels::Pool;

// Thrown by Planning::value: an input's values decide over the shape of an output, and they are
// not known before the run. The node is then planned again in every run.
struct NeedsValues {};

// What an operator wants to keep for one set of input shapes.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

// The view of Operator::plan: shapes in, shapes out.
class Planning {
 public:
  Planning(const Node& node, std::vector<const Tensor*> inputs, int threads,
           std::int64_t made_apart = 0)
      : node_(node),
        inputs_(std::move(inputs)),
        threads_(threads),
        outputs_(node.outputs.size()),
        apart_(inputs_.size(), -1),
        made_apart_(made_apart) {}

  int inputs() const { return static_cast<int>(inputs_.size()); }
  bool has(int input) const {
    return input < inputs() && inputs_[static_cast<std::size_t>(input)] != nullptr;
  }
  // Type and shape (data may be null). Mismatch when the input is absent.
  const Tensor& input(int index) const;
  // The same with its data; throws NeedsValues while they are unknown.
  const Tensor& value(int index) const;
  // The items of a small input of integers (int64 or int32) or floats; throws NeedsValues.
  std::vector<std::int64_t> integers(int index) const;
  std::vector<double> reals(int index) const;

  int outputs() const { return static_cast<int>(outputs_.size()); }
  // False for an output that nobody reads and that has no name.
  bool wants(int output) const {
    return output < outputs() && node_.outputs[static_cast<std::size_t>(output)] != NONE;
  }
  // Every wanted output is declared by exactly one of these.
  void output(int index, DType type, const Shape& shape);
  // The output is the input's memory under another shape: `run` need not touch it.
  void alias(int output, int input, const Shape& shape);
  // The output is known already: memory to fill now.
  template <typename T>
  T* known(int index, const Shape& shape) {
    return static_cast<T*>(known_memory(index, DTypeOf<T>::value, shape));
  }
  // After `output`: it may lie in the same memory as this input (item i of one is written only
  // after item i of the other was read for the last time). Kept when types and sizes allow it.
  void may_overwrite(int output, int input);
  // The input may have rows of zeros between its planes (Tensor::apart); `wanted` of them would
  // make the operator faster. Planned again when it gets some.
  void may_be_apart(int input, std::int64_t wanted) {
    apart_[static_cast<std::size_t>(input)] = wanted;
  }
  // The output 0 may have such rows, which `run` then writes too.
  void may_make_apart() { makes_apart_ = true; }
  // How many it has.
  std::int64_t made_apart() const { return made_apart_; }
  // `run` gets this many bytes at an address divisible by 64.
  void scratch(std::size_t bytes) { scratch_ = bytes; }
  int threads() const { return threads_; }

  struct Output {
    bool declared = false;
    Tensor tensor;          // data only where it is known
    int alias = NONE;       // an input
    int overwrites = NONE;  // an input
    std::shared_ptr<const void> owner;
  };
  const std::vector<Output>& results() const { return outputs_; }
  // By input: how many rows of zeros it would like between planes, -1 where it takes none.
  const std::vector<std::int64_t>& apart() const { return apart_; }
  bool makes_apart() const { return makes_apart_; }
  // Mismatch when a wanted output was not declared.
  void require_wanted() const;
  std::size_t scratch_bytes() const { return scratch_; }
  // Whether every output is without items: there is nothing to run.
  bool makes_nothing() const;

 private:
  void* known_memory(int index, DType type, const Shape& shape);
  Output& declare(int index);

  const Node& node_;
  std::vector<const Tensor*> inputs_;
  int threads_;
  std::vector<Output> outputs_;
  std::size_t scratch_ = 0;
  std::vector<std::int64_t> apart_;
  bool makes_apart_ = false;
  std::int64_t made_apart_;
};

// The view of Operator::run: memory everywhere. Inputs are not written.
class Running {
 public:
  Running(const Tensor* const* inputs, int input_count, const Tensor* const* outputs,
          int output_count, const Prepared* prepared, std::byte* scratch, Pool& pool)
      : inputs_(inputs),
        outputs_(outputs),
        input_count_(input_count),
        output_count_(output_count),
        prepared_(prepared),
        scratch_(scratch),
        pool_(pool) {}

  int inputs() const { return input_count_; }
  bool has(int index) const { return index < input_count_ && inputs_[index] != nullptr; }
  const Tensor& input(int index) const { return *inputs_[index]; }
  int outputs() const { return output_count_; }
  bool wants(int index) const { return index < output_count_ && outputs_[index] != nullptr; }
  const Tensor& output(int index) const { return *outputs_[index]; }
  // What `plan` returned.
  template <typename Class>
  const Class& prepared() const {
    return static_cast<const Class&>(*prepared_);
  }
  std::byte* scratch() const { return scratch_; }
  Pool& pool() const { return pool_; }

 private:
  const Tensor* const* inputs_;
  const Tensor* const* outputs_;
  int input_count_;
  int output_count_;
  const Prepared* prepared_;
  std::byte* scratch_;
  Pool& pool_;
};

class Operator {
 public:
  virtual ~Operator() = default;
  // Declares the outputs for these inputs; Mismatch when they do not fit. May return null.
  virtual std::unique_ptr<Prepared> plan(Planning& planning) const = 0;
  // Computes the outputs. Several threads may run one operator.
  virtual void run(const Running& running) const = 0;
  // Of weights that the operator has made its own.
  virtual std::size_t bytes() const { return 0; }
  // How the weights are kept ("sparse", "dense", ...); empty without weights.
  virtual std::string form() const { return ""; }
  // The channels or features of the output, when `run` honours Node::fusion; 0 otherwise.
  virtual std::int64_t fusable_outputs() const { return 0; }
};

// Stands for a batch of open size while operators are made: no other size by accident.
constexpr std::int64_t TRIAL_BATCH = 3;

// What a Make function sees of its node.
class Making {
 public:
  using Fetch = std::function<const Tensor*(Value)>;

  Making(const Node& node, std::int64_t opset, bool int8, Fetch constant, Fetch trial)
      : node_(node),
        opset_(opset),
        int8_(int8),
        constant_(std::move(constant)),
        trial_(std::move(trial)) {}

  const Node& node() const { return node_; }
  std::int64_t opset() const { return opset_; }
  // The user allows the inputs of layers to be rounded to 8 bits.
  bool int8() const { return int8_; }

  // A constant with its data, or null for another value. An operator that packs a constant into a
  // form of its own calls `consumed`: the session need not keep it, and `run` may find the input
  // without data.
  const Tensor* constant(Value value) const { return constant_(value); }
  const Tensor* constant_input(std::size_t index) const { return constant(node_.input(index)); }
  void consumed(Value value) { consumed_.push_back(value); }
  const std::vector<Value>& consumed() const { return consumed_; }
  // Type and shape of an input in a trial with the sizes that the program declares (TRIAL_BATCH and
  // others where it leaves them open); null if unknown.
  const Tensor* trial_input(std::size_t index) const { return trial_(node_.input(index)); }

 private:
  const Node& node_;
  std::int64_t opset_;
  bool int8_;
  Fetch constant_;
  Fetch trial_;
  std::vector<Value> consumed_;
};

using Make = std::unique_ptr<Operator> (*)(Making& making);

struct Entry {
  const char* name;
  Make make;
  // The attributes that the operator understands, and how many inputs at most (-1: any).
  std::vector<const char*> attributes;
  int most_inputs;
};

// A Make function for a class whose constructor takes `Making&`.
template <typename Class>
std::unique_ptr<Operator> make(Making& making) {
  return std::make_unique<Class>(making);
}

// Every operator by its ONNX name.
const std::unordered_map<std::string, Entry>& operators();

}  // namespace laconic::engine
