// MatMul and Gemm: by packed weights where one side is constant, else of two activations.
#include <algorithm>

#include "engine/operators/broadcast.h"
#include "engine/operators/tables.h"
#include "kernels/best_linear.h"
#include "kernels/gemm.h"

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

// How many rows a call will probably have: one of each batch whose size is left open.
std::int64_t expected_rows(const Tensor* x) {
  if (x == nullptr || x->rank() < 2) return 1;
  const std::int64_t rows = x->shape.count(0, x->rank() - 1);
  return x->shape[0] == TRIAL_BATCH ? rows / TRIAL_BATCH : rows;
}

void require_floats(const Tensor& tensor, const char* name) {
  if (tensor.type == DType::f32) return;
  throw Mismatch(std::string(name) + " of float32 is needed, found " + tensor.text());
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
  Linear(Making& making, const Tensor& weight, bool by_rows)
      : node_(making.node()), matrices_(making.node().operation == "Gemm") {
    depth_ = weight.shape[by_rows ? 1 : 0];
    outputs_ = weight.shape[by_rows ? 0 : 1];
    const std::int64_t rows = expected_rows(making.trial_input(0));
    if (by_rows) {
      weights_ = kernels::best_linear(weight.as<float>(), outputs_, depth_, rows, making.int8());
    } else {
      const std::vector<float> rows_first = transposed(weight.as<float>(), depth_, outputs_);
      weights_ = kernels::best_linear(rows_first.data(), outputs_, depth_, rows, making.int8());
    }
    making.consumed(node_.input(1));
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_floats(x, matrices_ ? "A" : "x");
    if (matrices_ && x.rank() != 2) throw Mismatch("A is a matrix, found " + x.text());
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
  bool matrices_;  // x has two axes
  std::int64_t depth_ = 0, outputs_ = 0;
  std::unique_ptr<LinearWeights> weights_;
};

// One product of the many that MatMul of two stacks of matrices is.
struct PreparedProducts : Prepared {
  kernels::GemmShape shape;
  std::vector<std::int64_t> left, right;  // where each product's sides begin, in items
  std::size_t scratch_bytes = 0;          // of one product
};

// The stacks' leading axes broadcast; matrices [m, k] times [k, n].
class MatMul : public Operator {
 public:
  explicit MatMul(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor &a = planning.input(0), &b = planning.input(1);
    if (a.type != DType::f32 || b.type != DType::f32) {
      throw Mismatch("float32 is needed, found " + a.text() + " and " + b.text());
    }
    if (a.rank() < 1 || b.rank() < 1) throw Mismatch("a scalar has no rows");
    // A vector on the left is one row, on the right one column.
    Shape left = a.shape, right = b.shape;
    if (a.rank() == 1) left = {1, a.shape[0]};
    if (b.rank() == 1) right = {b.shape[0], 1};
    auto prepared = std::make_unique<PreparedProducts>();
    kernels::GemmShape& shape = prepared->shape;
    shape.m = left[left.rank() - 2];
    shape.k = left[left.rank() - 1];
    shape.n = right[right.rank() - 1];
    if (right[right.rank() - 2] != shape.k) {
      throw Mismatch(a.text() + " and " + b.text() + " differ in the axis that is summed over");
    }
    const Shape stack =
        broadcast(Shape(left.begin(), left.end() - 2), Shape(right.begin(), right.end() - 2));
    prepared->left = places(left, stack, shape.m * shape.k);
    prepared->right = places(right, stack, shape.k * shape.n);
    Shape made = stack;
    if (a.rank() > 1) made.push(shape.m);
    if (b.rank() > 1) made.push(shape.n);
    planning.output(0, DType::f32, made);
    prepared->scratch_bytes = kernels::gemm_scratch_bytes(shape, planning.threads());
    planning.scratch(prepared->scratch_bytes * static_cast<std::size_t>(planning.threads()));
    return prepared;
  }

  void run(const Running& running) const override {
    const auto& prepared = running.prepared<PreparedProducts>();
    const kernels::GemmShape& shape = prepared.shape;
    const float *a = running.input(0).as<float>(), *b = running.input(1).as<float>();
    float* y = running.output(0).as<float>();
    const auto product = [&](std::size_t i, std::byte* scratch) {
      kernels::gemm(shape, {a + prepared.left[i], shape.k, 1}, {b + prepared.right[i], shape.n, 1},
                    y + static_cast<std::int64_t>(i) * shape.m * shape.n, shape.n, 1.0f, Epilogue(),
                    scratch, running.pool());
    };
    const std::size_t products = prepared.left.size();
    if (products < static_cast<std::size_t>(running.pool().threads())) {
      for (std::size_t i = 0; i < products; ++i) product(i, running.scratch());
      return;
    }
    running.pool().split(
        static_cast<std::int64_t>(products), [&](std::int64_t begin, std::int64_t end, int worker) {
          std::byte* scratch =
              running.scratch() + prepared.scratch_bytes * static_cast<std::size_t>(worker);
          for (std::int64_t i = begin; i < end; ++i) product(static_cast<std::size_t>(i), scratch);
        });
  }

 private:
  // Where the matrix for each index of `stack` begins in a stack of this shape.
  static std::vector<std::int64_t> places(const Shape& shape, const Shape& stack,
                                          std::int64_t items) {
    std::vector<std::int64_t> out{0};
    const int missing = stack.rank() - (shape.rank() - 2);
    for (int axis = 0; axis < stack.rank(); ++axis) {
      const std::int64_t own = axis < missing ? 1 : shape[axis - missing];
      std::vector<std::int64_t> next;
      for (std::int64_t place : out) {
        for (std::int64_t i = 0; i < stack[axis]; ++i)
          next.push_back(place * own + (own == 1 ? 0 : i));
      }
      out = std::move(next);
    }
    for (std::int64_t& place : out) place *= items;
    return out;
  }
};

std::unique_ptr<Operator> make_matmul(Making& making) {
  const Tensor* weight = making.constant_input(1);
  if (weight != nullptr && weight->type == DType::f32 && weight->rank() == 2) {
    return std::make_unique<Linear>(making, *weight, false);
  }
  return std::make_unique<MatMul>(making);
}

struct PreparedGemm : Prepared {
  kernels::GemmShape shape;
};

// alpha * A B + beta * C, either side transposed, C broadcast.
class Gemm : public Operator {
 public:
  explicit Gemm(Making& making)
      : alpha_(static_cast<float>(making.node().real("alpha", 1))),
        beta_(static_cast<float>(making.node().real("beta", 1))),
        left_turned_(making.node().integer("transA", 0) != 0),
        right_turned_(making.node().integer("transB", 0) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor &a = planning.input(0), &b = planning.input(1);
    require_floats(a, "A");
    require_floats(b, "B");
    if (a.rank() != 2 || b.rank() != 2) {
      throw Mismatch("A and B are matrices, found " + a.text() + " and " + b.text());
    }
    auto prepared = std::make_unique<PreparedGemm>();
    const kernels::GemmShape& shape = prepared->shape = shape_of(a, b);
    if (b.shape[right_turned_ ? 1 : 0] != shape.k) {
      throw Mismatch("the matrices " + a.text() + " and " + b.text() +
                     " differ in the axis that is summed over");
    }
    if (planning.has(2)) {
      require_floats(planning.input(2), "C");
      const Shape& c = planning.input(2).shape;
      const bool rows = c.rank() < 2 || c[0] == 1 || c[0] == shape.m;
      const bool columns = c.rank() == 0 || c[c.rank() - 1] == 1 || c[c.rank() - 1] == shape.n;
      if (c.rank() > 2 || !rows || !columns) throw Mismatch("C of " + c.text() + " does not fit");
    }
    planning.output(0, DType::f32, {shape.m, shape.n});
    planning.scratch(kernels::gemm_scratch_bytes(shape, planning.threads()));
    return prepared;
  }

  void run(const Running& running) const override {
    const Tensor &a = running.input(0), &b = running.input(1);
    const kernels::GemmShape& shape = running.prepared<PreparedGemm>().shape;
    float* y = running.output(0).as<float>();
    Epilogue epilogue;
    if (running.has(2)) {
      spread(running.input(2), shape, y);
      epilogue.addend = y;
    }
    kernels::gemm(shape, side(a, left_turned_), side(b, right_turned_), y, shape.n, alpha_,
                  epilogue, running.scratch(), running.pool());
  }

 private:
  kernels::GemmShape shape_of(const Tensor& a, const Tensor& b) const {
    return {a.shape[left_turned_ ? 1 : 0], b.shape[right_turned_ ? 0 : 1],
            a.shape[left_turned_ ? 0 : 1]};
  }
  static kernels::Matrix side(const Tensor& matrix, bool turned) {
    const std::int64_t columns = matrix.shape[1];
    if (turned) return {matrix.as<float>(), 1, columns};
    return {matrix.as<float>(), columns, 1};
  }
  // beta * C in every place of y.
  void spread(const Tensor& c, const kernels::GemmShape& shape, float* y) const {
    const float* items = c.as<float>();
    const std::int64_t columns = c.rank() == 0 ? 1 : c.shape[c.rank() - 1];
    const std::int64_t row = c.rank() == 2 && c.shape[0] == shape.m && shape.m > 1 ? columns : 0;
    for (std::int64_t i = 0; i < shape.m; ++i) {
      for (std::int64_t j = 0; j < shape.n; ++j) {
        y[i * shape.n + j] = beta_ * items[i * row + (columns == 1 ? 0 : j)];
      }
    }
  }

  float alpha_, beta_;
  bool left_turned_, right_turned_;
};

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
  return std::make_unique<Gemm>(making);
}

}  // namespace

std::vector<Entry> linear_operators() {
  return {{"MatMul", make_matmul, {}, 2},
          {"Gemm", make_gemm, {"alpha", "beta", "transA", "transB"}, 3}};
}

}  // namespace laconic::engine
