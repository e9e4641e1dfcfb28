// Items written over some of an array: ScatterElements, ScatterND.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "engine/operators/copying.h"
#include "engine/operators/indices.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

enum class Meeting { replace, add, multiply, largest, smallest };

Meeting meeting_of(const Node& node) {
  const std::string name = node.text("reduction", "none");
  if (name == "none") return Meeting::replace;
  if (name == "add") return Meeting::add;
  if (name == "mul") return Meeting::multiply;
  if (name == "max") return Meeting::largest;
  if (name == "min") return Meeting::smallest;
  throw Unsupported(node.operation + " with the reduction " + name);
}

// What becomes of an item when an update meets it.
template <typename T>
T met(T old, T update, Meeting meeting) {
  // Integers wrap around.
  using Ring = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;
  switch (meeting) {
    case Meeting::add:
      return static_cast<T>(static_cast<Ring>(old) + static_cast<Ring>(update));
    case Meeting::multiply:
      return static_cast<T>(static_cast<Ring>(old) * static_cast<Ring>(update));
    case Meeting::largest:
      return std::max(old, update);
    case Meeting::smallest:
      return std::min(old, update);
    default:
      return update;
  }
}

// Updates follow one another on one thread, so that the last of several for one place wins.
class Scatter : public Operator {
 public:
  explicit Scatter(Making& making) : meeting_(meeting_of(making.node())) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const final {
    const Tensor& x = planning.input(0);
    const Tensor& updates = planning.input(2);
    const Shape wanted = shape_of_updates(x, planning.input(1).shape);
    if (updates.type != x.type || updates.shape != wanted) {
      throw Mismatch("updates " + updates.text() + " for " + x.text() + " and indices " +
                     planning.input(1).text());
    }
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const final {
    const Tensor &x = running.input(0), &out = running.output(0);
    if (out.data != x.data && x.bytes() > 0) std::memcpy(out.data, x.data, x.bytes());
    if (running.input(2).count() > 0) apply(running);
  }

 protected:
  virtual Shape shape_of_updates(const Tensor& x, const Shape& indices) const = 0;
  virtual void apply(const Running& running) const = 0;

  const Meeting meeting_;
};

class ScatterElements final : public Scatter {
 public:
  explicit ScatterElements(Making& making)
      : Scatter(making), axis_(making.node().integer("axis", 0)) {}

 protected:
  Shape shape_of_updates(const Tensor& x, const Shape& indices) const override {
    check_beside(x, indices, axis_of(axis_, x.rank()));
    return indices;
  }

  void apply(const Running& running) const override {
    const Tensor &indices = running.input(1), &updates = running.input(2), &out = running.output(0);
    const int axis = axis_of(axis_, out.rank());
    check_indices(indices, out.shape[axis]);
    const ElementPlaces places(out.shape, indices.shape, axis);
    with_type(out.type, [&](auto item) {
      using T = decltype(item);
      const T* from = updates.as<T>();
      T* to = out.as<T>();
      with_indices(indices, [&](const auto* chosen) {
        for (std::int64_t row = 0; row < places.rows(); ++row) {
          places.each(row, chosen, [&](std::int64_t i, std::int64_t place) {
            to[place] = met(to[place], from[i], meeting_);
          });
        }
      });
    });
  }

 private:
  std::int64_t axis_;
};

class ScatterND final : public Scatter {
 public:
  explicit ScatterND(Making& making) : Scatter(making) {}

 protected:
  Shape shape_of_updates(const Tensor& x, const Shape& indices) const override {
    const TuplePlaces places(x.shape, indices, 0);
    Shape shape(indices.begin(), indices.end() - 1);
    for (int axis = places.end_axis(); axis < x.rank(); ++axis) shape.push(x.shape[axis]);
    return shape;
  }

  void apply(const Running& running) const override {
    const Tensor &indices = running.input(1), &out = running.output(0);
    const TuplePlaces places(out.shape, indices.shape, 0);
    const std::vector<std::int64_t> starts = places.starts(indices);
    const std::int64_t piece = places.piece();
    with_type(out.type, [&](auto item) {
      using T = decltype(item);
      const T* from = running.input(2).as<T>();
      for (std::int64_t start : starts) {
        T* to = out.as<T>() + start;
        for (std::int64_t i = 0; i < piece; ++i) to[i] = met(to[i], *from++, meeting_);
      }
    });
  }
};

}  // namespace

std::vector<Entry> scatter_operators() {
  return {
      {"ScatterElements", make<ScatterElements>, {"axis", "reduction"}, 3},
      {"ScatterND", make<ScatterND>, {"reduction"}, 3},
  };
}

}  // namespace laconic::engine
