// CumSum and CumProd.
#include "engine/operators/broadcast.h"
#include "engine/operators/elementwise.h"
#include "engine/operators/slabs.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// The sum or product of all items up to each one along an axis, or up to the one before.
template <bool product>
class Cumulative final : public Operator {
 public:
  explicit Cumulative(Making& making)
      : operation_(making.node().operation),
        exclusive_(making.node().integer("exclusive", 0) != 0),
        reverse_(making.node().integer("reverse", 0) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<std::int64_t> axis = planning.integers(1);
    if (x.type == DType::boolean || axis.size() != 1) {
      throw Mismatch(operation_ + " takes numbers and one axis, found " + x.text() + " and " +
                     planning.input(1).text());
    }
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return std::make_unique<Line>(Slabs(x.shape, axis_of(axis[0], x.rank())));
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Slabs& slabs = running.prepared<Line>().slabs;
    with_type(x.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (IS_NUMBER<T>) {
        split_items(running.pool(), slabs.outer * slabs.inner, slabs.depth,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        line(x.as<T>() + slabs.place(i), running.output(0).as<T>() + slabs.place(i),
                             slabs.depth, slabs.inner);
                      }
                    });
      }
    });
  }

 private:
  struct Line : Prepared {
    explicit Line(const Slabs& along) : slabs(along) {}
    Slabs slabs;
  };

  template <typename T>
  void line(const T* x, T* y, std::int64_t depth, std::int64_t stride) const {
    using W = std::conditional_t<IS_REAL<T>, T, std::uint64_t>;  // integers wrap around
    W total = product ? 1 : 0;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t place = (reverse_ ? depth - 1 - k : k) * stride;
      const W item = static_cast<W>(x[place]);
      const W next = product ? total * item : total + item;
      y[place] = static_cast<T>(exclusive_ ? total : next);
      total = next;
    }
  }

  std::string operation_;
  bool exclusive_, reverse_;
};

}  // namespace

std::vector<Entry> cumulative_operators() {
  return {
      {"CumSum", make<Cumulative<false>>, {"exclusive", "reverse"}, 2},
      {"CumProd", make<Cumulative<true>>, {"exclusive", "reverse"}, 2},
  };
}

}  // namespace laconic::engine
