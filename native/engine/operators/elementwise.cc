// Arithmetic of one, two or more operands; bits and truths.
#include "engine/operators/elementwise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/operators/tables.h"

namespace laconic::engine {

std::unique_ptr<Prepared> plan_pair(Planning& planning, DType type) {
  const Shape& a = planning.input(0).shape;
  const Shape& b = planning.input(1).shape;
  const Shape out = broadcast(a, b);
  planning.output(0, type, out);
  if (b == out) planning.may_overwrite(0, 1);
  if (a == out) planning.may_overwrite(0, 0);
  return std::make_unique<Operands>(out, std::vector<Shape>{a, b});
}

namespace {

using kernels::Elementwise;

// Integers wrap around, as in NumPy and ONNX Runtime: they are added as unsigned numbers.
template <typename T>
using Ring = std::conditional_t<IS_REAL<T>, T, std::uint64_t>;

struct Add {
  static constexpr auto kernel = &Elementwise::add;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    return static_cast<T>(static_cast<Ring<T>>(a) + static_cast<Ring<T>>(b));
  }
};

struct Subtract {
  static constexpr auto kernel = &Elementwise::sub;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    return static_cast<T>(static_cast<Ring<T>>(a) - static_cast<Ring<T>>(b));
  }
};

struct Multiply {
  static constexpr auto kernel = &Elementwise::mul;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    return static_cast<T>(static_cast<Ring<T>>(a) * static_cast<Ring<T>>(b));
  }
};

// Integers round towards zero; by 0 they give 0, as in NumPy.
struct Divide {
  static constexpr auto kernel = &Elementwise::div;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    if constexpr (IS_REAL<T>) {
      return a / b;
    } else {
      if (b == 0) return 0;
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Subtract::of<T>(0, a);
      return static_cast<T>(a / b);
    }
  }
};

struct Larger {
  static constexpr auto kernel = &Elementwise::maximum;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    return a > b || a != a ? a : b;
  }
};

struct Smaller {
  static constexpr auto kernel = &Elementwise::minimum;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    return a < b || a != a ? a : b;
  }
};

struct Prelu {
  static constexpr auto kernel = &Elementwise::prelu;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    return a < 0 ? Multiply::of<T>(a, b) : a;
  }
};

// y = function(a, b), broadcast.
template <typename Function>
class Binary final : public Operator {
 public:
  explicit Binary(Making& making) : operation_(making.node().operation) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const DType type = common_type(planning, operation_, 0, 2);
    require_type<Function>(operation_, planning.input(0));
    return plan_pair(planning, type);
  }

  void run(const Running& running) const override {
    const Tensor& a = running.input(0);
    const Tensor& b = running.input(1);
    combine(running.pool(), running.prepared<Operands>().shapes, a, b, running.output(0));
  }

  static void combine(Pool& pool, const Broadcast& shapes, const Tensor& a, const Tensor& b,
                      const Tensor& y) {
    if (a.type == DType::f32) {
      combine_floats<float>(pool, shapes, kernels::elementwise().*Function::kernel, a.as<float>(),
                            b.as<float>(), y.as<float>());
      return;
    }
    with_type(a.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (Function::template takes<T>) {
        combine_items(pool, shapes, a.as<T>(), b.as<T>(), y.as<T>(), Function::template of<T>);
      }
    });
  }

 private:
  std::string operation_;
};

// The shapes of an operator of any number of operands: the first two meet, then each next one meets
// what there is.
struct Chain : Prepared {
  std::vector<Broadcast> shapes;
};

