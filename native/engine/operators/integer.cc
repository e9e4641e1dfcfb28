// Bits, truths and remainders.
#include <cmath>

#include "engine/operators/elementwise.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

#define LACONIC_PAIR(Name, wanted, expression) \
  struct Name {                                \
    template <typename T>                      \
    static constexpr bool takes = wanted<T>;   \
    template <typename T>                      \
    static T of(T a, T b) {                    \
      return static_cast<T>(expression);       \
    }                                          \
  }
LACONIC_PAIR(BitsAnd, IS_INTEGER, a& b);
LACONIC_PAIR(BitsOr, IS_INTEGER, a | b);
LACONIC_PAIR(BitsXor, IS_INTEGER, a ^ b);
LACONIC_PAIR(And, IS_TRUTH, a&& b);
LACONIC_PAIR(Or, IS_TRUTH, a || b);
LACONIC_PAIR(Xor, IS_TRUTH, a != b);
#undef LACONIC_PAIR

// Copies of the sign come in from the left. A shift by less than 0, or by all the bits or more,
// leaves nothing but them.
template <bool left>
struct Shift {
  template <typename T>
  static constexpr bool takes = IS_INTEGER<T>;
  template <typename T>
  static T of(T a, T b) {
    const bool all = b < 0 || static_cast<std::uint64_t>(b) >= 8 * sizeof(T);
    if (all) return left || a >= 0 ? T{0} : static_cast<T>(-1);
    if (left) return static_cast<T>(static_cast<std::uint64_t>(a) << b);
    return static_cast<T>(a >> b);
  }
};

// The remainder with the sign of a where `truncated`, else with that of b; by 0 integers give 0.
template <bool truncated>
struct Remainder {
  template <typename T>
  static constexpr bool takes = IS_NUMBER<T>;
  template <typename T>
  static T of(T a, T b) {
    if constexpr (IS_REAL<T>) {
      const T rest = std::fmod(a, b);
      return !truncated && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    } else {
      if (b == 0 || (std::is_signed_v<T> && b == static_cast<T>(-1))) return 0;
      const T rest = static_cast<T>(a % b);
      return !truncated && rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
    }
  }
};

// y = function(a, b), broadcast, for types without a kernel of their own.
template <typename Function>
class Pair final : public Operator {
 public:
  explicit Pair(Making& making) : operation_(making.node().operation) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const DType type = common_type(planning, operation_, 0, 2);
    require_type<Function>(operation_, planning.input(0));
    return plan_pair(planning, type);
  }

  void run(const Running& running) const override {
    const Tensor& a = running.input(0);
    with_type(a.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (Function::template takes<T>) {
        combine_items(running.pool(), running.prepared<Operands>().shapes, a.as<T>(),
                      running.input(1).as<T>(), running.output(0).as<T>(),
                      Function::template of<T>);
      }
    });
  }

 private:
  std::string operation_;
};

std::unique_ptr<Operator> make_shift(Making& making) {
  const std::string direction = making.node().text("direction", "");
  if (direction == "LEFT") return std::make_unique<Pair<Shift<true>>>(making);
  if (direction == "RIGHT") return std::make_unique<Pair<Shift<false>>>(making);
  throw Mismatch("BitShift has the direction '" + direction + "'; there are LEFT and RIGHT");
}

std::unique_ptr<Operator> make_remainder(Making& making) {
  if (making.node().integer("fmod", 0) != 0) return std::make_unique<Pair<Remainder<true>>>(making);
  return std::make_unique<Pair<Remainder<false>>>(making);
}

// Not for truths, BitwiseNot for integers.
template <bool truth>
class Inversion final : public Operator {
 public:
  explicit Inversion(Making& making) : operation_(making.node().operation) {}

  template <typename T>
  static constexpr bool takes = truth ? IS_TRUTH<T> : IS_INTEGER<T>;

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_type<Inversion>(operation_, x);
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    with_type(x.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (takes<T>) {
        const T* from = x.as<T>();
        T* to = running.output(0).as<T>();
        split_items(running.pool(), x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            if constexpr (truth) {
              to[i] = !from[i];
            } else {
              to[i] = static_cast<T>(~from[i]);
            }
          }
        });
      }
    });
  }

 private:
  std::string operation_;
};

}  // namespace

std::vector<Entry> integer_operators() {
  return {
      {"And", make<Pair<And>>, {}, 2},
      {"Or", make<Pair<Or>>, {}, 2},
      {"Xor", make<Pair<Xor>>, {}, 2},
      {"Not", make<Inversion<true>>, {}, 1},
      {"BitwiseAnd", make<Pair<BitsAnd>>, {}, 2},
      {"BitwiseOr", make<Pair<BitsOr>>, {}, 2},
      {"BitwiseXor", make<Pair<BitsXor>>, {}, 2},
      {"BitwiseNot", make<Inversion<false>>, {}, 1},
      {"BitShift", make_shift, {"direction"}, 2},
      {"Mod", make_remainder, {"fmod"}, 2},
  };
}

}  // namespace laconic::engine
