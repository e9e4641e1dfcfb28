// MatMul and Gemm: by packed weights where one side is constant, else of two activations.
#include <algorithm>

#include "engine/operators/tables.h"
#include "kernels/best_linear.h"

namespace laconic::engine {

namespace {

using kernels::Epilogue;
using kernels::LinearWeights;

// The transpose of a matrix [rows, columns].
std::vector<float> transposed(const float* matrix, std::int64_t rows, std::int64_t columns) {
  std::vector<float> out(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      out[static_cast<std::size_t>(j * rows + i)] = matrix[i * columns + j];
    }
  }
  return out;
}

// What Node::fusion says, without a bias of the node's own.
Epilogue epilogue_of(const Node& node, const Running& running) {
  const Fusion& fusion = node.fusion;
  Epilogue out;
  if (!fusion.scale.empty()) out.scale = fusion.scale.data();
  if (!fusion.bias.empty()) out.bias = fusion.bias.data();
  if (fusion.addend != NONE) out.addend = running.input(running.inputs() - 1).as<float>();
  out.low = fusion.low;
  out.high = fusion.high;
  return out;
}

// x [..., depth] times constant weights, kept as [outputs, depth].
class Linear : public Operator {
 public:
  // `weight` is [depth, outputs], or [outputs, depth] where `by_rows`.
  Linear(Making& making, const Tensor& weight, bool by_rows) : node_(making.node()) {
    depth_ = weight.shape[by_rows ? 1 : 0];
    outputs_ = weight.shape[by_rows ? 0 : 1];
    const Tensor* x = making.trial_input(0);
    const std::int64_t rows = x == nullptr || x->rank() < 2 ? 1 : x->shape.count(0, x->rank() - 1);
    if (by_rows) {
      weights_ = kernels::best_linear(weight.as<float>(), outputs_, depth_, rows);
    } else {
      const std::vector<float> rows_first = transposed(weight.as<float>(), depth_, outputs_);
      weights_ = kernels::best_linear(rows_first.data(), outputs_, depth_, rows);
    }
    making.consumed(node_.input(1));
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32) throw Mismatch("float32 is needed, found " + x.text());
    if (x.rank() < 1 || x.shape[x.rank() - 1] != depth_) {
      throw Mismatch("the weight takes " + std::to_string(depth_) + " features, found " + x.text());
    }
    Shape made = x.shape;
    made[x.rank() - 1] = outputs_;
    planning.output(0, DType::f32, made);
    if (node_.fusion.addend != NONE && planning.input(planning.inputs() - 1).shape != made) {
      throw Mismatch("what is added has the shape " +
                     planning.input(planning.inputs() - 1).shape.text() + ", not " + made.text());
    }
    planning.scratch(weights_->scratch_bytes(x.shape.count(0, x.rank() - 1), planning.threads()));
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    Epilogue epilogue = epilogue_of(node_, running);
    if (epilogue.bias == nullptr && own_bias() && running.has(2)) {
      epilogue.bias = running.input(2).as<float>();
    }
    weights_->run(x.as<float>(), depth_, running.output(0).as<float>(), outputs_,
                  x.shape.count(0, x.rank() - 1), epilogue, running.scratch(), running.pool());
  }

  std::size_t bytes() const override { return weights_->bytes(); }
  std::string form() const override { return weights_->form(); }
  std::int64_t fusable_outputs() const override { return outputs_; }

 private:
  bool own_bias() const { return node_.input(2) != NONE && node_.input(2) != node_.fusion.addend; }

  const Node& node_;
  std::int64_t depth_ = 0, outputs_ = 0;
  std::unique_ptr<LinearWeights> weights_;
};

std::unique_ptr<Operator> make_matmul(Making& making) {
  const Tensor* weight = making.constant_input(1);
  if (weight != nullptr && weight->type == DType::f32 && weight->rank() == 2) {
    return std::make_unique<Linear>(making, *weight, false);
  }
  throw Unsupported("MatMul of two activations");
}

// x W^T + b with a constant weight and one bias for each output.
bool is_plain_linear(const Making& making, const Tensor* weight) {
  const Node& node = making.node();
  if (weight == nullptr || weight->type != DType::f32 || weight->rank() != 2) return false;
  if (node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1) return false;
  if (node.input(2) == NONE) return true;
  const Tensor* bias = making.constant_input(2);
  const std::int64_t outputs = weight->shape[node.integer("transB", 0) != 0 ? 0 : 1];
  return node.real("beta", 1) == 1 && bias != nullptr && bias->type == DType::f32 &&
         bias->count() == outputs && bias->rank() > 0 && bias->shape[bias->rank() - 1] == outputs;
}

std::unique_ptr<Operator> make_gemm(Making& making) {
  const Tensor* weight = making.constant_input(1);
  if (is_plain_linear(making, weight)) {
    return std::make_unique<Linear>(making, *weight, making.node().integer("transB", 0) != 0);
  }
  throw Unsupported("Gemm of two activations");
}

}  // namespace

std::vector<Entry> linear_operators() {
  return {{"MatMul", make_matmul, {}, 2},
          {"Gemm", make_gemm, {"alpha", "beta", "transA", "transB"}, 3}};
}

}  // namespace laconic::engine
