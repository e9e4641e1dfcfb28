// LayerNormalization and RMSNormalization: standardised over the dimensions from an axis on.
#include <cmath>

#include "engine/operators/broadcast.h"
#include "engine/operators/moments.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

constexpr std::int64_t COST = 4;  // of one item, in additions

// A scale or bias that is broadcast to the array: how it lies beside the rows.
struct Companion {
  enum class Form { absent, row, expanded_row, expanded };
  Form form = Form::absent;
  std::int64_t row_stride = 0;  // items from one row's part to the next row's
  std::unique_ptr<Broadcast> shapes;
};

struct Companions : Prepared {
  Companion scale, bias;
};

// Array [rows, depth] of the shape; `first` is the first of the dimensions of a row.
Companion companion(const std::string& what, const Shape& shape, int first, const Tensor& found) {
  if (broadcast(shape, found.shape) != shape) {
    throw Mismatch(what + " of " + found.text() + " does not broadcast to " + shape.text());
  }
  Shape row;
  for (int axis = first; axis < shape.rank(); ++axis) row.push(shape[axis]);
  Companion out;
  if (found.count() == row.count() && broadcast(row, found.shape).count() == row.count()) {
    out.form = Companion::Form::row;
    return out;
  }
  bool same_for_rows = true;  // no size but 1 beyond the dimensions of a row
  for (int axis = 0; axis < found.rank() - row.rank(); ++axis) {
    same_for_rows = same_for_rows && found.shape[axis] == 1;
  }
  out.form = same_for_rows ? Companion::Form::expanded_row : Companion::Form::expanded;
  if (!same_for_rows) out.row_stride = row.count();
  Shape own;
  const int extra = same_for_rows ? std::max(found.rank() - row.rank(), 0) : 0;
  for (int axis = extra; axis < found.rank(); ++axis) own.push(found.shape[axis]);
  out.shapes = std::make_unique<Broadcast>(same_for_rows ? row : shape, std::vector<Shape>{own});
  return out;
}

// Items of the scratch that the companion needs.
std::int64_t space_of(const Companion& companion) {
  return companion.shapes == nullptr ? 0 : companion.shapes->count();
}

// Where the companion's items lie; expanded into `space` if need be, which then goes on.
template <typename T>
const T* lay_out(const Companion& companion, const Tensor* tensor, T*& space) {
  if (companion.form == Companion::Form::absent) return nullptr;
  const T* items = tensor->as<T>();
  if (companion.form == Companion::Form::row) return items;
  T* out = space;
  const Broadcast& shapes = *companion.shapes;
  shapes.walk(0, shapes.count(),
              [&](std::int64_t first, const Broadcast::Places& places, std::int64_t count) {
                for (std::int64_t i = 0; i < count; ++i)
                  out[first + i] = items[places[0] + i * shapes.step(0)];
              });
  space += shapes.count();
  return out;
}

// With `centred`, (x - mean) / sqrt(variance + epsilon) scale + bias (arXiv:1607.06450); without,
// x / sqrt(mean of squares + epsilon) scale (arXiv:1910.07467). `stash_type` 1 asks for at least
// float32 inside, which holds here always.
template <bool centred>
class LayerNormalization final : public Operator {
 public:
  explicit LayerNormalization(Making& making)
      : operation_(making.node().operation),
        axis_(making.node().integer("axis", -1)),
        epsilon_(making.node().real("epsilon", 1e-5)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const int axis = axis_of(axis_, x.rank());
    require_reals(operation_, x);
    common_type(planning, operation_, 0, planning.has(2) ? 3 : 2);
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    Shape statistics = x.shape;
    for (int k = axis; k < x.rank(); ++k) statistics[k] = 1;
    for (int output : {1, 2}) {
      if (planning.wants(output)) planning.output(output, DType::f32, statistics);
    }
    auto out = std::make_unique<Companions>();
    out->scale = companion("scale", x.shape, axis, planning.input(1));
    if (planning.has(2)) out->bias = companion("bias", x.shape, axis, planning.input(2));
    planning.scratch(static_cast<std::size_t>(space_of(out->scale) + space_of(out->bias)) *
                     size_of(x.type));
    return out;
  }

  void run(const Running& running) const override {
    with_real_type(running.input(0).type, [&](auto item) { apply<decltype(item)>(running); });
  }

 private:
  template <typename T>
  void apply(const Running& running) const {
    const Shape& shape = running.input(0).shape;
    const int axis = axis_of(axis_, shape.rank());
    const std::int64_t rows = shape.count(0, axis), depth = shape.count(axis, shape.rank());
    const auto& companions = running.prepared<Companions>();
    T* space = reinterpret_cast<T*>(running.scratch());
    const T* scale = lay_out<T>(companions.scale, &running.input(1), space);
    const T* bias =
        lay_out<T>(companions.bias, running.has(2) ? &running.input(2) : nullptr, space);
    float* means = running.wants(1) ? running.output(1).as<float>() : nullptr;
    float* inverses = running.wants(2) ? running.output(2).as<float>() : nullptr;
    split_items(running.pool(), rows, COST * depth, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* x = running.input(0).as<T>() + i * depth;
        const Moments moments = statistics(x, depth);
        standardise<T>(x, running.output(0).as<T>() + i * depth, depth, moments.mean,
                       moments.inverse, scale + i * companions.scale.row_stride,
                       bias == nullptr ? nullptr : bias + i * companions.bias.row_stride);
        if (means != nullptr) means[i] = static_cast<float>(moments.mean);
        if (inverses != nullptr) inverses[i] = static_cast<float>(moments.inverse);
      }
    });
  }

  template <typename T>
  Moments statistics(const T* x, std::int64_t depth) const {
    if (centred) return moments_of(x, depth, epsilon_);
    const double square = spread_of(x, depth, 1, 0) / static_cast<double>(depth);
    return {0, 1 / std::sqrt(square + epsilon_)};
  }

  std::string operation_;
  std::int64_t axis_;
  double epsilon_;
};

}  // namespace

std::vector<Entry> layer_normalisation_operators() {
  const std::vector<const char*> attributes = {"axis", "epsilon", "stash_type"};
  return {
      {"LayerNormalization", make<LayerNormalization<true>>, attributes, 3},
      {"RMSNormalization", make<LayerNormalization<false>>, attributes, 2},
  };
}

}  // namespace laconic::engine
