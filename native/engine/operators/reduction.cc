// Sums and products of many items along some axes.
#include "engine/operators/reduction.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/operators/cast.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

using kernels::Rows;

constexpr std::int64_t CHUNK = 16384;  // items of a row that one thread adds up

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
    return converted<W>(std::sqrt(static_cast<double>(total)));
  }
};
struct Logarithm {
  template <typename W>
  static W of(W total, std::int64_t) {
    return converted<W>(std::log(static_cast<double>(total)));
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

  // The pieces of rows that are added up for one output. They are the same, and in the same order,
  // however they are shared out.
  struct Chunks {
    explicit Chunks(const Axes& axes)
        : outer(axes.gone.outer()),
          of_row(chunks_of(axes)),
          depth(axes.gone.size(axes.gone.rank() - 1)),
          count(outer.count() * of_row) {}

    double sum(const float* x, std::int64_t index) const {
      const std::int64_t first = index % of_row * CHUNK;
      return (kernels::rows().*Item::row)(x + outer.place(index / of_row) + first,
                                          std::min(CHUNK, depth - first));
    }
    double total(const float* x) const {
      double all = 0;
      for (std::int64_t index = 0; index < count; ++index) all += sum(x, index);
      return all;
    }

    Loops outer;
    std::int64_t of_row, depth, count;
  };

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
    const Chunks chunks(axes);
    if (axes.kept.count() >= pool.threads()) {
      split_items(pool, axes.kept.count(), items, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          y[i] = finished(chunks.total(x + axes.kept.place(i)), items);
        }
      });
      return;
    }
    auto* parts = reinterpret_cast<double*>(running.scratch());
    for (std::int64_t i = 0; i < axes.kept.count(); ++i) {
      const float* from = x + axes.kept.place(i);
      const std::int64_t cost = items / chunks.count;
      split_items(pool, chunks.count, cost, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t part = begin; part < end; ++part) parts[part] = chunks.sum(from, part);
      });
      double sum = 0;
      for (std::int64_t part = 0; part < chunks.count; ++part) sum += parts[part];
      y[i] = finished(sum, items);
    }
  }

  static float finished(double total, std::int64_t items) {
    return static_cast<float>(Finish::of(total, items));
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
      {"ReduceProd", make<Folding<Product, false>>, attributes, 2},
      {"ReduceLogSumExp", make<Folding<LogSumExp, true>>, attributes, 2},
  };
}

}  // namespace laconic::engine
