// The same items in another shape or order: Identity, Dropout, Flatten, Reshape, Squeeze,
// Unsqueeze, Transpose, Expand, Tile, DepthToSpace, SpaceToDepth.
#include <algorithm>

#include "engine/operators/copying.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

struct PreparedCopy : Prepared {
  PreparedCopy() = default;
  explicit PreparedCopy(StridedCopy work) : moves(true), copy(std::move(work)) {}
  bool moves = false;  // otherwise the output is the input's memory
  StridedCopy copy;
};

// An operator whose output 0 is a copy of input 0.
class Copying : public Operator {
 public:
  void run(const Running& running) const final {
    const auto& prepared = running.prepared<PreparedCopy>();
    if (!prepared.moves) return;
    prepared.copy.run(running.input(0).data, running.output(0).data, size_of(running.input(0).type),
                      running.pool());
  }
};

// An operator whose output 0 is input 0 in another shape.
class Viewing : public Operator {
 public:
  void run(const Running&) const final {}
};

class Identity final : public Viewing {
 public:
  explicit Identity(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    planning.alias(0, 0, planning.input(0).shape);
    return nullptr;
  }
};

// Without training, Dropout keeps everything, and the mask of what it kept is true.
class Dropout final : public Viewing {
 public:
  explicit Dropout(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const bool training =
        planning.has(2) && planning.value(2).count() > 0 && *planning.value(2).as<bool>();
    if (training) {
      throw Unsupported("Dropout in training mode; export the model in eval mode");
    }
    const Shape& shape = planning.input(0).shape;
    planning.alias(0, 0, shape);
    if (planning.wants(1)) std::fill_n(planning.known<bool>(1, shape), shape.count(), true);
    return nullptr;
  }
};

class Flatten final : public Viewing {
 public:
  explicit Flatten(Making& making) : axis_(making.node().integer("axis", 1)) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Shape& shape = planning.input(0).shape;
    const int axis = axis_ == shape.rank() ? shape.rank() : axis_of(axis_, shape.rank());
    planning.alias(0, 0, {shape.count(0, axis), shape.count(axis, shape.rank())});
    return nullptr;
  }

 private:
  std::int64_t axis_;
};

class Reshape final : public Viewing {
 public:
  explicit Reshape(Making& making) : allow_zero_(making.node().integer("allowzero", 0) != 0) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<std::int64_t> wanted = planning.integers(1);
    Shape shape(wanted.begin(), wanted.end());
    int open = -1;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == 0 && !allow_zero_) {
        if (axis >= x.rank())
          throw Mismatch(x.text() + " has no size for axis " + std::to_string(axis) + " of " +
                         shape.text());
        shape[axis] = x.shape[axis];
      }
      if (shape[axis] < -1) throw Mismatch("a size below -1 in " + shape.text());
      if (shape[axis] >= 0) continue;
      if (open >= 0) throw Mismatch("two sizes of " + shape.text() + " are left open");
      open = axis;
    }
    if (open >= 0) {
      shape[open] = 1;
      const std::int64_t rest = shape.count();
      shape[open] = rest == 0 ? 0 : x.count() / rest;
    }
    planning.alias(0, 0, shape);
    return nullptr;
  }

 private:
  bool allow_zero_;
};

// Which axes of `rank` a list names.
std::vector<bool> chosen(const std::vector<std::int64_t>& axes, int rank) {
  std::vector<bool> out(static_cast<std::size_t>(rank));
  for (std::int64_t axis : axes) {
    const auto place = static_cast<std::size_t>(axis_of(axis, rank));
    if (out[place]) throw Mismatch("axis " + std::to_string(axis) + " is named twice");
    out[place] = true;
  }
  return out;
}

class Squeeze final : public Viewing {
 public:
  explicit Squeeze(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Shape& shape = planning.input(0).shape;
    std::vector<bool> goes(static_cast<std::size_t>(shape.rank()));
    if (planning.has(1)) {
      goes = chosen(planning.integers(1), shape.rank());
    } else {
      for (std::size_t i = 0; i < goes.size(); ++i) goes[i] = shape[static_cast<int>(i)] == 1;
    }
    Shape out;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (!goes[static_cast<std::size_t>(axis)]) {
        out.push(shape[axis]);
      } else if (shape[axis] != 1) {
        throw Mismatch("axis " + std::to_string(axis) + " of " + shape.text() +
                       " is not of size 1");
      }
    }
    planning.alias(0, 0, out);
    return nullptr;
  }
};

