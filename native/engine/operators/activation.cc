// Functions of one real item: Sqrt, Exp, ... and the activations; Clip; SwiGLU.
#include <cmath>
#include <limits>

#include "engine/operators/broadcast.h"
#include "engine/operators/tables.h"
#include "kernels/elementwise.h"

namespace laconic::engine {

namespace {

using kernels::Elementwise;

// One item costs about as much as four additions.
constexpr std::int64_t COST = 4;

struct Parameter {
  const char* name = nullptr;  // an attribute
  double fallback = 0;
};

struct Function {
  const char* name;
  Elementwise::Unary Elementwise::* single;  // null: `wide` serves float32 too
  double (*wide)(double x, double p, double q);
  Parameter p = {}, q = {};
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }
double elu(double x, double alpha) { return x < 0 ? alpha * std::expm1(x) : x; }
double gelu(double x) { return x / 2 * (1 + std::erf(x * std::sqrt(0.5))); }
double gelu_tanh(double x) {
  return x * logistic(std::sqrt(8 / M_PI) * (x + 0.044715 * x * x * x));
}
double hard_sigmoid(double x, double alpha, double beta) {
  const double value = alpha * x + beta;
  return value < 0 ? 0 : value > 1 ? 1 : value;
}
double shrink(double x, double limit, double bias) {
  return x < -limit ? x + bias : x > limit ? x - bias : std::isnan(x) ? x : 0;
}

#define LACONIC_WIDE(expression)                                                 \
  [](double x, [[maybe_unused]] double p, [[maybe_unused]] double q) -> double { \
    return expression;                                                           \
  }

const Function GELU = {"Gelu", &Elementwise::gelu, LACONIC_WIDE(gelu(x))};
const Function GELU_TANH = {"Gelu", &Elementwise::gelu_tanh, LACONIC_WIDE(gelu_tanh(x))};

const Function FUNCTIONS[] = {
    {"Sqrt", &Elementwise::square_root, LACONIC_WIDE(std::sqrt(x))},
    {"Reciprocal", &Elementwise::reciprocal, LACONIC_WIDE(1 / x)},
    {"Floor", &Elementwise::floor, LACONIC_WIDE(std::floor(x))},
    {"Ceil", &Elementwise::ceil, LACONIC_WIDE(std::ceil(x))},
    {"Round", &Elementwise::round, LACONIC_WIDE(std::nearbyint(x))},
    {"Exp", &Elementwise::exp, LACONIC_WIDE(std::exp(x))},
    {"Log", &Elementwise::log, LACONIC_WIDE(std::log(x))},
    {"Erf", &Elementwise::erf, LACONIC_WIDE(std::erf(x))},
    {"Sin", &Elementwise::sine, LACONIC_WIDE(std::sin(x))},
    {"Cos", &Elementwise::cosine, LACONIC_WIDE(std::cos(x))},
    {"Tan", nullptr, LACONIC_WIDE(std::tan(x))},
    {"Asin", nullptr, LACONIC_WIDE(std::asin(x))},
    {"Acos", nullptr, LACONIC_WIDE(std::acos(x))},
    {"Atan", nullptr, LACONIC_WIDE(std::atan(x))},
    {"Sinh", nullptr, LACONIC_WIDE(std::sinh(x))},
    {"Cosh", nullptr, LACONIC_WIDE(std::cosh(x))},
    {"Asinh", nullptr, LACONIC_WIDE(std::asinh(x))},
    {"Acosh", nullptr, LACONIC_WIDE(std::acosh(x))},
    {"Atanh", nullptr, LACONIC_WIDE(std::atanh(x))},
    {"Tanh", &Elementwise::tanh, LACONIC_WIDE(std::tanh(x))},
    {"Sigmoid", &Elementwise::sigmoid, LACONIC_WIDE(logistic(x))},
    {"Softplus", &Elementwise::softplus, LACONIC_WIDE(softplus(x))},
    {"Softsign", &Elementwise::softsign, LACONIC_WIDE(x / (1 + std::fabs(x)))},
    {"Mish", &Elementwise::mish, LACONIC_WIDE(x * std::tanh(softplus(x)))},
    {"HardSwish", &Elementwise::hard_swish, LACONIC_WIDE(x * hard_sigmoid(x, 1.0 / 6, 0.5))},
    {"Swish", &Elementwise::swish, LACONIC_WIDE(x * logistic(p * x)), {"alpha", 1}},
    {"LeakyRelu", &Elementwise::leaky_relu, LACONIC_WIDE(x < 0 ? p * x : x), {"alpha", 0.01}},
    {"ThresholdedRelu",
     &Elementwise::thresholded_relu,
     LACONIC_WIDE(x > p || std::isnan(x) ? x : 0),
     {"alpha", 1}},
    {"Elu", &Elementwise::elu, LACONIC_WIDE(elu(x, p)), {"alpha", 1}},
    {"Celu", &Elementwise::celu, LACONIC_WIDE(x < 0 ? p * std::expm1(x / p) : x), {"alpha", 1}},
    {"Selu",
     &Elementwise::selu,
     LACONIC_WIDE(q * elu(x, p)),
     {"alpha", 1.67326319217681884765625},
     {"gamma", 1.05070102214813232421875}},
    {"HardSigmoid",
     &Elementwise::hard_sigmoid,
     LACONIC_WIDE(hard_sigmoid(x, p, q)),
     {"alpha", 0.2},
     {"beta", 0.5}},
    {"Shrink", &Elementwise::shrink, LACONIC_WIDE(shrink(x, p, q)), {"lambd", 0.5}, {"bias", 0}},
};
#undef LACONIC_WIDE

const Function& function_of(const Node& node) {
  if (node.operation == GELU.name) {
    const std::string how = node.text("approximate", "none");
    if (how != "none" && how != "tanh") {
      throw Unsupported("Gelu approximated by " + how + "; there are none and tanh");
    }
    return how == "tanh" ? GELU_TANH : GELU;
  }
  for (const Function& function : FUNCTIONS) {
    if (node.operation == function.name) return function;
  }
  throw Unsupported(node.operation);
}

double value_of(const Node& node, const Parameter& parameter) {
  return parameter.name == nullptr ? 0 : node.real(parameter.name, parameter.fallback);
}

class Activation final : public Operator {
 public:
  explicit Activation(Making& making)
      : function_(function_of(making.node())),
        p_(value_of(making.node(), function_.p)),
        q_(value_of(making.node(), function_.q)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch(std::string(function_.name) + " takes float32 or float64, found " + x.text());
    }
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Tensor& y = running.output(0);
    split_items(running.pool(), x.count(), COST, [&](std::int64_t begin, std::int64_t end) {
      if (x.type == DType::f64) {
        each(x.as<double>(), y.as<double>(), begin, end);
      } else if (function_.single == nullptr) {
        each(x.as<float>(), y.as<float>(), begin, end);
      } else {
        (kernels::elementwise().*function_.single)(x.as<float>() + begin, y.as<float>() + begin,
                                                   end - begin, static_cast<float>(p_),
                                                   static_cast<float>(q_));
      }
    });
  }

