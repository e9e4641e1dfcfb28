// Many items to one along some axes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/operators/fold.h"
#include "engine/operators/tables.h"
#include "kernels/rows.h"

namespace laconic::engine {

namespace {

using kernels::Rows;

constexpr std::int64_t CHUNK = 16384;  // items of a row that one thread adds up
constexpr std::int64_t COLUMNS = 256;  // columns that one thread reduces

// Integers wrap around.
template <typename W>
W plus(W a, W b) {
  if constexpr (std::is_floating_point_v<W>) return a + b;
  return static_cast<W>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
template <typename W>
W times(W a, W b) {
  if constexpr (std::is_floating_point_v<W>) return a * b;
  return static_cast<W>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

struct Plan : Prepared {
  Plan(const Shape& shape, const std::array<bool, MAX_RANK>& reduced) : axes(shape, reduced) {}
  Axes axes;
};

// Axes from the second input or the attribute; the type of the output is that of the input.
class Reduction : public Operator {
 public:
  explicit Reduction(Making& making)
      : operation_(making.node().operation),
        axes_(making.node().integers("axes")),
        keep_(making.node().integer("keepdims", 1) != 0),
        none_is_none_(making.node().integer("noop_with_empty_axes", 0) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (!takes(x.type)) throw Mismatch(operation_ + " does not take " + x.text());
    const auto axes = planning.has(1) ? planning.integers(1) : axes_;
    const auto reduced = reduced_axes(axes, x.rank(), none_is_none_);
    planning.output(0, x.type, reduced_shape(x.shape, reduced, keep_));
    auto plan = std::make_unique<Plan>(x.shape, reduced);
    planning.scratch(scratch_bytes(plan->axes));
    return plan;
  }

  void run(const Running& running) const override {
    const Axes& axes = running.prepared<Plan>().axes;
    if (axes.kept.count() > 0) reduce(running, axes);
  }

 protected:
  virtual bool takes(DType type) const = 0;
  virtual std::size_t scratch_bytes(const Axes&) const { return 0; }
  virtual void reduce(const Running& running, const Axes& axes) const = 0;

 private:
  std::string operation_;
  std::vector<std::int64_t> axes_;
  bool keep_, none_is_none_;
};

// Float columns beside each other: `finish` is called with each reduced piece of the output.
template <typename Finish>
void reduce_columns(Pool& pool, const Axes& axes, Rows::Columns kernel, const float* x, float* y,
                    const Finish& finish) {
  const std::int64_t width = axes.kept.size(axes.kept.rank() - 1);
  const std::int64_t shares = (width + COLUMNS - 1) / COLUMNS;
  const Loops outer = axes.kept.outer(), gone_outer = axes.gone.outer();
  const int last = axes.gone.rank() - 1;
  const std::int64_t cost = axes.gone.count() * std::min(width, COLUMNS);
  split_items(pool, outer.count() * shares, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t column = i % shares * COLUMNS;
      const std::int64_t count = std::min(COLUMNS, width - column);
      const float* from = x + outer.place(i / shares) + column;
      float* to = y + i / shares * width + column;
      for (std::int64_t k = 0; k < gone_outer.count(); ++k) {
        kernel(from + gone_outer.place(k), axes.gone.stride(last), axes.gone.size(last), k > 0, to,
               count);
      }
      finish(to, count);
    }
  });
}

struct Itself {
  static constexpr auto row = &Rows::sum;
  static constexpr auto columns = &Rows::columns_sum;
  template <typename W>
  static W of(W x) {
    return x;
  }
};
struct Magnitude {
  static constexpr auto row = &Rows::sum_absolute;
  static constexpr auto columns = &Rows::columns_sum_absolute;
  template <typename W>
  static W of(W x) {
    return x < 0 ? times(x, static_cast<W>(-1)) : x;
  }
};
struct Square {
  static constexpr auto row = &Rows::sum_square;
  static constexpr auto columns = &Rows::columns_sum_square;
  template <typename W>
  static W of(W x) {
    return times(x, x);
  }
};

struct Whole {
  template <typename W>
  static W of(W total, std::int64_t) {
    return total;
  }
};
struct Average {
  template <typename W>
  static W of(W total, std::int64_t count) {
    if constexpr (!std::is_floating_point_v<W>) {
      if (count == 0) return 0;
    }
    return total / static_cast<W>(count);
  }
};
struct Root {
  template <typename W>
  static W of(W total, std::int64_t) {
    return static_cast<W>(std::sqrt(static_cast<double>(total)));
  }
};
struct Logarithm {
  template <typename W>
  static W of(W total, std::int64_t) {
    return static_cast<W>(std::log(static_cast<double>(total)));
  }
};

// finish(sum of item(x)).
template <typename Item, typename Finish>
class Sum final : public Reduction {
 public:
  using Reduction::Reduction;

