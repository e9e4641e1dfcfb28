// Items in another type: Cast, CastLike.
#include "engine/operators/cast.h"
#include "engine/operators/copying.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

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
