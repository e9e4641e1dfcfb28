// Some of the items: Slice, Gather, GatherElements, GatherND, Trilu, NonZero, Compress.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "engine/operators/copying.h"
#include "engine/operators/indices.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// What is left of an axis, by Python's rules for what lies outside.
struct Cut {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;

  Cut(std::int64_t size, std::int64_t from, std::int64_t to, std::int64_t by) : step(by) {
    if (step == 0) throw Mismatch("Slice with a step of 0");
    const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? size : size - 1;
    start = std::clamp(from < 0 ? from + size : from, lowest, highest);
    const std::int64_t end = std::clamp(to < 0 ? to + size : to, lowest, highest);
    const std::int64_t room = step > 0 ? end - start : start - end;
    // A step beyond the axis is as good as one of its size (and -step cannot overflow).
    step = std::clamp(step, -size - 1, size + 1);
    const std::int64_t stride = step > 0 ? step : -step;
    count = room > 0 ? (room + stride - 1) / stride : 0;
  }
};

class Slice final : public Operator {
 public:
  explicit Slice(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const auto starts = planning.integers(1), ends = planning.integers(2);
    std::vector<std::int64_t> axes;
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
    std::vector<std::int64_t> steps(starts.size(), 1);
    if (planning.has(3)) axes = planning.integers(3);
    if (planning.has(4)) steps = planning.integers(4);
    if (ends.size() != starts.size() || axes.size() != starts.size() ||
        steps.size() != starts.size()) {
      throw Mismatch("starts, ends, axes and steps differ in length");
    }
    Shape shape = x.shape;
    std::vector<std::int64_t> strides = strides_of(x.shape);
    std::int64_t start = 0;
    bool whole = true;
    std::array<bool, MAX_RANK> cut_before{};
    for (std::size_t i = 0; i < starts.size(); ++i) {
      const int axis = axis_of(axes[i], x.rank());
      if (std::exchange(cut_before[static_cast<std::size_t>(axis)], true)) {
        throw Mismatch("axis " + std::to_string(axis) + " is named twice");
      }
      const Cut cut(x.shape[axis], starts[i], ends[i], steps[i]);
      std::int64_t& stride = strides[static_cast<std::size_t>(axis)];
      start += cut.start * stride;
      stride *= cut.step;
      shape[axis] = cut.count;
      whole = whole && cut.step == 1 && cut.count == x.shape[axis];
    }
    auto prepared = std::make_unique<PreparedSlice>();
    if (whole) {
      planning.alias(0, 0, shape);
      return prepared;
    }
    planning.output(0, x.type, shape);
    prepared->moves = true;
    prepared->copy = StridedCopy::dense(shape, strides, start);
    return prepared;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const auto& prepared = running.prepared<PreparedSlice>();
    if (!prepared.moves) return;
    prepared.copy.run(x.data, running.output(0).data, size_of(x.type), running.pool());
  }

 private:
  struct PreparedSlice : Prepared {
    bool moves = false;  // otherwise the output is the input's memory
    StridedCopy copy;
  };
};