class Unsqueeze final : public Viewing {
 public:
  explicit Unsqueeze(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Shape& shape = planning.input(0).shape;
    const std::vector<std::int64_t> axes = planning.integers(1);
    const int rank = shape.rank() + static_cast<int>(axes.size());
    const std::vector<bool> comes = chosen(axes, rank);
    Shape out;
    int next = 0;
    for (bool added : comes) out.push(added ? 1 : shape[next++]);
    planning.alias(0, 0, out);
    return nullptr;
  }
};

class Transpose final : public Copying {
 public:
  explicit Transpose(Making& making)
      : reversed_(!making.node().has("perm")), order_(making.node().integers("perm")) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<std::int64_t> order = order_for(x);
    const std::vector<std::int64_t> strides = strides_of(x.shape);
    Shape shape;
    std::vector<std::int64_t> moved;
    std::int64_t last = -1;
    bool in_order = true;  // of all axes that are longer than 1
    for (std::int64_t axis : order) {
      const std::int64_t size = x.shape[static_cast<int>(axis)];
      shape.push(size);
      moved.push_back(strides[static_cast<std::size_t>(axis)]);
      if (size == 1) continue;
      in_order = in_order && axis > last;
      last = axis;
    }
    if (in_order) {
      planning.alias(0, 0, shape);
      return std::make_unique<PreparedCopy>();
    }
    planning.output(0, x.type, shape);
    return std::make_unique<PreparedCopy>(StridedCopy::dense(shape, moved));
  }

 private:
  std::vector<std::int64_t> order_for(const Tensor& x) const {
    std::vector<std::int64_t> order = order_;
    if (reversed_) {
      for (int axis = x.rank(); axis-- > 0;) order.push_back(axis);
    }
    if (static_cast<int>(order.size()) != x.rank()) {
      throw Mismatch("perm has " + std::to_string(order.size()) + " axes, the input is " +
                     x.text());
    }
    chosen(order, x.rank());
    for (std::int64_t& axis : order) axis = axis_of(axis, x.rank());
    return order;
  }

  bool reversed_;
  std::vector<std::int64_t> order_;
};

class Expand final : public Copying {
 public:
  explicit Expand(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<std::int64_t> wanted = planning.integers(1);
    const int rank = std::max(x.rank(), static_cast<int>(wanted.size()));
    const std::vector<std::int64_t> strides = strides_of(x.shape);
    Shape shape;
    std::vector<std::int64_t> repeated;
    for (int axis = 0; axis < rank; ++axis) {
      const int mine = axis - (rank - x.rank());
      const int other = axis - (rank - static_cast<int>(wanted.size()));
      const std::int64_t size = mine < 0 ? 1 : x.shape[mine];
      const std::int64_t asked = other < 0 ? 1 : wanted[static_cast<std::size_t>(other)];
      if (size != asked && size != 1 && asked != 1) {
        throw Mismatch(x.text() + " cannot be expanded to " +
                       Shape(wanted.begin(), wanted.end()).text());
      }
      shape.push(size == 1 ? asked : size);
      repeated.push_back(size == 1 ? 0 : strides[static_cast<std::size_t>(mine)]);
    }
    if (shape.count() == x.count()) {
      planning.alias(0, 0, shape);
      return std::make_unique<PreparedCopy>();
    }
    planning.output(0, x.type, shape);
    return std::make_unique<PreparedCopy>(StridedCopy::dense(shape, repeated));
  }
};

