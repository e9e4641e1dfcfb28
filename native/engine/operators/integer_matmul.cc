// MatMulInteger and QLinearMatMul.
#include <algorithm>

#include "engine/operators/broadcast.h"
#include "engine/operators/codes.h"
#include "engine/operators/tables.h"
#include "kernels/int8_linear.h"

namespace laconic::engine {

namespace {

using kernels::Int8Linear;

class IntegerRows final : public kernels::Int8RowSums {
 public:
  IntegerRows(std::int32_t* y, std::int64_t outputs) : y_(y), outputs_(outputs) {}
  void take(const std::int32_t* sums, std::int64_t row, std::int64_t output,
            std::int64_t count) const override {
    std::copy(sums, sums + count, y_ + row * outputs_ + output);
  }

 private:
  std::int32_t* y_;
  std::int64_t outputs_;
};

class CodeRows final : public kernels::Int8RowSums {
 public:
  CodeRows(const Requantize& requantize, const Tensor& y, std::int64_t first, std::int64_t outputs)
      : requantize_(requantize), y_(y), first_(first), outputs_(outputs) {}
  void take(const std::int32_t* sums, std::int64_t row, std::int64_t output,
            std::int64_t count) const override {
    for (std::int64_t i = 0; i < count; ++i) {
      requantize_.store(sums[i], requantize_.scale(row, output + i), y_,
                        first_ + row * outputs_ + output + i);
    }
  }

 private:
  const Requantize& requantize_;
  const Tensor& y_;
  std::int64_t first_, outputs_;
};

struct Products : Prepared {
  std::int64_t rows = 0, depth = 0, outputs = 0;  // of one product
  std::int64_t count = 0;
  Shape left, right, stack;
};

// Where the matrix for item `index` of a stack begins in one of this shape, in matrices.
std::int64_t matrix_of(const Shape& shape, const Shape& stack, std::int64_t index) {
  std::int64_t place = 0, step = 1;
  for (int axis = stack.rank() - 1; axis >= 0; --axis) {
    const std::int64_t i = index % stack[axis];
    index /= stack[axis];
    const int own = axis - (stack.rank() - (shape.rank() - 2));
    if (own < 0 || shape[own] == 1) continue;
    place += i * step;
    step *= shape[own];
  }
  return place;
}

// The inputs of the two operators stand in different places.
struct Places {
  int right, left_zero, right_zero;
};

// Stacks of matrices [rows, depth] times [depth, outputs].
class IntegerMatMul : public Operator {
 public:
  IntegerMatMul(Making& making, Places places) : places_(places) {
    const auto at = [](int place) { return static_cast<std::size_t>(place); };
    const Node& node = making.node();
    const Tensor* right = making.constant_input(at(places.right));
    const Value zero = node.input(at(places.right_zero));
    if (right == nullptr || right->rank() != 2) return;
    if (zero != NONE && making.constant(zero) == nullptr) return;
    linear_ = std::make_unique<Int8Linear>(
        packed(*right, signed_codes(*right), 0, zero == NONE ? nullptr : making.constant(zero)));
    making.consumed(node.input(at(places.right)));
  }

  std::size_t bytes() const override { return linear_ ? linear_->bytes() : 0; }
  std::string form() const override { return linear_ ? "int8" : ""; }

 protected:
  std::unique_ptr<Products> plan_products(Planning& planning, DType type) const {
    const Tensor &a = planning.input(0), &b = planning.input(places_.right);
    check_codes(a);
    check_codes(b);
    if (a.rank() < 1 || b.rank() < 1) throw Mismatch("a scalar has no rows");
    auto out = std::make_unique<Products>();
    // A vector on the left is one row, on the right one column.
    out->left = a.rank() == 1 ? Shape{1, a.shape[0]} : a.shape;
    out->right = b.rank() == 1 ? Shape{b.shape[0], 1} : b.shape;
    out->rows = out->left[out->left.rank() - 2];
    out->depth = out->left[out->left.rank() - 1];
    out->outputs = out->right[out->right.rank() - 1];
    if (out->right[out->right.rank() - 2] != out->depth) {
      throw Mismatch(a.text() + " and " + b.text() + " differ in the axis that is summed over");
    }
    check_zeros(planning, places_.left_zero, a.type, out->rows);
    check_zeros(planning, places_.right_zero, b.type, out->outputs);
    out->stack = broadcast(Shape(out->left.begin(), out->left.end() - 2),
                           Shape(out->right.begin(), out->right.end() - 2));
    out->count = out->stack.count();
    Shape made = out->stack;
    if (a.rank() > 1) made.push(out->rows);
    if (b.rank() > 1) made.push(out->outputs);
    planning.output(0, type, made);
    return out;
  }