 protected:
  bool takes(DType type) const override { return type != DType::boolean; }

  std::size_t scratch_bytes(const Axes& axes) const override {
    return sizeof(double) * static_cast<std::size_t>(chunks_of(axes) * axes.gone.outer().count());
  }

  void reduce(const Running& running, const Axes& axes) const override {
    const Tensor& x = running.input(0);
    const Tensor& y = running.output(0);
    if (x.type == DType::f32 && axes.gone.count() > 0) {
      reduce_floats(running, axes, x.as<float>(), y.as<float>());
      return;
    }
    fold_items<Fold>(running.pool(), axes, x, y);
  }

 private:
  template <typename W>
  struct Fold {
    W total = 0;
    void take(W x) { total = plus(total, Item::of(x)); }
    W result(std::int64_t count) const { return Finish::of(total, count); }
  };

  static std::int64_t chunks_of(const Axes& axes) {
    return (axes.gone.size(axes.gone.rank() - 1) + CHUNK - 1) / CHUNK;
  }

  static void reduce_floats(const Running& running, const Axes& axes, const float* x, float* y) {
    const std::int64_t items = axes.gone.count();
    if (!axes.last_is_gone) {
      const auto kernel = kernels::rows().*Item::columns;
      reduce_columns(running.pool(), axes, kernel, x, y, [&](float* to, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) {
          to[i] = static_cast<float>(Finish::of(static_cast<double>(to[i]), items));
        }
      });
      return;
    }
    Pool& pool = running.pool();
    if (axes.kept.count() >= pool.threads()) {
      split_items(pool, axes.kept.count(), items, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          y[i] = finished(total(axes, x + axes.kept.place(i)), items);
        }
      });
      return;
    }
    auto* parts = reinterpret_cast<double*>(running.scratch());
    const std::int64_t count = axes.gone.outer().count() * chunks_of(axes);
    for (std::int64_t i = 0; i < axes.kept.count(); ++i) {
      const float* from = x + axes.kept.place(i);
      split_items(pool, count, items / count, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t part = begin; part < end; ++part) parts[part] = chunk(axes, from, part);
      });
      double sum = 0;
      for (std::int64_t part = 0; part < count; ++part) sum += parts[part];
      y[i] = finished(sum, items);
    }
  }

  static float finished(double total, std::int64_t items) {
    return static_cast<float>(Finish::of(total, items));
  }

  // The same sums of the same chunks in the same order, however they are shared out.
  static double total(const Axes& axes, const float* x) {
    const std::int64_t count = axes.gone.outer().count() * chunks_of(axes);
    double sum = 0;
    for (std::int64_t part = 0; part < count; ++part) sum += chunk(axes, x, part);
    return sum;
  }
  static double chunk(const Axes& axes, const float* x, std::int64_t part) {
    const std::int64_t chunks = chunks_of(axes), first = part % chunks * CHUNK;
    const std::int64_t depth = axes.gone.size(axes.gone.rank() - 1);
    return (kernels::rows().*Item::row)(x + axes.gone.outer().place(part / chunks) + first,
                                        std::min(CHUNK, depth - first));
  }
};

struct Larger {
  static constexpr auto row = &Rows::largest;
  static constexpr auto columns = &Rows::columns_largest;
  template <typename T>
  static T of(T a, T b) {
    return a > b || a != a ? a : b;
  }
  // What every item beats.
  template <typename T>
  static T start() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
};

struct Smaller {
  static constexpr auto row = &Rows::smallest;
  static constexpr auto columns = &Rows::columns_smallest;
  template <typename T>
  static T of(T a, T b) {
    return a < b || a != a ? a : b;
  }
  template <typename T>
  static T start() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
};