// function(function(a, b), c) and so on; the mean is the sum divided by their number.
template <typename Function, bool mean = false>
class Variadic final : public Operator {
 public:
  explicit Variadic(Making& making) : operation_(making.node().operation) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const int count = planning.inputs();
    const DType type = common_type(planning, operation_, 0, count);
    require_type<Function>(operation_, planning.input(0));
    Shape out = planning.input(0).shape;
    for (int k = 1; k < count; ++k) out = broadcast(out, planning.input(k).shape);
    planning.output(0, type, out);
    // Only the first two are read before the output is written.
    if (count > 1 && planning.input(1).shape == out) planning.may_overwrite(0, 1);
    if (planning.input(0).shape == out) planning.may_overwrite(0, 0);
    auto chain = std::make_unique<Chain>();
    for (int k = 1; k < count; ++k) {
      const Shape& before = k == 1 ? planning.input(0).shape : out;
      chain->shapes.emplace_back(out, std::vector<Shape>{before, planning.input(k).shape});
    }
    return chain;
  }

  void run(const Running& running) const override {
    const Tensor& y = running.output(0);
    const Tensor& first = running.input(0);
    if (running.inputs() == 1 && y.data != first.data) {
      std::copy_n(static_cast<const std::byte*>(first.data), y.bytes(),
                  static_cast<std::byte*>(y.data));
    }
    const auto& shapes = running.prepared<Chain>().shapes;
    for (int k = 1; k < running.inputs(); ++k) {
      Binary<Function>::combine(running.pool(), shapes[static_cast<std::size_t>(k) - 1],
                                k == 1 ? first : y, running.input(k), y);
    }
    if (mean) divide(running.pool(), y, running.inputs());
  }

 private:
  static void divide(Pool& pool, const Tensor& y, int count) {
    split_items(pool, y.count(), 1, [&](std::int64_t begin, std::int64_t end) {
      with_type(y.type, [&](auto item) {
        using T = decltype(item);
        using Integer = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
        using Wide = std::conditional_t<IS_REAL<T>, T, Integer>;  // the count may not fit in T
        T* items = y.as<T>();
        for (std::int64_t i = begin; i < end; ++i) {
          items[i] = static_cast<T>(static_cast<Wide>(items[i]) / static_cast<Wide>(count));
        }
      });
    });
  }

  std::string operation_;
};

struct Negative {
  static constexpr auto kernel = &Elementwise::negative;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T> && std::is_signed_v<T>;
  template <typename T>
  static T of(T x) {
    if constexpr (IS_REAL<T>) return -x;
    return Subtract::of<T>(0, x);
  }
};

struct Absolute {
  static constexpr auto kernel = &Elementwise::absolute;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T x) {
    if constexpr (IS_REAL<T>) return std::fabs(x);
    return x < 0 ? Subtract::of<T>(0, x) : x;
  }
};

struct Sign {
  static constexpr auto kernel = &Elementwise::sign;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T x) {
    return x > 0 ? static_cast<T>(1) : x < 0 ? static_cast<T>(-1) : x;
  }
};

struct Relu {
  static constexpr auto kernel = &Elementwise::relu;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T x) {
    return x < 0 ? static_cast<T>(0) : x;
  }
};

// y = function(x) of the same type.
template <typename Function>
class Unary final : public Operator {
 public:
  explicit Unary(Making& making) : operation_(making.node().operation) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_type<Function>(operation_, x);
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Tensor& y = running.output(0);
    split_items(running.pool(), x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
      with_type(x.type, [&](auto item) {
        using T = decltype(item);
        if constexpr (Function::template takes<T>) {
          apply(x.as<T>() + begin, y.as<T>() + begin, end - begin);
        }
      });
    });
  }

 private:
  template <typename T>
  static void apply(const T* x, T* y, std::int64_t count) {
    if constexpr (std::is_same_v<T, float>) {
      (kernels::elementwise().*Function::kernel)(x, y, count, 0, 0);
    } else {
      for (std::int64_t i = 0; i < count; ++i) y[i] = Function::template of<T>(x[i]);
    }
  }

  std::string operation_;
};

}  // namespace

std::vector<Entry> elementwise_operators() {
  return {
      {"Add", make<Binary<Add>>, {}, 2},           {"Sub", make<Binary<Subtract>>, {}, 2},
      {"Mul", make<Binary<Multiply>>, {}, 2},      {"Div", make<Binary<Divide>>, {}, 2},
      {"PRelu", make<Binary<Prelu>>, {}, 2},       {"Max", make<Variadic<Larger>>, {}, -1},
      {"Min", make<Variadic<Smaller>>, {}, -1},    {"Sum", make<Variadic<Add>>, {}, -1},
      {"Mean", make<Variadic<Add, true>>, {}, -1}, {"Neg", make<Unary<Negative>>, {}, 1},
      {"Abs", make<Unary<Absolute>>, {}, 1},       {"Sign", make<Unary<Sign>>, {}, 1},
      {"Relu", make<Unary<Relu>>, {}, 1},
  };
}

}  // namespace laconic::engine
