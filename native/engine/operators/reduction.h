// What the reductions share: their attributes, and columns of float32 beside each other.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "engine/operators/fold.h"
#include "kernels/rows.h"

namespace laconic::engine {

struct ReductionAxes : Prepared {
  ReductionAxes(const Shape& shape, const std::array<bool, MAX_RANK>& reduced)
      : axes(shape, reduced) {}
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
    auto plan = std::make_unique<ReductionAxes>(x.shape, reduced);
    planning.scratch(scratch_bytes(plan->axes));
    return plan;
  }

  void run(const Running& running) const override {
    const Axes& axes = running.prepared<ReductionAxes>().axes;
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
void reduce_columns(Pool& pool, const Axes& axes, kernels::Rows::Columns kernel, const float* x,
                    float* y, const Finish& finish) {
  constexpr std::int64_t COLUMNS = 256;  // that one thread reduces
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

}  // namespace laconic::engine
