// Items in another type: Cast, CastLike.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "engine/operators/copying.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

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

void convert(const Tensor& x, const Tensor& out, Pool& pool) {
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
  });
}

class Casting : public Operator {
 public:
  void run(const Running& running) const final {
    if (running.input(0).type == running.output(0).type) return;
    convert(running.input(0), running.output(0), running.pool());
  }

 protected:
  static void plan_to(Planning& planning, DType type) {
    const Tensor& x = planning.input(0);
    if (x.type == type) {
      planning.alias(0, 0, x.shape);
      return;
    }
    planning.output(0, type, x.shape);
    if (size_of(type) == size_of(x.type)) planning.may_overwrite(0, 0);
  }
};

class Cast final : public Casting {
 public:
  explicit Cast(Making& making) : type_(dtype_of(making.node().integer("to", 0), "Cast")) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    plan_to(planning, type_);
    return nullptr;
  }

 private:
  DType type_;
};

class CastLike final : public Casting {
 public:
  explicit CastLike(Making&) {}
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
