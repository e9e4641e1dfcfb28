// The largest and smallest items and their places: ReduceMax, ReduceMin, ArgMax, ArgMin, TopK.
#include <algorithm>
#include <limits>
#include <vector>

#include "engine/operators/elementwise.h"
#include "engine/operators/reduction.h"
#include "engine/operators/slabs.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

using kernels::Rows;

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

constexpr std::int64_t COLUMNS = 256;  // that one thread looks through at once

// NaN beats every number, as in NumPy. Without branches, so that compilers make vectors of it.
template <bool largest, typename T>
bool beats(T a, T b) {
  return (b == b) & ((a != a) | (largest ? a > b : a < b));
}

template <bool largest>
class ExtremePlace final : public Operator {
 public:
  explicit ExtremePlace(Making& making)
      : operation_(making.node().operation),
        axis_(making.node().integer("axis", 0)),
        keep_(making.node().integer("keepdims", 1) != 0),
        last_(making.node().integer("select_last_index", 0) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const int axis = axis_of(axis_, x.rank());
    if (x.type == DType::boolean || x.shape[axis] == 0) {
      throw Mismatch(operation_ + " takes one number or more, found " + x.text());
    }
    if (x.shape[axis] > std::numeric_limits<std::int32_t>::max()) {
      throw Unsupported(operation_ + " along more than 2^31 items, " + x.text());
    }
    Shape out;
    for (int k = 0; k < x.rank(); ++k) {
      if (k != axis) {
        out.push(x.shape[k]);
      } else if (keep_) {
        out.push(1);
      }
    }
    planning.output(0, DType::i64, out);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Slabs slabs(x.shape, axis_of(axis_, x.rank()));
    with_type(x.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (IS_NUMBER<T>) {
        find(running.pool(), slabs, x.as<T>(), running.output(0).as<std::int64_t>());
      }
    });
  }

 private:
  template <typename T>
  void find(Pool& pool, const Slabs& slabs, const T* x, std::int64_t* y) const {
    const std::int64_t shares = (slabs.inner + COLUMNS - 1) / COLUMNS;
    const std::int64_t cost = slabs.depth * std::min(slabs.inner, COLUMNS);
    split_items(pool, slabs.outer * shares, cost, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t column = i % shares * COLUMNS;
        const T* items = x + i / shares * slabs.depth * slabs.inner + column;
        std::int64_t* places = y + i / shares * slabs.inner + column;
        if (slabs.inner == 1) {
          *places = in_row(items, slabs.depth);
        } else {
          const std::int64_t width = std::min(COLUMNS, slabs.inner - column);
          last_ ? in_columns<true>(items, slabs, places, width)
                : in_columns<false>(items, slabs, places, width);
        }
      }
    });
  }

  // First the item, then its place: both are faster than the place at once.
  std::int64_t in_row(const float* x, std::int64_t depth) const {
    const Rows& kernels = kernels::rows();
    const float best = (largest ? kernels.largest : kernels.smallest)(x, depth);
    const auto found = [&](float item) { return item == best || (best != best && item != item); };
    std::int64_t place = last_ ? depth - 1 : 0;
    while (!found(x[place])) place += last_ ? -1 : 1;
    return place;
  }

  template <typename T>
  std::int64_t in_row(const T* x, std::int64_t depth) const {
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < depth; ++k) {
      if (last_ ? replaces<true>(x[k], x[best]) : replaces<false>(x[k], x[best])) best = k;
    }
    return best;
  }

  template <bool last, typename T>
  static void in_columns(const T* x, const Slabs& slabs, std::int64_t* places, std::int64_t count) {
    T best[COLUMNS];
    std::int32_t found[COLUMNS] = {};
    std::copy_n(x, count, best);
    for (std::int32_t k = 1; k < slabs.depth; ++k) {
      const T* row = x + k * slabs.inner;
      for (std::int64_t i = 0; i < count; ++i) {
        const T item = row[i], held = best[i];
        const bool better = replaces<last>(item, held);
        best[i] = better ? item : held;
        found[i] = better ? k : found[i];
      }
    }
    std::copy_n(found, count, places);
  }

  // Of two items along the axis, whether the later one counts.
  template <bool last, typename T>
  static bool replaces(T item, T held) {
    return last ? !beats<largest>(held, item) : beats<largest>(item, held);
  }

  std::string operation_;
  std::int64_t axis_;
  bool keep_, last_;
};

