// Softmax, LogSoftmax and Hardmax along one axis.
#include <algorithm>
#include <cmath>

#include "engine/operators/broadcast.h"
#include "engine/operators/slabs.h"
#include "engine/operators/tables.h"
#include "kernels/rows.h"

namespace laconic::engine {

namespace {

using kernels::Rows;

constexpr std::int64_t COST = 8;              // of one item, in additions
constexpr std::int64_t COLUMNS_AT_ONCE = 64;  // a share of the columns of one slab

void softmax(double* x, std::int64_t depth, std::int64_t stride, bool logarithmic) {
  double top = x[0], total = 0;
  for (std::int64_t k = 1; k < depth; ++k) top = std::max(top, x[k * stride]);
  for (std::int64_t k = 0; k < depth; ++k) total += std::exp(x[k * stride] - top);
  for (std::int64_t k = 0; k < depth; ++k) {
    double& item = x[k * stride];
    item = logarithmic ? item - top - std::log(total) : std::exp(item - top) / total;
  }
}

template <bool logarithmic>
class Softmax final : public Operator {
 public:
  explicit Softmax(Making& making)
      : operation_(making.node().operation), axis_(making.node().integer("axis", -1)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch(operation_ + " takes float32 or float64, found " + x.text());
    }
    if (x.rank() > 0) axis_of(axis_, x.rank());
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Tensor& y = running.output(0);
    if (x.count() == 0) return;
    const Shape shape = x.rank() > 0 ? x.shape : Shape{1};
    const Slabs slabs(shape, axis_of(axis_, shape.rank()));
    if (x.type == DType::f64) {
      if (y.data != x.data) std::copy_n(x.as<double>(), x.count(), y.as<double>());
      split_items(running.pool(), slabs.outer * slabs.inner, COST * slabs.depth,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      softmax(y.as<double>() + slabs.place(i), slabs.depth, slabs.inner,
                              logarithmic);
                    }
                  });
    } else if (slabs.inner == 1) {
      rows(running.pool(), slabs, x.as<float>(), y.as<float>());
    } else {
      columns(running.pool(), slabs, x.as<float>(), y.as<float>());
    }
  }

 private:
  static void rows(Pool& pool, const Slabs& slabs, const float* x, float* y) {
    const Rows& kernels = kernels::rows();
    const auto kernel = logarithmic ? kernels.log_softmax : kernels.softmax;
    split_items(pool, slabs.outer, COST * slabs.depth, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t first = begin * slabs.depth;
      kernel(x + first, y + first, end - begin, slabs.depth);
    });
  }

  static void columns(Pool& pool, const Slabs& slabs, const float* x, float* y) {
    const Rows& kernels = kernels::rows();
    const auto kernel = logarithmic ? kernels.log_softmax_columns : kernels.softmax_columns;
    const std::int64_t shares = (slabs.inner + COLUMNS_AT_ONCE - 1) / COLUMNS_AT_ONCE;
    const std::int64_t cost = COST * slabs.depth * std::min(slabs.inner, COLUMNS_AT_ONCE);
    split_items(pool, slabs.outer * shares, cost, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t column = i % shares * COLUMNS_AT_ONCE;
        const std::int64_t place = i / shares * slabs.depth * slabs.inner + column;
        kernel(x + place, y + place, slabs.inner, slabs.depth,
               std::min(COLUMNS_AT_ONCE, slabs.inner - column));
      }
    });
  }

  std::string operation_;
  std::int64_t axis_;
};

// 1 at the first largest item along the axis, 0 elsewhere.
class Hardmax final : public Operator {
 public:
  explicit Hardmax(Making& making) : axis_(making.node().integer("axis", -1)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch("Hardmax takes float32 or float64, found " + x.text());
    }
    axis_of(axis_, x.rank());
    planning.output(0, x.type, x.shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    if (x.type == DType::f32) {
      choose(x.as<float>(), running.output(0).as<float>(),
             Slabs(x.shape, axis_of(axis_, x.rank())));
    } else {
      choose(x.as<double>(), running.output(0).as<double>(),
             Slabs(x.shape, axis_of(axis_, x.rank())));
    }
  }

 private:
  template <typename T>
  static void choose(const T* x, T* y, const Slabs& slabs) {
    std::fill_n(y, slabs.outer * slabs.depth * slabs.inner, T{0});
    if (slabs.depth == 0) return;
    for (std::int64_t i = 0; i < slabs.outer * slabs.inner; ++i) {
      const std::int64_t place = slabs.place(i);
      std::int64_t best = place;
      for (std::int64_t k = 1; k < slabs.depth; ++k) {
        if (x[place + k * slabs.inner] > x[best]) best = place + k * slabs.inner;
      }
      y[best] = T{1};
    }
  }

  std::int64_t axis_;
};

}  // namespace

std::vector<Entry> softmax_operators() {
  return {
      {"Softmax", make<Softmax<false>>, {"axis"}, 1},
      {"LogSoftmax", make<Softmax<true>>, {"axis"}, 1},
      {"Hardmax", make<Hardmax>, {"axis"}, 1},
  };
}

}  // namespace laconic::engine
