// Resize: arrays with another number of items along their axes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "engine/operators/resample.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// Items along an axis, for each of which tables are kept.
constexpr std::int64_t MOST_SIZE = std::int64_t{1} << 26;

// An axis that changes, in the order of the array.
struct Pass {
  int axis = 0;
  Taps taps;
  std::vector<float> floats;  // the weights
};

struct PreparedResize : Prepared {
  bool moves = false;        // otherwise the output is the input's memory
  std::vector<Pass> passes;  // for linear and cubic
  std::unique_ptr<MappedCopy> nearest;
  std::vector<Taps> taps;  // of every axis
  bool extrapolates = false;
  Shape from, to;
  std::int64_t planes = 1;      // of axes before the first that changes
  std::int64_t most_items = 0;  // of a plane after any pass, and before the first
};

class Resize final : public Operator {
 public:
  explicit Resize(Making& making)
      : node_(making.node()),
        mode_(node_.text("mode", "nearest")),
        policy_(node_.text("keep_aspect_ratio_policy", "stretch")) {
    if (mode_ != "nearest" && mode_ != "linear" && mode_ != "cubic") {
      throw Unsupported("Resize with the mode " + mode_);
    }
    if (policy_ != "stretch" && policy_ != "not_larger" && policy_ != "not_smaller") {
      throw Unsupported("Resize with the keep_aspect_ratio_policy " + policy_);
    }
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const std::vector<Coordinates> coordinates = coordinates_for(planning);
    auto out = std::make_unique<PreparedResize>();
    out->from = out->to = x.shape;
    bool idle = true;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const Coordinates& along = coordinates[static_cast<std::size_t>(axis)];
      out->to[axis] = along.out_size;
      idle = idle && along.idle();
    }
    if (idle) {
      planning.alias(0, 0, x.shape);
      return out;
    }
    planning.output(0, x.type, out->to);
    for (const std::int64_t size : out->to) {
      if (size > MOST_SIZE) throw Unsupported("Resize to " + std::to_string(size) + " items");
    }
    out->moves = true;
    if (x.count() == 0 && out->to.count() > 0) throw Mismatch(x.text() + " has nothing to repeat");
    if (out->to.count() == 0) return out;
    prepare(*out, coordinates);
    if (out->nearest == nullptr) {
      const std::size_t real = x.type == DType::f32 ? sizeof(float) : sizeof(double);
      planning.scratch(desk_bytes(*out, real) * static_cast<std::size_t>(planning.threads()));
    }
    return out;
  }

  void run(const Running& running) const override {
    const auto& prepared = running.prepared<PreparedResize>();
    const Tensor &x = running.input(0), &y = running.output(0);
    if (!prepared.moves || y.count() == 0) return;
    if (prepared.nearest != nullptr) {
      prepared.nearest->run(x.data, y.data, size_of(x.type), running.pool());
    } else {
      with_type(x.type, [&](auto item) { interpolate<decltype(item)>(running, prepared); });
    }
    if (prepared.extrapolates) extrapolate(prepared, y);
  }

 private:
  // Of every axis of the input, with its scale and sizes.
  std::vector<Coordinates> coordinates_for(const Planning& planning) const {
    const Shape& shape = planning.input(0).shape;
    std::vector<Coordinates> out(static_cast<std::size_t>(shape.rank()), Coordinates(node_));
    for (int axis = 0; axis < shape.rank(); ++axis) {
      Coordinates& along = out[static_cast<std::size_t>(axis)];
      along.size = along.out_size = shape[axis];
    }
    std::vector<Coordinates*> chosen;
    if (node_.has("axes")) {
      for (std::int64_t axis : node_.integers("axes")) {
        chosen.push_back(&out[static_cast<std::size_t>(axis_of(axis, shape.rank()))]);
      }
    } else {
      for (Coordinates& along : out) chosen.push_back(&along);
    }
    if (planning.has(3) && planning.input(3).count() > 0) {
      take_sizes(planning.integers(3), chosen);
    } else {
      if (!planning.has(2)) throw Mismatch("Resize has neither scales nor sizes");
      take_scales(planning.reals(2), chosen);
    }
    if (out.empty() || !out[0].crops()) return out;
    const std::vector<double> region = planning.reals(1);
    check_count("roi", region.size(), 2 * chosen.size());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      chosen[i]->start = static_cast<float>(region[i]);
      chosen[i]->end = static_cast<float>(region[i + chosen.size()]);
    }
    return out;
  }

  static void check_count(const char* what, std::size_t found, std::size_t axes) {
    if (found == axes) return;
    throw Mismatch(std::string("Resize has ") + std::to_string(found) + " " + what + ", not " +
                   std::to_string(axes));
  }

  void take_sizes(const std::vector<std::int64_t>& sizes,
                  const std::vector<Coordinates*>& chosen) const {
    check_count("sizes", sizes.size(), chosen.size());
    float least = std::numeric_limits<float>::infinity(), most = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      Coordinates& along = *chosen[i];
      along.out_size = sizes[i];
      along.scale = static_cast<float>(sizes[i]) / static_cast<float>(along.size);
      least = std::min(least, along.scale);
      most = std::max(most, along.scale);
    }
    if (policy_ == "stretch") return;
    for (Coordinates* along : chosen) {
      along->scale = policy_ == "not_larger" ? least : most;
      const float size = std::floor(along->scale * static_cast<float>(along->size) + 0.5f);
      if (!(size >= 0 && size < 1e9f)) throw Mismatch("a size of " + std::to_string(size));
      along->out_size = static_cast<std::int64_t>(size);
    }
  }

  static void take_scales(const std::vector<double>& scales,
                          const std::vector<Coordinates*>& chosen) {
    check_count("scales", scales.size(), chosen.size());
    for (std::size_t i = 0; i < scales.size(); ++i) {
      Coordinates& along = *chosen[i];
      along.scale = static_cast<float>(scales[i]);
      const float size = std::floor(along.scale * static_cast<float>(along.size));
      if (!(along.scale > 0 && size < 1e9f)) {
        throw Mismatch("a scale of " + std::to_string(scales[i]));
      }
      along.out_size = static_cast<std::int64_t>(size);
    }
  }

  void prepare(PreparedResize& out, const std::vector<Coordinates>& coordinates) const {
    int first = -1;
    for (int axis = 0; axis < out.from.rank(); ++axis) {
      const Coordinates& along = coordinates[static_cast<std::size_t>(axis)];
      Taps taps = along.idle()         ? idle_taps(along.size)
                  : mode_ == "nearest" ? nearest_taps(node_, along)
                  : mode_ == "linear"  ? linear_taps(node_, along)
                                       : cubic_taps(node_, along);
      out.extrapolates =
          out.extrapolates || std::count(taps.outside.begin(), taps.outside.end(), true) > 0;
      if (!along.idle() && mode_ != "nearest") {
        if (first < 0) first = axis;
        out.passes.push_back({axis, taps, {taps.weights.begin(), taps.weights.end()}});
      }
      out.taps.push_back(std::move(taps));
    }
    if (mode_ == "nearest") {
      std::vector<std::vector<std::int64_t>> places;
      for (const Taps& taps : out.taps) places.push_back(taps.places);
      out.nearest = std::make_unique<MappedCopy>(out.from, std::move(places));
      return;
    }
    out.planes = out.from.count(0, first);
    Shape shape = out.from;
    out.most_items = shape.count(first, shape.rank());
    for (const Pass& pass : out.passes) {
      shape[pass.axis] = pass.taps.out_size;
      out.most_items = std::max(out.most_items, shape.count(first, shape.rank()));
    }
  }

  // Two planes, between which the passes go back and forth.
  static std::size_t desk_bytes(const PreparedResize& prepared, std::size_t real) {
    return 2 * (static_cast<std::size_t>(prepared.most_items) * real + 63) / 64 * 64;
  }

  template <typename T>
  static void interpolate(const Running& running, const PreparedResize& prepared) {
    using Real = std::conditional_t<std::is_same_v<T, float>, float, double>;
    const int first = prepared.passes.front().axis, rank = prepared.from.rank();
    const std::int64_t in_items = prepared.from.count(first, rank);
    const std::int64_t out_items = prepared.to.count(first, rank);
    const T* x = running.input(0).as<T>();
    T* y = running.output(0).as<T>();
    share(running.pool(), prepared.to.count(), prepared.planes,
          [&](std::int64_t begin, std::int64_t end, int worker) {
            Real* desk =
                reinterpret_cast<Real*>(running.scratch() + static_cast<std::size_t>(worker) *
                                                                desk_bytes(prepared, sizeof(Real)));
            for (std::int64_t plane = begin; plane < end; ++plane) {
              interpolate_plane<T, Real>(prepared, x + plane * in_items, y + plane * out_items,
                                         desk);
            }
          });
  }

  template <typename T, typename Real>
  static void interpolate_plane(const PreparedResize& prepared, const T* x, T* y, Real* desk) {
    const int first = prepared.passes.front().axis, rank = prepared.from.rank();
    const Real* from = nullptr;
    Real* free = desk;
    if constexpr (std::is_same_v<T, Real>) {
      from = x;
    } else {
      std::copy_n(x, prepared.from.count(first, rank), desk);
      from = desk;
      free = desk + prepared.most_items;
    }
    Shape shape = prepared.from;
    for (std::size_t i = 0; i < prepared.passes.size(); ++i) {
      const Pass& pass = prepared.passes[i];
      Real* to = free;
      if constexpr (std::is_same_v<T, Real>) {
        if (i + 1 == prepared.passes.size()) to = y;
      }
      const std::int64_t outer = shape.count(first, pass.axis);
      const std::int64_t inner = shape.count(pass.axis + 1, rank);
      if constexpr (std::is_same_v<Real, float>) {
        resample<float>(from, to, pass.taps, pass.floats, outer, inner);
      } else {
        resample<double>(from, to, pass.taps, pass.taps.weights, outer, inner);
      }
      shape[pass.axis] = pass.taps.out_size;
      free = to == desk ? desk + prepared.most_items : desk;
      from = to;
    }
    if constexpr (!std::is_same_v<T, Real>) {
      for (std::int64_t i = 0; i < shape.count(first, rank); ++i) y[i] = fitted<T>(from[i]);
    }
  }

  // An integer is cut, and held within its type.
  template <typename T>
  static T fitted(double value) {
    if constexpr (std::is_integral_v<T>) {
      // As doubles, so that the bounds of 64 bits stay within them.
      const double low = static_cast<double>(std::numeric_limits<T>::min());
      const double high = static_cast<double>(std::numeric_limits<T>::max());
      if (!(value > low)) return std::numeric_limits<T>::min();
      if (value >= high) return std::numeric_limits<T>::max();
    }
    return static_cast<T>(value);
  }

  void extrapolate(const PreparedResize& prepared, const Tensor& y) const {
    const double value = node_.real("extrapolation_value", 0);
    with_type(y.type, [&](auto item) {
      using T = decltype(item);
      T* items = y.as<T>();
      for (int axis = 0; axis < y.rank(); ++axis) {
        const Taps& taps = prepared.taps[static_cast<std::size_t>(axis)];
        const std::int64_t inner = y.shape.count(axis + 1, y.rank());
        for (std::int64_t row = 0; row < y.shape.count(0, axis + 1); ++row) {
          if (taps.outside[static_cast<std::size_t>(row % taps.out_size)]) {
            std::fill_n(items + row * inner, inner, fitted<T>(value));
          }
        }
      }
    });
  }

  const Node& node_;
  std::string mode_;
  std::string policy_;
};

}  // namespace

std::vector<Entry> resize_operators() {
  return {
      {"Resize",
       make<Resize>,
       {"antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
        "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"},
       4}};
}

}  // namespace laconic::engine