// The best item; NaN where there is one.
template <typename Better>
class Extreme final : public Reduction {
 public:
  using Reduction::Reduction;

 protected:
  bool takes(DType) const override { return true; }

  void reduce(const Running& running, const Axes& axes) const override {
    const Tensor& x = running.input(0);
    const Tensor& y = running.output(0);
    if (x.type == DType::f32 && axes.gone.count() > 0) {
      reduce_floats(running.pool(), axes, x.as<float>(), y.as<float>());
      return;
    }
    if (axes.gone.count() > 0) {
      fold_items<Fold>(running.pool(), axes, x, y);
      return;
    }
    with_type(y.type, [&](auto item) {
      using T = decltype(item);
      std::fill_n(y.as<T>(), y.count(), Better::template start<T>());
    });
  }

 private:
  template <typename T>
  struct Fold {
    T best = Better::template start<T>();
    void take(T x) { best = Better::of(best, x); }
    T result(std::int64_t) const { return best; }
  };

  static void reduce_floats(Pool& pool, const Axes& axes, const float* x, float* y) {
    if (!axes.last_is_gone) {
      reduce_columns(pool, axes, kernels::rows().*Better::columns, x, y,
                     [](float*, std::int64_t) {});
      return;
    }
    const auto kernel = kernels::rows().*Better::row;
    const Loops outer = axes.gone.outer();
    const std::int64_t depth = axes.gone.size(axes.gone.rank() - 1);
    split_items(pool, axes.kept.count(), axes.gone.count(),
                [&](std::int64_t begin, std::int64_t end) {
                  for (std::int64_t i = begin; i < end; ++i) {
                    Fold<float> fold;
                    const float* from = x + axes.kept.place(i);
                    for (std::int64_t k = 0; k < outer.count(); ++k) {
                      fold.take(kernel(from + outer.place(k), depth));
                    }
                    y[i] = fold.best;
                  }
                });
  }
};

// A reduction of numbers without a kernel.
template <template <typename> class Fold, bool reals_only>
class Folding final : public Reduction {
 public:
  using Reduction::Reduction;

 protected:
  bool takes(DType type) const override {
    return reals_only ? type == DType::f32 || type == DType::f64 : type != DType::boolean;
  }
  void reduce(const Running& running, const Axes& axes) const override {
    fold_items<Fold>(running.pool(), axes, running.input(0), running.output(0));
  }
};

template <typename W>
struct Product {
  W total = 1;
  void take(W x) { total = times(total, x); }
  W result(std::int64_t) const { return total; }
};

// top + log(sum of e^(x - top)), top being the largest so far.
template <typename W>
struct LogSumExp {
  double top = -std::numeric_limits<double>::infinity();
  double total = 0;
  void take(W item) {
    const auto x = static_cast<double>(item);
    if (x > top) {
      total = total * std::exp(top - x) + 1;
      top = x;
    } else {
      total += x == top ? 1 : std::exp(x - top);
    }
  }
  W result(std::int64_t) const { return static_cast<W>(total == 0 ? top : top + std::log(total)); }
};

}  // namespace

std::vector<Entry> reduction_operators() {
  const std::vector<const char*> attributes = {"axes", "keepdims", "noop_with_empty_axes"};
  return {
      {"ReduceSum", make<Sum<Itself, Whole>>, attributes, 2},
      {"ReduceMean", make<Sum<Itself, Average>>, attributes, 2},
      {"ReduceL1", make<Sum<Magnitude, Whole>>, attributes, 2},
      {"ReduceL2", make<Sum<Square, Root>>, attributes, 2},
      {"ReduceSumSquare", make<Sum<Square, Whole>>, attributes, 2},
      {"ReduceLogSum", make<Sum<Itself, Logarithm>>, attributes, 2},
      {"ReduceMax", make<Extreme<Larger>>, attributes, 2},
      {"ReduceMin", make<Extreme<Smaller>>, attributes, 2},
      {"ReduceProd", make<Folding<Product, false>>, attributes, 2},
      {"ReduceLogSumExp", make<Folding<LogSumExp, true>>, attributes, 2},
  };
}

}  // namespace laconic::engine
