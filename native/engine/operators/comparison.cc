// Operators that make truths, and Where, which uses them.
#include <cmath>

#include "engine/operators/elementwise.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

using kernels::Elementwise;

struct Equal {
  static constexpr auto kernel = &Elementwise::equal;
  template <typename T>
  static constexpr bool takes = true;
  template <typename T>
  static bool of(T a, T b) {
    return a == b;
  }
};

struct Less {
  static constexpr auto kernel = &Elementwise::less;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static bool of(T a, T b) {
    return a < b;
  }
};

struct LessOrEqual {
  static constexpr auto kernel = &Elementwise::less_or_equal;
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static bool of(T a, T b) {
    return a <= b;
  }
};

// y = function(a, b), or with the operands in the other order.
template <typename Function, bool exchanged = false>
class Comparison final : public Operator {
 public:
  explicit Comparison(Making& making) : operation_(making.node().operation) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    common_type(planning, operation_, 0, 2);
    require_type<Function>(operation_, planning.input(0));
    const Shape& a = planning.input(exchanged ? 1 : 0).shape;
    const Shape& b = planning.input(exchanged ? 0 : 1).shape;
    const Shape out = broadcast(a, b);
    planning.output(0, DType::boolean, out);
    return std::make_unique<Operands>(out, std::vector<Shape>{a, b});
  }

  void run(const Running& running) const override {
    const Tensor& a = running.input(exchanged ? 1 : 0);
    const Tensor& b = running.input(exchanged ? 0 : 1);
    const Broadcast& shapes = running.prepared<Operands>().shapes;
    auto* y = reinterpret_cast<std::uint8_t*>(running.output(0).as<bool>());
    if (a.type == DType::f32) {
      combine_floats<std::uint8_t>(running.pool(), shapes, kernels::elementwise().*Function::kernel,
                                   a.as<float>(), b.as<float>(), y);
      return;
    }
    with_type(a.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (Function::template takes<T>) {
        combine_items(running.pool(), shapes, a.as<T>(), b.as<T>(), y, Function::template of<T>);
      }
    });
  }

 private:
  std::string operation_;
};

class IsNan final : public Operator {
 public:
  explicit IsNan(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch("IsNaN takes float32 or float64, found " + x.text());
    }
    planning.output(0, DType::boolean, x.shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    bool* y = running.output(0).as<bool>();
    split_items(running.pool(), x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
      if (x.type == DType::f32) {
        for (std::int64_t i = begin; i < end; ++i) y[i] = std::isnan(x.as<float>()[i]);
      } else {
        for (std::int64_t i = begin; i < end; ++i) y[i] = std::isnan(x.as<double>()[i]);
      }
    });
  }
};

class IsInf final : public Operator {
 public:
  explicit IsInf(Making& making)
      : negative_(making.node().integer("detect_negative", 1) != 0),
        positive_(making.node().integer("detect_positive", 1) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch("IsInf takes float32 or float64, found " + x.text());
    }
    planning.output(0, DType::boolean, x.shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    bool* y = running.output(0).as<bool>();
    split_items(running.pool(), x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const double item =
            x.type == DType::f32 ? static_cast<double>(x.as<float>()[i]) : x.as<double>()[i];
        y[i] = std::isinf(item) && (item < 0 ? negative_ : positive_);
      }
    });
  }

 private:
  bool negative_, positive_;
};

// Where the condition holds a, else b; items are moved as what they are long.
class Where final : public Operator {
 public:
  explicit Where(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& condition = planning.input(0);
    if (condition.type != DType::boolean) {
      throw Mismatch("Where takes a bool condition, found " + condition.text());
    }
    const DType type = common_type(planning, "Where", 1, 3);
    const Shape& a = planning.input(1).shape;
    const Shape& b = planning.input(2).shape;
    const Shape out = broadcast(condition.shape, broadcast(a, b));
    planning.output(0, type, out);
    if (b == out) planning.may_overwrite(0, 2);
    if (a == out) planning.may_overwrite(0, 1);
    return std::make_unique<Operands>(out, std::vector<Shape>{condition.shape, a, b});
  }

  void run(const Running& running) const override {
    switch (size_of(running.output(0).type)) {
      case 1:
        return choose<std::uint8_t>(running);
      case 2:
        return choose<std::uint16_t>(running);
      case 4:
        return choose<float>(running);
      default:
        return choose<std::uint64_t>(running);
    }
  }

 private:
  template <typename T>
  static void choose(const Running& running) {
    const auto* condition = static_cast<const std::uint8_t*>(running.input(0).data);
    const T* a = static_cast<const T*>(running.input(1).data);
    const T* b = static_cast<const T*>(running.input(2).data);
    T* y = static_cast<T*>(running.output(0).data);
    const Broadcast& shapes = running.prepared<Operands>().shapes;
    split_items(running.pool(), shapes.count(), 1, [&](std::int64_t begin, std::int64_t end) {
      shapes.walk(begin, end,
                  [&](std::int64_t first, const Broadcast::Places& places, std::int64_t count) {
                    row(condition + places[0], shapes.step(0), a + places[1], shapes.step(1),
                        b + places[2], shapes.step(2), y + first, count);
                  });
    });
  }

  template <typename T>
  static void row(const std::uint8_t* condition, int condition_step, const T* a, int a_step,
                  const T* b, int b_step, T* y, std::int64_t count) {
    if constexpr (std::is_same_v<T, float>) {
      if (condition_step == 1) {
        kernels::elementwise().select(condition, a, a_step, b, b_step, y, count);
        return;
      }
    }
    for (std::int64_t i = 0; i < count; ++i) {
      y[i] = condition[i * condition_step] != 0 ? a[i * a_step] : b[i * b_step];
    }
  }
};

}  // namespace

std::vector<Entry> comparison_operators() {
  return {
      {"Equal", make<Comparison<Equal>>, {}, 2},
      {"Less", make<Comparison<Less>>, {}, 2},
      {"LessOrEqual", make<Comparison<LessOrEqual>>, {}, 2},
      {"Greater", make<Comparison<Less, true>>, {}, 2},
      {"GreaterOrEqual", make<Comparison<LessOrEqual, true>>, {}, 2},
      {"IsNaN", make<IsNan>, {}, 1},
      {"IsInf", make<IsInf>, {"detect_negative", "detect_positive"}, 1},
      {"Where", make<Where>, {}, 3},
  };
}

}  // namespace laconic::engine