  // Calls product(linear, x, x zero points, rows, index of the product) for each.
  template <typename Product>
  void run_products(const Running& running, const Product& product) const {
    const auto& products = running.prepared<Products>();
    const Tensor &a = running.input(0), &b = running.input(places_.right);
    const Codes codes = codes_of(a);
    std::vector<std::int32_t> zeros(static_cast<std::size_t>(products.rows));
    for (std::int64_t row = 0; row < products.rows; ++row) {
      zeros[static_cast<std::size_t>(row)] =
          unsigned_zero(a.type, integer_at(running, places_.left_zero, row));
    }
    const Tensor* right_zeros =
        running.has(places_.right_zero) ? &running.input(places_.right_zero) : nullptr;
    const std::vector<std::int8_t> items = linear_ ? std::vector<std::int8_t>() : signed_codes(b);
    const std::int64_t row_bytes = (products.depth + 3) / 4 * 4;
    const Buffer rows(static_cast<std::size_t>(products.rows * row_bytes));
    auto* x = reinterpret_cast<std::uint8_t*>(rows.data());
    for (std::int64_t i = 0; i < products.count; ++i) {
      const std::uint8_t* from = codes.bytes + matrix_of(products.left, products.stack, i) *
                                                   products.rows * products.depth;
      for (std::int64_t row = 0; row < products.rows; ++row) {
        std::uint8_t* to = x + row * row_bytes;
        for (std::int64_t k = 0; k < products.depth; ++k) {
          to[k] = static_cast<std::uint8_t>(from[row * products.depth + k] ^ codes.flip);
        }
        std::fill(to + products.depth, to + row_bytes, std::uint8_t{0});
      }
      if (linear_) {
        product(*linear_, x, zeros.data(), i);
      } else {
        const std::int64_t matrix = matrix_of(products.right, products.stack, i);
        product(packed(b, items, matrix * products.depth * products.outputs, right_zeros), x,
                zeros.data(), i);
      }
    }
  }

 private:
  // The matrix that begins at item `first` of a tensor.
  static Int8Linear packed(const Tensor& right, const std::vector<std::int8_t>& items,
                           std::int64_t first, const Tensor* zeros) {
    const bool vector = right.rank() == 1;
    const std::int64_t depth = vector ? right.shape[0] : right.shape[right.rank() - 2];
    const std::int64_t outputs = vector ? 1 : right.shape[right.rank() - 1];
    const std::vector<std::int32_t> zero_points = signed_zeros(right.type, zeros, outputs);
    return Int8Linear(items.data() + first, 1, outputs, zero_points.data(), outputs, depth);
  }

  Places places_;
  std::unique_ptr<Int8Linear> linear_;
};

void run_linear(const Running& running, const Int8Linear& linear, const std::uint8_t* x,
                const std::int32_t* zeros, std::int64_t rows, const kernels::Int8RowSums& y) {
  const Buffer scratch(linear.scratch_bytes(running.pool().threads()));
  linear.run(x, zeros, rows, y, scratch.data(), running.pool());
}

class MatMulInteger final : public IntegerMatMul {
 public:
  explicit MatMulInteger(Making& making) : IntegerMatMul(making, {1, 2, 3}) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    return plan_products(planning, DType::i32);
  }
  void run(const Running& running) const override {
    const auto& products = running.prepared<Products>();
    std::int32_t* y = running.output(0).as<std::int32_t>();
    run_products(running, [&](const Int8Linear& linear, const std::uint8_t* x,
                              const std::int32_t* zeros, std::int64_t i) {
      run_linear(running, linear, x, zeros, products.rows,
                 IntegerRows(y + i * products.rows * products.outputs, products.outputs));
    });
  }
};

class QLinearMatMul final : public IntegerMatMul {
 public:
  explicit QLinearMatMul(Making& making) : IntegerMatMul(making, {3, 2, 5}) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    check_codes(planning.input(7));
    auto products = plan_products(planning, planning.input(7).type);
    check_scale(planning.input(1), products->rows);
    check_scale(planning.input(4), products->outputs);
    check_scale(planning.input(6), 1);
    check_zeros(planning, 7, planning.input(7).type, 1);
    return products;
  }
  void run(const Running& running) const override {
    const auto& products = running.prepared<Products>();
    const Requantize requantize(running.input(1), running.input(4), running.input(6),
                                integer_at(running, 7, 0));
    run_products(running, [&](const Int8Linear& linear, const std::uint8_t* x,
                              const std::int32_t* zeros, std::int64_t i) {
      run_linear(running, linear, x, zeros, products.rows,
                 CodeRows(requantize, running.output(0), i * products.rows * products.outputs,
                          products.outputs));
    });
  }
};

}  // namespace

std::vector<Entry> integer_matmul_operators() {
  return {{"MatMulInteger", make<MatMulInteger>, {}, 4},
          {"QLinearMatMul", make<QLinearMatMul>, {}, 8}};
}

}  // namespace laconic::engine