class Gather final : public Operator {
 public:
  explicit Gather(Making& making) : axis_(making.node().integer("axis", 0)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const Shape& indices = planning.input(1).shape;
    const int axis = axis_of(axis_, x.rank());
    Shape shape(x.shape.begin(), x.shape.begin() + axis);
    for (std::int64_t size : indices) shape.push(size);
    for (int i = axis + 1; i < x.rank(); ++i) shape.push(x.shape[i]);
    planning.output(0, x.type, shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor &x = running.input(0), &indices = running.input(1), &out = running.output(0);
    const int axis = axis_of(axis_, x.rank());
    const std::int64_t size = x.shape[axis], inner = x.shape.count(axis + 1, x.rank());
    const std::int64_t chosen = indices.count();
    check_indices(indices, size);
    if (out.count() == 0) return;
    const std::int64_t pieces = x.shape.count(0, axis) * chosen;
    share(running.pool(), out.count(), pieces, [&](std::int64_t begin, std::int64_t end, int) {
      with_indices(indices, [&](const auto* places) {
        with_item(size_of(x.type), [&](auto item) {
          using T = decltype(item);
          const T* from = static_cast<const T*>(x.data);
          T* to = static_cast<T*>(out.data);
          for (std::int64_t piece = begin; piece < end; ++piece) {
            const std::int64_t place = counted_from_start(places[piece % chosen], size);
            const T* line = from + (piece / chosen * size + place) * inner;
            if (inner == 1) {
              to[piece] = *line;
            } else {
              std::memcpy(to + piece * inner, line, static_cast<std::size_t>(inner) * sizeof(T));
            }
          }
        });
      });
    });
  }

 private:
  std::int64_t axis_;
};

class GatherElements final : public Operator {
 public:
  explicit GatherElements(Making& making) : axis_(making.node().integer("axis", 0)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const Shape& indices = planning.input(1).shape;
    check_beside(x, indices, axis_of(axis_, x.rank()));
    planning.output(0, x.type, indices);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor &x = running.input(0), &indices = running.input(1), &out = running.output(0);
    const int axis = axis_of(axis_, x.rank());
    check_indices(indices, x.shape[axis]);
    if (out.count() == 0) return;
    const ElementPlaces places(x.shape, indices.shape, axis);
    share(running.pool(), out.count(), places.rows(),
          [&](std::int64_t begin, std::int64_t end, int) {
            with_indices(indices, [&](const auto* chosen) {
              with_item(size_of(x.type), [&](auto item) {
                using T = decltype(item);
                const T* from = static_cast<const T*>(x.data);
                T* to = static_cast<T*>(out.data);
                for (std::int64_t row = begin; row < end; ++row) {
                  places.each(row, chosen,
                              [&](std::int64_t i, std::int64_t place) { to[i] = from[place]; });
                }
              });
            });
          });
  }

 private:
  std::int64_t axis_;
};

class GatherND final : public Operator {
 public:
  explicit GatherND(Making& making)
      : batch_axes_(static_cast<int>(making.node().integer("batch_dims", 0))) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const Shape& indices = planning.input(1).shape;
    const TuplePlaces places(x.shape, indices, batch_axes_);
    Shape shape(indices.begin(), indices.end() - 1);
    for (int axis = places.end_axis(); axis < x.rank(); ++axis) shape.push(x.shape[axis]);
    planning.output(0, x.type, shape);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor &x = running.input(0), &indices = running.input(1), &out = running.output(0);
    const TuplePlaces places(x.shape, indices.shape, batch_axes_);
    const std::vector<std::int64_t> starts = places.starts(indices);
    if (out.count() == 0) return;
    const std::size_t piece = static_cast<std::size_t>(places.piece()) * size_of(x.type);
    const auto* from = static_cast<const std::byte*>(x.data);
    auto* to = static_cast<std::byte*>(out.data);
    for (std::size_t i = 0; i < starts.size(); ++i) {
      std::memcpy(to + i * piece, from + static_cast<std::size_t>(starts[i]) * size_of(x.type),
                  piece);
    }
  }

 private:
  int batch_axes_;
};

