// Arrays from shapes and numbers: Shape, Size, Constant, ConstantOfShape, Range, EyeLike, OneHot.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/operators/copying.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// An operator that is done when it is planned.
class Known : public Operator {
 public:
  void run(const Running&) const final {}
};

class ShapeOf final : public Known {
 public:
  explicit ShapeOf(Making& making)
      : start_(making.node().integer("start", 0)), end_(making.node().integer("end", MAX_RANK)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Shape& shape = planning.input(0).shape;
    const std::int64_t start = within(start_, shape.rank());
    const std::int64_t count = std::max<std::int64_t>(0, within(end_, shape.rank()) - start);
    std::copy_n(shape.begin() + start, count, planning.known<std::int64_t>(0, {count}));
    return nullptr;
  }

 private:
  static std::int64_t within(std::int64_t axis, std::int64_t rank) {
    return std::clamp(axis < 0 ? axis + rank : axis, std::int64_t{0}, rank);
  }
  std::int64_t start_;
  std::int64_t end_;
};

class Size final : public Known {
 public:
  explicit Size(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    *planning.known<std::int64_t>(0, {}) = planning.input(0).count();
    return nullptr;
  }
};

// The one attribute that is given, as an array.
class ConstantNode final : public Known {
 public:
  explicit ConstantNode(Making& making) : node_(making.node()) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    if (const Constant* value = node_.constant("value")) {
      give(planning, 0, value->tensor);
    } else if (node_.has("value_float")) {
      *planning.known<float>(0, {}) = static_cast<float>(node_.real("value_float", 0));
    } else if (node_.has("value_int")) {
      *planning.known<std::int64_t>(0, {}) = node_.integer("value_int", 0);
    } else if (node_.has("value_floats")) {
      const std::vector<double> items = node_.reals("value_floats");
      float* out = planning.known<float>(0, {static_cast<std::int64_t>(items.size())});
      for (double item : items) *out++ = static_cast<float>(item);
    } else if (node_.has("value_ints")) {
      const std::vector<std::int64_t> items = node_.integers("value_ints");
      const auto count = static_cast<std::int64_t>(items.size());
      std::copy(items.begin(), items.end(), planning.known<std::int64_t>(0, {count}));
    } else {
      throw Mismatch("Constant without a value");
    }
    return nullptr;
  }

 private:
  const Node& node_;
};

class ConstantOfShape final : public Operator {
 public:
  explicit ConstantOfShape(Making& making) : value_(Constant::make(DType::f32, {1})) {
    *value_.tensor.as<float>() = 0;
    const Constant* value = making.node().constant("value");
    if (value == nullptr) return;
    if (value->tensor.count() != 1) throw Mismatch("a value of " + value->tensor.text());
    value_ = *value;
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const std::vector<std::int64_t> sizes = planning.integers(0);
    planning.output(0, value_.tensor.type, Shape(sizes.begin(), sizes.end()));
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& out = running.output(0);
    fill(out.data, value_.tensor.data, size_of(out.type), out.count());
  }

 private:
  Constant value_;
};

// start, start + delta, ... before limit.
class Range final : public Operator {
 public:
  explicit Range(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& start = planning.value(0);
    const Tensor &limit = planning.value(1), &delta = planning.value(2);
    if (limit.type != start.type || delta.type != start.type || start.count() != 1 ||
        limit.count() != 1 || delta.count() != 1) {
      throw Mismatch("Range needs three numbers of one type");
    }
    std::int64_t count = 0;
    with_type(start.type,
              [&](auto item) { count = count_of<decltype(item)>(start, limit, delta); });
    planning.output(0, start.type, {count});
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& out = running.output(0);
    with_type(out.type, [&](auto item) {
      using T = decltype(item);
      const T start = *running.input(0).as<T>(), delta = *running.input(2).as<T>();
      T* items = out.as<T>();
      for (std::int64_t i = 0; i < out.count(); ++i) {
        if constexpr (std::is_integral_v<T>) {  // 64 bits, so that no step on the way overflows
          const auto step = static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(delta);
          items[i] = static_cast<T>(static_cast<std::uint64_t>(start) + step);
        } else {
          items[i] = start + static_cast<T>(i) * delta;
        }
      }
    });
  }

