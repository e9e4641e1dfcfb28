// GlobalMaxPool, GlobalAveragePool.
#include "engine/operators/copying.h"
#include "engine/operators/tables.h"
#include "kernels/rows.h"

namespace laconic::engine {

namespace {

// One value of each plane.
class GlobalPool : public Operator {
 public:
  std::unique_ptr<Prepared> plan(Planning& planning) const final {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32 && x.type != DType::f64) {
      throw Mismatch("a global pool needs floats, found " + x.text());
    }
    if (x.rank() < 2) throw Mismatch("a global pool needs channels, found " + x.text());
    Shape shape = x.shape;
    for (int axis = 2; axis < x.rank(); ++axis) shape[axis] = 1;
    if (x.shape.count(2, x.rank()) == 0) throw Mismatch("nothing to pool in " + x.text());
    planning.output(0, x.type, shape);
    return nullptr;
  }

  void run(const Running& running) const final {
    const Tensor& x = running.input(0);
    const std::int64_t area = x.shape.count(2, x.rank());
    share(running.pool(), x.count(), x.shape.count(0, 2),
          [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t plane = begin; plane < end; ++plane) {
              if (x.type == DType::f32) {
                const float* items = x.as<float>() + plane * area;
                running.output(0).as<float>()[plane] = of_floats(items, area);
              } else {
                const double* items = x.as<double>() + plane * area;
                running.output(0).as<double>()[plane] = of_doubles(items, area);
              }
            }
          });
  }

 protected:
  virtual float of_floats(const float* x, std::int64_t count) const = 0;
  virtual double of_doubles(const double* x, std::int64_t count) const = 0;
};

class GlobalAveragePool final : public GlobalPool {
 public:
  explicit GlobalAveragePool(Making&) {}

 protected:
  float of_floats(const float* x, std::int64_t count) const override {
    return static_cast<float>(kernels::rows().sum(x, count) / static_cast<double>(count));
  }
  double of_doubles(const double* x, std::int64_t count) const override {
    double total = 0;
    for (std::int64_t i = 0; i < count; ++i) total += x[i];
    return total / static_cast<double>(count);
  }
};

class GlobalMaxPool final : public GlobalPool {
 public:
  explicit GlobalMaxPool(Making&) {}

 protected:
  float of_floats(const float* x, std::int64_t count) const override {
    return kernels::rows().largest(x, count);
  }
  double of_doubles(const double* x, std::int64_t count) const override {
    double best = x[0];
    for (std::int64_t i = 1; i < count; ++i) best = best != best || best > x[i] ? best : x[i];
    return best;
  }
};

}  // namespace

std::vector<Entry> global_pooling_operators() {
  return {
      {"GlobalAveragePool", make<GlobalAveragePool>, {}, 1},
      {"GlobalMaxPool", make<GlobalMaxPool>, {}, 1},
  };
}

}  // namespace laconic::engine