// The K largest or smallest items along an axis and their places; of equals, the first ones.
class TopK final : public Operator {
 public:
  explicit TopK(Making& making)
      : axis_(making.node().integer("axis", -1)),
        largest_(making.node().integer("largest", 1) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const int axis = axis_of(axis_, x.rank());
    const std::vector<std::int64_t> k = planning.integers(1);
    if (x.type == DType::boolean || k.size() != 1 || k[0] < 0 || k[0] > x.shape[axis]) {
      throw Mismatch("TopK takes numbers and a K of at most their count along the axis, found " +
                     x.text() + " and K of " + (k.size() == 1 ? std::to_string(k[0]) : "no") +
                     " item");
    }
    Shape out = x.shape;
    out[axis] = k[0];
    if (planning.wants(0)) planning.output(0, x.type, out);
    if (planning.wants(1)) planning.output(1, DType::i64, out);
    planning.scratch(sizeof(std::int64_t) * static_cast<std::size_t>(x.shape[axis]) *
                     static_cast<std::size_t>(planning.threads()));
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    with_type(x.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (IS_NUMBER<T>) {
        largest_ ? choose<true, T>(running, x) : choose<false, T>(running, x);
      }
    });
  }

 private:
  template <bool largest, typename T>
  void choose(const Running& running, const Tensor& x) const {
    const int axis = axis_of(axis_, x.rank());
    const Slabs slabs(x.shape, axis);
    const Tensor& out = running.output(running.wants(0) ? 0 : 1);
    const std::int64_t count = out.shape[axis];
    auto* space = reinterpret_cast<std::int64_t*>(running.scratch());
    running.pool().split(
        slabs.outer * slabs.inner, [&](std::int64_t begin, std::int64_t end, int worker) {
          std::int64_t* places = space + worker * slabs.depth;
          for (std::int64_t i = begin; i < end; ++i) {
            const T* items = x.as<T>() + slabs.place(i);
            for (std::int64_t k = 0; k < slabs.depth; ++k) places[k] = k;
            std::partial_sort(
                places, places + count, places + slabs.depth, [&](std::int64_t a, std::int64_t b) {
                  const T left = items[a * slabs.inner], right = items[b * slabs.inner];
                  if (beats<largest>(left, right)) return true;
                  return !beats<largest>(right, left) && a < b;
                });
            const std::int64_t first = i / slabs.inner * count * slabs.inner + i % slabs.inner;
            for (std::int64_t k = 0; k < count; ++k) {
              const std::int64_t to = first + k * slabs.inner;
              if (running.wants(0)) running.output(0).as<T>()[to] = items[places[k] * slabs.inner];
              if (running.wants(1)) running.output(1).as<std::int64_t>()[to] = places[k];
            }
          }
        });
  }

  std::int64_t axis_;
  bool largest_;
};

}  // namespace

std::vector<Entry> extreme_operators() {
  const std::vector<const char*> reduction = {"axes", "keepdims", "noop_with_empty_axes"};
  const std::vector<const char*> place = {"axis", "keepdims", "select_last_index"};
  return {
      {"ReduceMax", make<Extreme<Larger>>, reduction, 2},
      {"ReduceMin", make<Extreme<Smaller>>, reduction, 2},
      {"ArgMax", make<ExtremePlace<true>>, place, 1},
      {"ArgMin", make<ExtremePlace<false>>, place, 1},
      {"TopK", make<TopK>, {"axis", "largest", "sorted"}, 2},
  };
}

}  // namespace laconic::engine
