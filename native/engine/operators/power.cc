// Pow: the exponent may be of another type than the base, whose type the output has.
#include <cmath>

#include "engine/operators/cast.h"
#include "engine/operators/elementwise.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

// base^exponent of integers, wrapping around; a negative exponent rounds towards zero.
template <typename T>
T integer_power(T base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 1) return 1;
    if (base == static_cast<T>(-1)) return exponent % 2 == 0 ? static_cast<T>(1) : base;
    return 0;
  }
  std::uint64_t product = 1;
  for (auto square = static_cast<std::uint64_t>(base); exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) product *= square;
    square *= square;
  }
  return static_cast<T>(product);
}

class Power final : public Operator {
 public:
  explicit Power(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& base = planning.input(0);
    const Tensor& exponent = planning.input(1);
    if (base.type == DType::boolean || exponent.type == DType::boolean) {
      throw Mismatch("Pow takes numbers, found " + base.text() + " and " + exponent.text());
    }
    planning.scratch(static_cast<std::size_t>(exponent.count()) * sizeof(double));
    return plan_pair(planning, base.type);
  }

  void run(const Running& running) const override {
    const Tensor& base = running.input(0);
    const Tensor& exponent = running.input(1);
    if (base.type == DType::f32 && exponent.type == DType::f32 && exponent.count() == 1 &&
        simple(running, *exponent.as<float>())) {
      return;
    }
    with_type(base.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (IS_NUMBER<T>) {
        if (std::is_same_v<T, float> && exponent.type == DType::f32) {
          combine<T>(running, exponent.as<float>());
        } else if (IS_INTEGER<T> && exponent.type != DType::f32 && exponent.type != DType::f64) {
          combine<T>(running, widened<std::int64_t>(exponent, running.scratch()));
        } else {
          combine<T>(running, widened<double>(exponent, running.scratch()));
        }
      }
    });
  }

 private:
  // Powers that are an operation or two; false for the others.
  static bool simple(const Running& running, float exponent) {
    const float* x = running.input(0).as<float>();
    float* y = running.output(0).as<float>();
    const auto& kernel = kernels::elementwise();
    if (exponent != 2 && exponent != 3 && exponent != 0.5f && exponent != -1) return false;
    const auto& shapes = running.prepared<Operands>().shapes;
    split_items(running.pool(), shapes.count(), 1, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t count = end - begin;
      if (exponent == 0.5f) {
        kernel.square_root(x + begin, y + begin, count, 0, 0);
      } else if (exponent == -1) {
        kernel.reciprocal(x + begin, y + begin, count, 0, 0);
      } else if (exponent == 2) {
        kernel.square(x + begin, y + begin, count, 0, 0);
      } else {
        kernel.cube(x + begin, y + begin, count, 0, 0);
      }
    });
    return true;
  }

  // The exponents as Wide, which they fit in.
  template <typename Wide>
  static const Wide* widened(const Tensor& exponent, std::byte* scratch) {
    Wide* out = reinterpret_cast<Wide*>(scratch);
    with_type(exponent.type, [&](auto item) {
      const auto* from = exponent.as<decltype(item)>();
      for (std::int64_t i = 0; i < exponent.count(); ++i) out[i] = static_cast<Wide>(from[i]);
    });
    return out;
  }

  template <typename T, typename E>
  static void combine(const Running& running, const E* exponent) {
    combine_items(running.pool(), running.prepared<Operands>().shapes, running.input(0).as<T>(),
                  exponent, running.output(0).as<T>(), power<T, E>);
  }

  template <typename T, typename E>
  static T power(T base, E exponent) {
    if constexpr (IS_INTEGER<T> && IS_INTEGER<E>) {
      return integer_power(base, static_cast<std::int64_t>(exponent));
    } else if constexpr (std::is_same_v<T, float> && std::is_same_v<E, float>) {
      return std::pow(base, exponent);
    } else {
      return converted<T>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
  }
};

}  // namespace

std::vector<Entry> power_operators() { return {{"Pow", make<Power>, {}, 2}}; }

}  // namespace laconic::engine
