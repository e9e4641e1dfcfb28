// Arrays put together, taken apart and framed: Concat, Split, Pad.
#include <algorithm>

#include "engine/operators/copying.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// A copy for each input (Concat) or output (Split).
struct Parts : Prepared {
  std::vector<StridedCopy> copies;
};

class Concat final : public Operator {
 public:
  explicit Concat(Making& making) : axis_(making.node().integer("axis", 0)) {
    if (!making.node().has("axis")) throw Mismatch("Concat needs the attribute axis");
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& first = planning.input(0);
    const int axis = axis_of(axis_, first.rank());
    Shape shape = first.shape;
    shape[axis] = 0;
    for (int i = 0; i < planning.inputs(); ++i) {
      const Tensor& x = planning.input(i);
      if (!fits(x, first, axis)) {
        throw Mismatch(x.text() + " beside " + first.text() + " along axis " +
                       std::to_string(axis));
      }
      shape[axis] += x.shape[axis];
    }
    planning.output(0, first.type, shape);
    const std::int64_t inner = shape.count(axis + 1, shape.rank());
    auto parts = std::make_unique<Parts>();
    std::int64_t start = 0;
    for (int i = 0; i < planning.inputs(); ++i) {
      const std::int64_t run = planning.input(i).shape[axis] * inner;
      parts->copies.emplace_back(
          std::vector<Axis>{{shape.count(0, axis), run, shape[axis] * inner}, {run, 1, 1}}, 0,
          start);
      start += run;
    }
    return parts;
  }

  void run(const Running& running) const override {
    const auto& copies = running.prepared<Parts>().copies;
    const Tensor& out = running.output(0);
    for (int i = 0; i < running.inputs(); ++i) {
      copies[static_cast<std::size_t>(i)].run(running.input(i).data, out.data, size_of(out.type),
                                              running.pool());
    }
  }

 private:
  static bool fits(const Tensor& x, const Tensor& first, int axis) {
    if (x.type != first.type || x.rank() != first.rank()) return false;
    for (int i = 0; i < x.rank(); ++i) {
      if (i != axis && x.shape[i] != first.shape[i]) return false;
    }
    return true;
  }

  std::int64_t axis_;
};

class Split final : public Operator {
 public:
  explicit Split(Making& making)
      : axis_(making.node().integer("axis", 0)), parts_(making.node().integer("num_outputs", 0)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const int axis = axis_of(axis_, x.rank());
    const std::vector<std::int64_t> sizes = sizes_for(planning, x.shape[axis]);
    const std::int64_t outer = x.shape.count(0, axis);
    const std::int64_t inner = x.shape.count(axis + 1, x.rank());
    auto parts = std::make_unique<Parts>();
    std::int64_t start = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      Shape shape = x.shape;
      shape[axis] = sizes[i];
      if (planning.wants(static_cast<int>(i))) {
        planning.output(static_cast<int>(i), x.type, shape);
      }
      const std::int64_t run = sizes[i] * inner;
      parts->copies.emplace_back(
          std::vector<Axis>{{outer, x.shape[axis] * inner, run}, {run, 1, 1}}, start, 0);
      start += run;
    }
    return parts;
  }

  void run(const Running& running) const override {
    const auto& copies = running.prepared<Parts>().copies;
    const Tensor& x = running.input(0);
    for (int i = 0; i < running.outputs(); ++i) {
      if (!running.wants(i)) continue;
      copies[static_cast<std::size_t>(i)].run(x.data, running.output(i).data, size_of(x.type),
                                              running.pool());
    }
  }

 private:
  // The given ones, or equal ones of which the last may be smaller.
  std::vector<std::int64_t> sizes_for(const Planning& planning, std::int64_t size) const {
    if (planning.has(1)) {
      const std::vector<std::int64_t> given = planning.integers(1);
      std::int64_t total = 0;
      for (std::int64_t part : given) {
        if (part < 0 || part > size) throw Mismatch("a part of " + std::to_string(part) + " items");
        total += part;
      }
      if (total != size || static_cast<int>(given.size()) != planning.outputs()) {
        throw Mismatch(std::to_string(given.size()) + " parts of " + std::to_string(total) +
                       " in all, for " + std::to_string(planning.outputs()) + " outputs and " +
                       std::to_string(size) + " items");
      }
      return given;
    }
    const std::int64_t count = planning.outputs();
    if (parts_ != 0 && parts_ != count) {
      throw Mismatch("num_outputs is " + std::to_string(parts_) + ", the program wants " +
                     std::to_string(count));
    }
    const std::int64_t each = (size + count - 1) / count;
    std::vector<std::int64_t> sizes;
    for (std::int64_t i = 0; i < count; ++i) {
      sizes.push_back(std::max<std::int64_t>(0, std::min(each, size - i * each)));
    }
    return sizes;
  }

  std::int64_t axis_;
  std::int64_t parts_;
};

constexpr std::int64_t MOST_PAD = std::int64_t{1} << 48;

// Cells before and after one axis; negative ones cut away.
struct Margin {
  std::int64_t before = 0;
  std::int64_t after = 0;
};