class Tile final : public Copying {
 public:
  explicit Tile(Making&) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<std::int64_t> times = planning.integers(1);
    if (static_cast<int>(times.size()) != x.rank()) {
      throw Mismatch(std::to_string(times.size()) + " repeats for " + x.text());
    }
    Shape shape;
    for (std::size_t i = 0; i < times.size(); ++i) {
      if (times[i] < 0) {
        throw Mismatch(x.text() + " repeated " + std::to_string(times[i]) + " times");
      }
      shape.push(product(x.shape[static_cast<int>(i)], times[i]));
    }
    planning.output(0, x.type, shape);
    const std::vector<std::int64_t> from = strides_of(x.shape), to = strides_of(shape);
    std::vector<Axis> axes;
    for (std::size_t i = 0; i < times.size(); ++i) {
      const std::int64_t size = x.shape[static_cast<int>(i)];
      axes.push_back({times[i], 0, to[i] * size});
      axes.push_back({size, from[i], to[i]});
    }
    return std::make_unique<PreparedCopy>(StridedCopy(axes, 0, 0));
  }
};

// [n, c, h, w] of a node that moves channels to or from blocks of b x b pixels.
struct Blocks {
  Blocks(const Tensor& x, std::int64_t block, bool to_space) : b(block) {
    if (x.rank() != 4 || b < 1) throw Mismatch(x.text() + " with blocks of " + std::to_string(b));
    n = x.shape[0], c = x.shape[1], h = x.shape[2], w = x.shape[3];
    const std::int64_t cells = product(b, b);
    if (to_space ? c % cells != 0 : h % b != 0 || w % b != 0) {
      throw Mismatch(x.text() + " does not divide into blocks of " + std::to_string(b));
    }
  }
  std::int64_t n, c, h, w, b;
};

class DepthToSpace final : public Copying {
 public:
  explicit DepthToSpace(Making& making)
      : block_(making.node().integer("blocksize", 0)),
        columns_last_(making.node().text("mode", "DCR") == "CRD") {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const auto [n, c, h, w, b] = Blocks(x, block_, true);
    const std::int64_t kept = c / (b * b), area = h * w;
    planning.output(0, x.type, {n, kept, product(h, b), product(w, b)});
    // Channels are (row of the block, column, channel), or (channel, row, column).
    const std::int64_t row = columns_last_ ? b * area : b * kept * area;
    const std::int64_t column = columns_last_ ? area : kept * area;
    const std::int64_t channel = columns_last_ ? b * b * area : area;
    return std::make_unique<PreparedCopy>(
        StridedCopy::dense({n, kept, h, b, w, b}, {c * area, channel, w, row, 1, column}));
  }

 private:
  std::int64_t block_;
  bool columns_last_;
};

class SpaceToDepth final : public Copying {
 public:
  explicit SpaceToDepth(Making& making)
      : block_(making.node().integer("blocksize", 0)),
        columns_last_(making.node().text("mode", "DCR") == "CRD") {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const auto [n, c, h, w, b] = Blocks(x, block_, false);
    const std::int64_t area = h * w;
    planning.output(0, x.type, {n, product(c, b * b), h / b, w / b});
    return std::make_unique<PreparedCopy>(
        columns_last_
            ? StridedCopy::dense({n, c, b, b, h / b, w / b}, {c * area, area, w, 1, b * w, b})
            : StridedCopy::dense({n, b, b, c, h / b, w / b}, {c * area, w, 1, area, b * w, b}));
  }

 private:
  std::int64_t block_;
  bool columns_last_;
};

}  // namespace

std::vector<Entry> shape_operators() {
  return {
      {"Identity", make<Identity>, {}, 1},
      {"Dropout", make<Dropout>, {"seed"}, 3},
      {"Flatten", make<Flatten>, {"axis"}, 1},
      {"Reshape", make<Reshape>, {"allowzero"}, 2},
      {"Squeeze", make<Squeeze>, {}, 2},
      {"Unsqueeze", make<Unsqueeze>, {}, 2},
      {"Transpose", make<Transpose>, {"perm"}, 1},
      {"Expand", make<Expand>, {}, 2},
      {"Tile", make<Tile>, {}, 2},
      {"DepthToSpace", make<DepthToSpace>, {"blocksize", "mode"}, 1},
      {"SpaceToDepth", make<SpaceToDepth>, {"blocksize", "mode"}, 1},
  };
}

}  // namespace laconic::engine