class Trilu final : public Operator {
 public:
  explicit Trilu(Making& making) : upper_(making.node().integer("upper", 1) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.rank() < 2) throw Mismatch("Trilu needs matrices, found " + x.text());
    if (planning.has(1) && (planning.input(1).type != DType::i64 || planning.input(1).count() != 1))
      throw Mismatch("Trilu takes one int64 as k, found " + planning.input(1).text());
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const std::int64_t height = x.shape[x.rank() - 2], width = x.shape[x.rank() - 1];
    const std::int64_t diagonal =
        running.has(1) ? std::clamp(*running.input(1).as<std::int64_t>(), -height, width) : 0;
    if (x.count() == 0) return;
    with_item(size_of(x.type), [&](auto item) {
      using T = decltype(item);
      const T* from = static_cast<const T*>(x.data);
      T* to = static_cast<T*>(running.output(0).data);
      for (std::int64_t row = 0; row < x.count() / width; ++row, from += width, to += width) {
        const std::int64_t place = row % height + diagonal;  // of the diagonal
        const std::int64_t first = std::clamp(upper_ ? place : 0, std::int64_t{0}, width);
        const std::int64_t last = upper_ ? width : std::clamp(place + 1, std::int64_t{0}, width);
        std::fill_n(to, first, T{0});
        if (to != from) std::copy(from + first, from + last, to + first);
        std::fill(to + last, to + width, T{0});
      }
    });
  }

 private:
  bool upper_;
};

// Its output's size depends on the values: all is done in the plan.
class NonZero final : public Operator {
 public:
  explicit NonZero(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.value(0);
    std::vector<std::int64_t> found;
    with_type(x.type, [&](auto item) {
      const auto* values = x.as<decltype(item)>();
      for (std::int64_t i = 0; i < x.count(); ++i) {
        if (values[i] != decltype(item){}) found.push_back(i);
      }
    });
    const std::vector<std::int64_t> strides = strides_of(x.shape);
    std::int64_t* out =
        planning.known<std::int64_t>(0, {x.rank(), static_cast<std::int64_t>(found.size())});
    for (int axis = 0; axis < x.rank(); ++axis) {
      for (std::int64_t place : found) {
        *out++ = place / strides[static_cast<std::size_t>(axis)] % x.shape[axis];
      }
    }
    return nullptr;
  }

  void run(const Running&) const override {}
};

class Compress final : public Operator {
 public:
  explicit Compress(Making& making)
      : flat_(!making.node().has("axis")), axis_(making.node().integer("axis", 0)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const Tensor& condition = planning.value(1);
    Shape shape = flat_ ? Shape{x.count()} : x.shape;
    const int axis = axis_of(axis_, shape.rank());
    if (condition.count() > shape[axis]) {
      throw Mismatch(condition.text() + " for the " + std::to_string(shape[axis]) +
                     " items along the axis");
    }
    std::vector<std::vector<std::int64_t>> places(static_cast<std::size_t>(shape.rank()));
    for (int other = 0; other < shape.rank(); ++other) {
      for (std::int64_t i = 0; x.count() > 0 && i < shape[other]; ++i) {
        const bool kept = other != axis || (i < condition.count() && condition.as<bool>()[i]);
        if (kept) places[static_cast<std::size_t>(other)].push_back(i);
      }
    }
    const Shape source = shape;
    shape[axis] = static_cast<std::int64_t>(places[static_cast<std::size_t>(axis)].size());
    planning.output(0, x.type, shape);
    return std::make_unique<Mapped>(MappedCopy(source, std::move(places)));
  }

  void run(const Running& running) const override {
    running.prepared<Mapped>().copy.run(running.input(0).data, running.output(0).data,
                                        size_of(running.input(0).type), running.pool());
  }

 private:
  struct Mapped : Prepared {
    explicit Mapped(MappedCopy work) : copy(std::move(work)) {}
    MappedCopy copy;
  };
  bool flat_;
  std::int64_t axis_;
};

}  // namespace

std::vector<Entry> indexing_operators() {
  return {
      {"Slice", make<Slice>, {}, 5},
      {"Gather", make<Gather>, {"axis"}, 2},
      {"GatherElements", make<GatherElements>, {"axis"}, 2},
      {"GatherND", make<GatherND>, {"batch_dims"}, 2},
      {"Trilu", make<Trilu>, {"upper"}, 2},
      {"NonZero", make<NonZero>, {}, 1},
      {"Compress", make<Compress>, {"axis"}, 2},
  };
}

}  // namespace laconic::engine