class Pad final : public Operator {
 public:
  explicit Pad(Making& making) : mode_(making.node().text("mode", "constant")) {
    if (mode_ != "constant" && mode_ != "reflect" && mode_ != "edge" && mode_ != "wrap") {
      throw Unsupported("Pad with the mode " + mode_ +
                        ", which is none of constant, reflect, edge, wrap");
    }
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<Margin> margins = margins_for(planning, x.rank());
    Shape shape = x.shape;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const Margin& margin = margins[static_cast<std::size_t>(axis)];
      shape[axis] += margin.before + margin.after;
    }
    if (planning.has(2) && (planning.input(2).type != x.type || planning.input(2).count() != 1)) {
      throw Mismatch("Pad takes one item of " + std::string(name_of(x.type)) + " as value, found " +
                     planning.input(2).text());
    }
    planning.output(0, x.type, shape);
    if (mode_ == "constant") return framed(x.shape, shape, margins);
    std::vector<std::vector<std::int64_t>> places;
    for (int axis = 0; axis < x.rank() && shape.count() > 0; ++axis) {
      places.push_back(
          places_along(x.shape[axis], shape[axis], margins[static_cast<std::size_t>(axis)]));
    }
    return std::make_unique<Mapped>(MappedCopy(x.shape, std::move(places)));
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const Tensor& out = running.output(0);
    if (out.count() == 0) return;
    const std::size_t item = size_of(x.type);
    if (mode_ != "constant") {
      running.prepared<Mapped>().copy.run(x.data, out.data, item, running.pool());
      return;
    }
    const Framed& framed = running.prepared<Framed>();
    if (framed.has_frame) {
      static constexpr std::uint64_t ZERO = 0;
      const void* value = running.has(2) ? running.input(2).data : &ZERO;
      auto* cells = static_cast<std::byte*>(out.data);
      share(running.pool(), out.count(), out.count(),
            [&](std::int64_t begin, std::int64_t end, int) {
              fill(cells + static_cast<std::size_t>(begin) * item, value, item, end - begin);
            });
    }
    framed.copy.run(x.data, out.data, item, running.pool());
  }

 private:
  struct Framed : Prepared {
    StridedCopy copy;
    bool has_frame = false;
  };
  struct Mapped : Prepared {
    explicit Mapped(MappedCopy work) : copy(std::move(work)) {}
    MappedCopy copy;
  };

  static std::vector<Margin> margins_for(const Planning& planning, int rank) {
    const std::vector<std::int64_t> amounts = planning.integers(1);
    std::vector<std::int64_t> axes;
    if (planning.has(3)) {
      axes = planning.integers(3);
    } else {
      for (int axis = 0; axis < rank; ++axis) axes.push_back(axis);
    }
    if (amounts.size() != 2 * axes.size()) {
      throw Mismatch(std::to_string(amounts.size()) + " pads for " + std::to_string(axes.size()) +
                     " axes");
    }
    for (const std::int64_t amount : amounts) {
      if (amount < -MOST_PAD || amount > MOST_PAD) {
        throw Mismatch("a pad of " + std::to_string(amount));
      }
    }
    std::vector<Margin> margins(static_cast<std::size_t>(rank));
    for (std::size_t i = 0; i < axes.size(); ++i) {
      margins[static_cast<std::size_t>(axis_of(axes[i], rank))] = {amounts[i],
                                                                   amounts[i + axes.size()]};
    }
    return margins;
  }

  static std::unique_ptr<Prepared> framed(const Shape& from, const Shape& to,
                                          const std::vector<Margin>& margins) {
    const std::vector<std::int64_t> source = strides_of(from), target = strides_of(to);
    std::int64_t source_start = 0, target_start = 0;
    std::vector<Axis> axes;
    auto out = std::make_unique<Framed>();
    for (std::size_t i = 0; i < margins.size(); ++i) {
      const auto [before, after] = margins[i];
      const std::int64_t kept = from[static_cast<int>(i)] + std::min<std::int64_t>(before, 0) +
                                std::min<std::int64_t>(after, 0);
      source_start += std::max<std::int64_t>(-before, 0) * source[i];
      target_start += std::max<std::int64_t>(before, 0) * target[i];
      axes.push_back({std::max<std::int64_t>(kept, 0), source[i], target[i]});
      out->has_frame = out->has_frame || before > 0 || after > 0;
    }
    out->copy = StridedCopy(axes, source_start, target_start);
    return out;
  }

  // For each cell of the padded axis, the cell that it repeats.
  std::vector<std::int64_t> places_along(std::int64_t size, std::int64_t padded,
                                         const Margin& margin) const {
    // What is cut away cannot be reflected.
    const std::int64_t first = std::max<std::int64_t>(-margin.before, 0);
    const std::int64_t kept = size - first - std::max<std::int64_t>(-margin.after, 0);
    if (kept < 1 && padded > 0) {
      throw Mismatch("nothing is left of an axis of " + std::to_string(size) + " to pad with");
    }
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < padded; ++i) {
      places.push_back(first + folded(i - std::max<std::int64_t>(margin.before, 0), kept));
    }
    return places;
  }

  std::int64_t folded(std::int64_t place, std::int64_t size) const {
    if (mode_ == "edge" || size == 1) {
      return std::min(std::max<std::int64_t>(place, 0), size - 1);
    }
    const std::int64_t period = mode_ == "wrap" ? size : 2 * (size - 1);
    const std::int64_t rest = (place % period + period) % period;
    return rest < size ? rest : period - rest;
  }

  std::string mode_;
};

}  // namespace

std::vector<Entry> joining_operators() {
  return {
      {"Concat", make<Concat>, {"axis"}, -1},
      {"Split", make<Split>, {"axis", "num_outputs"}, 2},
      {"Pad", make<Pad>, {"mode"}, 4},
  };
}

}  // namespace laconic::engine
