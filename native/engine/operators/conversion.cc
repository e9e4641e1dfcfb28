// Items in another type: Cast, CastLike.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "engine/operators/copying.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// ONNX's number of float16. The engine keeps such values in float32, so a cast rounds.
constexpr std::int64_t HALF = 10;

// The nearest value of half precision, ties to even: 11 bits from 2^-14 on, below it steps of
// 2^-24, and infinity from 65520 on.
float rounded_to_half(float x) {
  const float size = std::fabs(x);
  if (!(size < 65520.0f)) return std::isnan(x) ? x : std::copysign(INFINITY, x);
  // Adding and taking away a number whose last bit is one step rounds to that step.
  int exponent = 0;
  std::frexp(size < 6.103515625e-5f ? 6.103515625e-5f : size, &exponent);
  const float large = std::ldexp(1.5f, exponent - 11 + 23);
  const float sum = size + large;
  return std::copysign(sum - large, x);
}

// As a C++ cast, but a number that does not fit has a value too: what its lowest bits say, for an
// integer; the smallest of the 64 bits, for a float beyond them.
template <typename To, typename From>
To converted(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr auto BOUND = static_cast<From>(9223372036854775808.0);
    if (x >= -BOUND && x < BOUND) return static_cast<To>(static_cast<std::int64_t>(x));
    if (std::is_same_v<To, std::uint64_t> && x >= BOUND && x < 2 * BOUND) {
      return static_cast<To>(x);
    }
    return static_cast<To>(std::numeric_limits<std::int64_t>::min());
  } else {
    return static_cast<To>(x);
  }
}

void convert(const Tensor& x, const Tensor& out, bool to_half, Pool& pool) {
  share(pool, x.count(), x.count(), [&](std::int64_t begin, std::int64_t end, int) {
    with_type(x.type, [&](auto source) {
      with_type(out.type, [&](auto target) {
        using From = decltype(source);
        using To = decltype(target);
        const From* from = x.as<From>();
        To* to = out.as<To>();
        for (std::int64_t i = begin; i < end; ++i) to[i] = converted<To>(from[i]);
      });
    });
    if (!to_half) return;
    float* to = out.as<float>();
    for (std::int64_t i = begin; i < end; ++i) to[i] = rounded_to_half(to[i]);
  });
}

class Casting : public Operator {
 public:
  explicit Casting(bool to_half) : to_half_(to_half) {}

  void run(const Running& running) const final {
    if (same(running.input(0).type, running.output(0).type)) return;
    convert(running.input(0), running.output(0), to_half_, running.pool());
  }

 protected:
  void plan_to(Planning& planning, DType type) const {
    const Tensor& x = planning.input(0);
    if (same(x.type, type)) {
      planning.alias(0, 0, x.shape);
      return;
    }
    planning.output(0, type, x.shape);
    if (size_of(type) == size_of(x.type)) planning.may_overwrite(0, 0);
  }

 private:
  bool same(DType from, DType to) const { return from == to && !to_half_; }

  const bool to_half_;
};

class Cast final : public Casting {
 public:
  explicit Cast(Making& making) : Casting(target(making) == HALF) {
    type_ = target(making) == HALF ? DType::f32 : dtype_of(target(making), "Cast");
  }
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    plan_to(planning, type_);
    return nullptr;
  }

 private:
  static std::int64_t target(const Making& making) { return making.node().integer("to", 0); }
  DType type_;
};

class CastLike final : public Casting {
 public:
  explicit CastLike(Making&) : Casting(false) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    plan_to(planning, planning.input(1).type);
    return nullptr;
  }
};

}  // namespace

// saturate and round_mode have a meaning for types of 8 bits alone, which the engine has not.
std::vector<Entry> conversion_operators() {
  return {
      {"Cast", make<Cast>, {"to", "saturate", "round_mode"}, 1},
      {"CastLike", make<CastLike>, {"saturate", "round_mode"}, 2},
  };
}

}  // namespace laconic::engine