 private:
  template <typename T>
  static std::int64_t count_of(const Tensor& start, const Tensor& limit, const Tensor& delta) {
    // Doubles hold every count that an array can have.
    const auto from = static_cast<double>(*start.as<T>()), to = static_cast<double>(*limit.as<T>());
    const auto step = static_cast<double>(*delta.as<T>());
    const double count = std::ceil((to - from) / step);
    if (step == 0 || !(count < 1e14)) throw Mismatch("Range never reaches its limit");
    return count > 0 ? static_cast<std::int64_t>(count) : 0;
  }
};

class EyeLike final : public Operator {
 public:
  explicit EyeLike(Making& making)
      : diagonal_(making.node().integer("k", 0)), typed_(making.node().has("dtype")) {
    if (typed_) type_ = dtype_of(making.node().integer("dtype", 0), "EyeLike");
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.rank() != 2) throw Mismatch("EyeLike needs a matrix, found " + x.text());
    planning.output(0, typed_ ? type_ : x.type, x.shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& out = running.output(0);
    if (out.count() == 0) return;
    std::memset(out.data, 0, out.bytes());
    with_type(out.type, [&](auto item) {
      using T = decltype(item);
      T* items = out.as<T>();
      for (std::int64_t row = 0; row < out.shape[0]; ++row) {
        const std::int64_t column = row + std::clamp(diagonal_, -out.shape[0], out.shape[1]);
        if (column >= 0 && column < out.shape[1]) items[row * out.shape[1] + column] = T{1};
      }
    });
  }

 private:
  std::int64_t diagonal_;
  bool typed_;
  DType type_ = DType::f32;
};

// values[1] where the new axis equals the index, values[0] elsewhere; an index below 0 counts from
// the end, one outside has no place.
class OneHot final : public Operator {
 public:
  explicit OneHot(Making& making) : axis_(making.node().integer("axis", -1)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& indices = planning.input(0);
    const Tensor& values = planning.input(2);
    const std::vector<double> depth = planning.reals(1);
    if (depth.size() != 1 || !(depth[0] >= 0 && depth[0] < 1e14) || values.shape != Shape{2}) {
      throw Mismatch("OneHot needs one depth and two values");
    }
    const int axis = axis_of(axis_, indices.rank() + 1);
    Shape shape(indices.shape.begin(), indices.shape.begin() + axis);
    shape.push(static_cast<std::int64_t>(depth[0]));
    for (int i = axis; i < indices.rank(); ++i) shape.push(indices.shape[i]);
    planning.output(0, values.type, shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor &indices = running.input(0), &values = running.input(2), &out = running.output(0);
    const std::size_t item = size_of(out.type);
    const auto* pair = static_cast<const std::byte*>(values.data);
    auto* items = static_cast<std::byte*>(out.data);
    if (out.count() == 0) return;
    fill(items, pair, item, out.count());
    const int axis = axis_of(axis_, out.rank());
    const std::int64_t depth = out.shape[axis];
    const std::int64_t inner = out.shape.count(axis + 1, out.rank());
    with_type(indices.type, [&](auto kind) {
      const auto* places = indices.as<decltype(kind)>();
      for (std::int64_t i = 0; i < indices.count(); ++i) {
        // As a double, which holds every place that there is: NaN and infinity are none.
        const auto named = static_cast<double>(places[i]);
        if (!(named > -static_cast<double>(depth) - 1 && named < static_cast<double>(depth))) {
          continue;
        }
        auto place = static_cast<std::int64_t>(places[i]);
        if (place < 0) place += depth;
        const std::int64_t at = (i / inner * depth + place) * inner + i % inner;
        std::memcpy(items + static_cast<std::size_t>(at) * item, pair + item, item);
      }
    });
  }

 private:
  std::int64_t axis_;
};

}  // namespace

std::vector<Entry> creation_operators() {
  return {
      {"Shape", make<ShapeOf>, {"start", "end"}, 1},
      {"Size", make<Size>, {}, 1},
      {"Constant",
       make<ConstantNode>,
       {"value", "value_float", "value_floats", "value_int", "value_ints"},
       0},
      {"ConstantOfShape", make<ConstantOfShape>, {"value"}, 1},
      {"Range", make<Range>, {}, 3},
      {"EyeLike", make<EyeLike>, {"dtype", "k"}, 1},
      {"OneHot", make<OneHot>, {"axis"}, 3},
  };
}

}  // namespace laconic::engine
