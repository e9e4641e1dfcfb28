// Normalisation without weights: LpNormalization, MeanVarianceNormalization, LRN.
#include <algorithm>
#include <cmath>

#include "engine/operators/axes.h"
#include "engine/operators/broadcast.h"
#include "engine/operators/moments.h"
#include "engine/operators/slabs.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// x divided by the sum of |x| (p = 1) or the root of the sum of squares (p = 2) along an axis;
// zeros where that is zero.
class LpNormalization final : public Operator {
 public:
  explicit LpNormalization(Making& making)
      : axis_(making.node().integer("axis", -1)), p_(making.node().integer("p", 2)) {
    if (p_ != 1 && p_ != 2) {
      throw Unsupported("LpNormalization with p = " + std::to_string(p_) + "; there are 1 and 2");
    }
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_reals("LpNormalization", x);
    axis_of(axis_, x.rank());
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Slabs slabs(x.shape, axis_of(axis_, x.rank()));
    with_real_type(x.type, [&](auto item) {
      using T = decltype(item);
      split_items(running.pool(), slabs.outer * slabs.inner, 2 * slabs.depth,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      line(x.as<T>() + slabs.place(i), running.output(0).as<T>() + slabs.place(i),
                           slabs.depth, slabs.inner);
                    }
                  });
    });
  }

 private:
  template <typename T>
  void line(const T* x, T* y, std::int64_t depth, std::int64_t stride) const {
    double norm = 0;
    if (p_ == 2) {
      norm = std::sqrt(spread_of(x, depth, stride, 0));
    } else {
      for (std::int64_t i = 0; i < depth; ++i) {
        norm += std::fabs(static_cast<double>(x[i * stride]));
      }
    }
    centre<T>(x, y, depth, stride, 0, norm == 0 ? 0 : 1 / norm, 0);
  }

  std::int64_t axis_, p_;
};

struct Plan : Prepared {
  Plan(const Shape& shape, const std::array<bool, MAX_RANK>& reduced) : axes(shape, reduced) {}
  Axes axes;
};

// (x - mean) / (deviation + 1e-9) over some axes, as the operator's definition as a function has
// it.
class MeanVarianceNormalization final : public Operator {
 public:
  explicit MeanVarianceNormalization(Making& making)
      : axes_(making.node().integers("axes", {0, 2, 3})) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_reals("MeanVarianceNormalization", x);
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return std::make_unique<Plan>(x.shape, reduced_axes(axes_, x.rank(), false));
  }

  void run(const Running& running) const override {
    const Axes& axes = running.prepared<Plan>().axes;
    with_real_type(running.input(0).type, [&](auto item) {
      using T = decltype(item);
      split_items(running.pool(), axes.kept.count(), 4 * axes.gone.count(),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      const std::int64_t place = axes.kept.place(i);
                      standardise_group(axes.gone, running.input(0).as<T>() + place,
                                        running.output(0).as<T>() + place);
                    }
                  });
    });
  }

 private:
  template <typename T>
  static void standardise_group(const Loops& loops, const T* x, T* y) {
    const Loops outer = loops.outer();
    const std::int64_t depth = loops.size(loops.rank() - 1),
                       stride = loops.stride(loops.rank() - 1);
    const auto items = static_cast<double>(loops.count());
    double mean = 0, variance = 0;
    for (std::int64_t row = 0; row < outer.count(); ++row) {
      mean += sum_of(x + outer.place(row), depth, stride) / items;
    }
    for (std::int64_t row = 0; row < outer.count(); ++row) {
      variance += spread_of(x + outer.place(row), depth, stride, mean) / items;
    }
    const double factor = 1 / (std::sqrt(variance) + 1e-9);
    for (std::int64_t row = 0; row < outer.count(); ++row) {
      const std::int64_t place = outer.place(row);
      centre<T>(x + place, y + place, depth, stride, mean, factor, 0);
    }
  }

  std::vector<std::int64_t> axes_;
};

// x (bias + alpha / size s)^-beta; s sums the squares of `size` channels around each one.
class LocalResponse final : public Operator {
 public:
  explicit LocalResponse(Making& making)
      : size_(making.node().integer("size", 0)),
        alpha_(making.node().real("alpha", 1e-4)),
        beta_(making.node().real("beta", 0.75)),
        bias_(making.node().real("bias", 1)) {
    if (size_ <= 0) throw Mismatch("LRN over " + std::to_string(size_) + " channels");
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_reals("LRN", x);
    if (x.rank() < 2) throw Mismatch("LRN takes [images, channels, ...], found " + x.text());
    planning.output(0, x.type, x.shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    with_real_type(running.input(0).type, [&](auto item) { apply<decltype(item)>(running); });
  }

 private:
  template <typename T>
  void apply(const Running& running) const {
    constexpr std::int64_t COLUMNS = 64;  // that one thread takes at once
    const Shape& shape = running.input(0).shape;
    const std::int64_t channels = shape[1], area = shape.count(2, shape.rank());
    const std::int64_t shares = (area + COLUMNS - 1) / COLUMNS;
    split_items(running.pool(), shape[0] * shares, 16 * channels * COLUMNS,
                [&](std::int64_t begin, std::int64_t end) {
                  for (std::int64_t i = begin; i < end; ++i) {
                    const std::int64_t column = i % shares * COLUMNS;
                    const std::int64_t place = i / shares * channels * area + column;
                    columns(running.input(0).as<T>() + place, running.output(0).as<T>() + place,
                            channels, area, std::min(COLUMNS, area - column));
                  }
                });
  }

  void columns(const float* x, float* y, std::int64_t channels, std::int64_t area,
               std::int64_t count) const {
    kernels::rows().local_response(x, y, channels, area, count, (size_ - 1) / 2, size_ / 2,
                                   static_cast<float>(alpha_ / static_cast<double>(size_)),
                                   static_cast<float>(beta_), static_cast<float>(bias_));
  }

  void columns(const double* x, double* y, std::int64_t channels, std::int64_t area,
               std::int64_t count) const {
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t first = std::max<std::int64_t>(0, c - (size_ - 1) / 2);
      const std::int64_t last = std::min(channels - 1, c + size_ / 2);
      for (std::int64_t i = 0; i < count; ++i) {
        double squares = 0;
        for (std::int64_t k = first; k <= last; ++k) squares += x[k * area + i] * x[k * area + i];
        const double base = bias_ + alpha_ / static_cast<double>(size_) * squares;
        y[c * area + i] = x[c * area + i] * std::pow(base, -beta_);
      }
    }
  }

  std::int64_t size_;
  double alpha_, beta_, bias_;
};

}  // namespace

std::vector<Entry> axis_normalisation_operators() {
  return {
      {"LpNormalization", make<LpNormalization>, {"axis", "p"}, 1},
      {"MeanVarianceNormalization", make<MeanVarianceNormalization>, {"axes"}, 1},
      {"LRN", make<LocalResponse>, {"alpha", "beta", "bias", "size"}, 1},
  };
}

}  // namespace laconic::engine
