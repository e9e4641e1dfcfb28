// MaxPool and AveragePool over any number of spatial axes.
#include <array>
#include <type_traits>

#include "engine/operators/pool_rows.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// Of all windows along one axis: each is looked at while planning.
constexpr std::int64_t MOST_CELLS = std::int64_t{1} << 28;

class WindowPool : public Operator {
 public:
  explicit WindowPool(Making& making)
      : node_(making.node()), count_pads_(node_.integer("count_include_pad", 0) != 0) {}

 protected:
  // Declares the output, and gives what all pools prepare.
  std::unique_ptr<PoolPlan> prepare(Planning& planning) const {
    const Tensor& x = planning.input(0);
    if (x.rank() < 3) throw Mismatch("a pool needs [images, channels, sizes], found " + x.text());
    const std::vector<std::int64_t> sizes(x.shape.begin() + 2, x.shape.end());
    const auto axes = windows_of(node_, sizes, by_axis(node_, "kernel_shape", sizes.size(), 1, 1));
    for (const WindowAxis& axis : axes) {
      if (axis.count > MOST_CELLS / axis.kernel) {
        throw Unsupported(std::to_string(axis.count) + " windows of " +
                          std::to_string(axis.kernel) + " along an axis");
      }
    }
    auto out = std::make_unique<PoolPlan>(axes, x.shape.count(0, 2), count_pads_);
    Shape shape{x.shape[0], x.shape[1]};
    for (const WindowAxis& axis : axes) shape.push(axis.count);
    planning.output(0, x.type, shape);
    planning.scratch(out->desk_bytes(size_of(x.type)) *
                     static_cast<std::size_t>(planning.threads()));
    return out;
  }

  template <typename T, bool mean>
  static void run_all(const Running& running) {
    running.prepared<PoolPlan>().run<T, mean>(running.input(0).as<T>(), running.output(0).as<T>(),
                                              running.scratch(), running.pool());
  }

  const Node& node_;
  const bool count_pads_;
};

// The largest item of each window and its place in the flattened input; the first of equal ones. A
// NaN is larger than any number.
template <typename T>
class Champions {
 public:
  Champions(const PoolPlan& pool, bool columns_first) : pool_(pool) {
    for (std::size_t i = 0; i < pool.axes.size(); ++i) {
      std::int64_t stride = columns_first ? 1 : pool.row_strides[i];
      for (std::size_t j = 0; columns_first && j < i; ++j) stride *= pool.axes[j].size;
      place_strides_.push_back(stride);
    }
  }

  void find(const T* plane, std::int64_t window) {
    best = LOWEST<T>;
    place = -1;
    std::array<const Span*, MAX_RANK> spans;
    for (std::size_t i = pool_.axes.size(); i-- > 0;) {
      spans[i] = &pool_.spans[i][static_cast<std::size_t>(window % pool_.axes[i].count)];
      window /= pool_.axes[i].count;
    }
    look(plane, spans.data(), 0, 0);
  }

  T best = LOWEST<T>;
  std::int64_t place = -1;

 private:
  void look(const T* from, const Span* const* spans, std::size_t axis, std::int64_t at) {
    if (axis == pool_.axes.size()) {
      const bool larger = *from > best || (*from != *from && best == best);
      if (place >= 0 && !larger) return;
      best = *from;
      place = at;
      return;
    }
    for (std::int64_t k = 0; k < spans[axis]->count; ++k) {
      const std::int64_t cell = spans[axis]->first + k * pool_.axes[axis].dilation;
      look(from + cell * pool_.row_strides[axis], spans, axis + 1,
           at + cell * place_strides_[axis]);
    }
  }

  const PoolPlan& pool_;
  std::vector<std::int64_t> place_strides_;
};

class MaxPool final : public WindowPool {
 public:
  explicit MaxPool(Making& making)
      : WindowPool(making), columns_first_(making.node().integer("storage_order", 0) != 0) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    if (planning.input(0).type == DType::boolean) throw Mismatch("MaxPool needs numbers");
    auto prepared = prepare(planning);
    if (planning.wants(1)) {
      Shape shape{planning.input(0).shape[0], planning.input(0).shape[1]};
      for (const WindowAxis& axis : prepared->axes) shape.push(axis.count);
      planning.output(1, DType::i64, shape);
    }
    return prepared;
  }

  void run(const Running& running) const override {
    with_type(running.input(0).type, [&](auto item) {
      using T = decltype(item);
      if constexpr (!std::is_same_v<T, bool>) {
        if (running.wants(1)) {
          run_with_places<T>(running);
        } else {
          run_all<T, false>(running);
        }
      }
    });
  }

 private:
  template <typename T>
  void run_with_places(const Running& running) const {
    const auto& pool = running.prepared<PoolPlan>();
    const std::int64_t windows = pool.rows * pool.axes.back().count;
    const T* x = running.input(0).as<T>();
    T* y = running.output(0).as<T>();
    auto* places = running.output(1).as<std::int64_t>();
    share(running.pool(), pool.planes * pool.area, pool.planes,
          [&](std::int64_t begin, std::int64_t end, int) {
            Champions<T> champions(pool, columns_first_);
            for (std::int64_t i = begin * windows; i < end * windows; ++i) {
              const std::int64_t plane = i / windows;
              champions.find(x + plane * pool.area, i % windows);
              y[i] = champions.best;
              places[i] = champions.place + plane * pool.area;
            }
          });
  }

  bool columns_first_;
};

class AveragePool final : public WindowPool {
 public:
  explicit AveragePool(Making& making) : WindowPool(making) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch("AveragePool needs floats, found " + x.text());
    }
    return prepare(planning);
  }

  void run(const Running& running) const override {
    if (running.input(0).type == DType::f32) {
      run_all<float, true>(running);
    } else {
      run_all<double, true>(running);
    }
  }
};

}  // namespace

std::vector<Entry> pooling_operators() {
  return {
      {"MaxPool",
       make<MaxPool>,
       {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"},
       1},
      {"AveragePool",
       make<AveragePool>,
       {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads",
        "strides"},
       1},
  };
}

}  // namespace laconic::engine
