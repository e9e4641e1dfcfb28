// 8-bit integers, signed or not, as the kernels want them, and sums of their products as 8-bit
// integers again.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/operator.h"

namespace laconic::engine {

// Items whose bits, those of `flip` changed, are an unsigned byte.
struct Codes {
  const std::uint8_t* bytes;
  std::uint8_t flip;
};

// Mismatch unless the tensor is of uint8 or int8.
void check_codes(const Tensor& tensor);
// Mismatch unless it holds float32, one number or `count` of them.
void check_scale(const Tensor& scale, std::int64_t count);

Codes codes_of(const Tensor& tensor);
// A zero point of that type, as the unsigned bytes of `codes_of` have it.
std::int32_t unsigned_zero(DType type, std::int32_t zero);
// The items less 128 where they are unsigned, and zero points for them: one for all (0 where there
// is no tensor) or one for each output.
std::vector<std::int8_t> signed_codes(const Tensor& tensor);
std::vector<std::int32_t> signed_zeros(DType type, const Tensor* zeros, std::int64_t outputs);
// Mismatch unless the input is absent or holds zero points of that type: one, or `count` of them.
void check_zeros(const Planning& planning, int input, DType type, std::int64_t count);
// a + b of 32 bits; what does not fit wraps around.
inline std::int32_t wrapped_sum(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}
// Item `index` of an input of integers, its only item where it has one; 0 where it is absent.
std::int32_t integer_at(const Running& running, int input, std::int64_t index);

// y = round(sum * x_scale * weight_scale / y_scale) + zero point, ties to even, saturated.
class Requantize {
 public:
  Requantize(const Tensor& x_scale, const Tensor& weight_scale, const Tensor& y_scale,
             std::int32_t zero)
      : x_scale_(x_scale), weight_scale_(weight_scale), y_scale_(y_scale), zero_(zero) {}
  // Of a row of x and an output.
  double scale(std::int64_t row, std::int64_t output) const;
  // Item `place` of y, of uint8 or int8.
  void store(std::int32_t sum, double scale, const Tensor& y, std::int64_t place) const;

 private:
  const Tensor &x_scale_, &weight_scale_, &y_scale_;
  std::int32_t zero_;
};

}  // namespace laconic::engine