 private:
  template <typename T>
  void each(const T* x, T* y, std::int64_t begin, std::int64_t end) const {
    for (std::int64_t i = begin; i < end; ++i) {
      y[i] = static_cast<T>(function_.wide(static_cast<double>(x[i]), p_, q_));
    }
  }

  const Function& function_;
  double p_, q_;
};

// min(max(x, low), high); where low > high, high wins.
class Clip final : public Operator {
 public:
  explicit Clip(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    for (int bound : {1, 2}) {
      if (!planning.has(bound)) continue;
      const Tensor& found = planning.input(bound);
      if (found.type != x.type || found.count() != 1) {
        throw Mismatch("Clip takes one item of " + std::string(name_of(x.type)) +
                       " as a bound, found " + found.text());
      }
    }
    if (x.type == DType::boolean) throw Mismatch("Clip takes numbers, found " + x.text());
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    with_type(x.type, [&](auto item) {
      using T = decltype(item);
      using Limits = std::numeric_limits<T>;
      const T lowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
      const T highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
      const T low = running.has(1) ? *running.input(1).as<T>() : lowest;
      const T high = running.has(2) ? *running.input(2).as<T>() : highest;
      const T* from = x.as<T>();
      T* to = running.output(0).as<T>();
      split_items(running.pool(), x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
        clip(from + begin, to + begin, end - begin, low, high);
      });
    });
  }

 private:
  template <typename T>
  static void clip(const T* x, T* y, std::int64_t count, T low, T high) {
    if constexpr (std::is_same_v<T, float>) {
      kernels::elementwise().clip(x, y, count, low, high);
    } else {
      for (std::int64_t i = 0; i < count; ++i) {
        const T raised = x[i] < low ? low : x[i];
        y[i] = raised > high ? high : raised;
      }
    }
  }
};

// Swish(a) b.
class SwiGlu final : public Operator {
 public:
  explicit SwiGlu(Making& making) : alpha_(making.node().real("alpha", 1)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& gate = planning.input(0);
    const Tensor& value = planning.input(1);
    if (gate.type != value.type || gate.shape != value.shape ||
        (gate.type != DType::f32 && gate.type != DType::f64)) {
      throw Mismatch("SwiGLU takes two arrays of reals of one shape, found " + gate.text() +
                     " and " + value.text());
    }
    planning.output(0, gate.type, gate.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& gate = running.input(0);
    const Tensor& value = running.input(1);
    const Tensor& y = running.output(0);
    split_items(running.pool(), gate.count(), COST, [&](std::int64_t begin, std::int64_t end) {
      if (gate.type == DType::f32) {
        float* to = y.as<float>() + begin;
        const auto alpha = static_cast<float>(alpha_);
        kernels::elementwise().swish(gate.as<float>() + begin, to, end - begin, alpha, 0);
        kernels::elementwise().mul(to, 1, value.as<float>() + begin, 1, to, end - begin);
        return;
      }
      for (std::int64_t i = begin; i < end; ++i) {
        const double item = gate.as<double>()[i];
        y.as<double>()[i] = item * logistic(alpha_ * item) * value.as<double>()[i];
      }
    });
  }

 private:
  double alpha_;
};

}  // namespace

std::vector<Entry> activation_operators() {
  std::vector<Entry> entries = {
      {"Gelu", make<Activation>, {"approximate"}, 1},
      {"Clip", make<Clip>, {}, 3},
      {"SwiGLU", make<SwiGlu>, {"alpha"}, 2},
  };
  for (const Function& function : FUNCTIONS) {
    std::vector<const char*> attributes;
    for (const Parameter& parameter : {function.p, function.q}) {
      if (parameter.name != nullptr) attributes.push_back(parameter.name);
    }
    entries.push_back({function.name, make<Activation>, attributes, 1});
  }
  return entries;
}

}  // namespace laconic::engine
