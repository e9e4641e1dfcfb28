// Mean and deviation of lines of reals; float32 lines without gaps go through kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "engine/operator.h"
#include "engine/tensor.h"
#include "kernels/rows.h"

namespace laconic::engine {

// Mismatch unless x is float32 or float64.
inline void require_reals(const std::string& operation, const Tensor& x) {
  if (x.type == DType::f32 || x.type == DType::f64) return;
  throw Mismatch(operation + " takes float32 or float64, found " + x.text());
}

// Calls function(T{}) with the C++ type of an array of reals.
template <typename Function>
void with_real_type(DType type, Function&& function) {
  type == DType::f32 ? function(float{}) : function(double{});
}

// An item of an array of reals.
inline double real_at(const Tensor& x, std::int64_t place) {
  return x.type == DType::f32 ? static_cast<double>(x.as<float>()[place]) : x.as<double>()[place];
}

// Sum of the items x[0], x[stride], ...
template <typename T>
double sum_of(const T* x, std::int64_t count, std::int64_t stride) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (stride == 1) return kernels::rows().sum(x, count);
  }
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += static_cast<double>(x[i * stride]);
  return total;
}

// Sum of their squared distances from a centre.
template <typename T>
double spread_of(const T* x, std::int64_t count, std::int64_t stride, double centre) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (stride == 1) return kernels::rows().sum_square_about(x, count, static_cast<T>(centre));
  }
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double distance = static_cast<double>(x[i * stride]) - centre;
    total += distance * distance;
  }
  return total;
}

struct Moments {
  double mean;
  double inverse;  // 1 / sqrt(variance + epsilon)
};

template <typename T>
Moments moments_of(const T* x, std::int64_t count, double epsilon) {
  const auto items = static_cast<double>(count);
  const double mean = sum_of(x, count, 1) / items;
  return {mean, 1 / std::sqrt(spread_of(x, count, 1, mean) / items + epsilon)};
}

// y = (x - mean) factor + shift.
template <typename T>
void centre(const T* x, T* y, std::int64_t count, std::int64_t stride, double mean, double factor,
            double shift) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (stride == 1) {
      kernels::rows().centre(x, y, count, static_cast<T>(mean), static_cast<T>(factor),
                             static_cast<T>(shift));
      return;
    }
  }
  for (std::int64_t i = 0; i < count * stride; i += stride) {
    y[i] = static_cast<T>((static_cast<double>(x[i]) - mean) * factor + shift);
  }
}

// y = (x - mean) factor scale + bias, a scale and a bias for each item; either may be null.
template <typename T>
void standardise(const T* x, T* y, std::int64_t count, double mean, double factor, const T* scale,
                 const T* bias) {
  if constexpr (sizeof(T) == sizeof(float)) {
    kernels::rows().standardise(x, y, count, static_cast<T>(mean), static_cast<T>(factor), scale,
                                bias);
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = (x[i] - mean) * factor * (scale == nullptr ? 1 : scale[i]);
      y[i] = value + (bias == nullptr ? 0 : bias[i]);
    }
  }
}

}  // namespace laconic::engine
