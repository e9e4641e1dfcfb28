#include "engine/operators/codes.h"

#include <algorithm>
#include <cmath>

namespace laconic::engine {

void check_codes(const Tensor& tensor) {
  if (tensor.type != DType::u8 && tensor.type != DType::i8) {
    throw Mismatch("uint8 or int8 is needed, found " + tensor.text());
  }
}

void check_scale(const Tensor& scale, std::int64_t count) {
  if (scale.type != DType::f32 || (scale.count() != 1 && scale.count() != count)) {
    throw Mismatch("a scale of " + scale.text() + " for " + std::to_string(count));
  }
}

void check_zeros(const Planning& planning, int input, DType type, std::int64_t count) {
  if (!planning.has(input)) return;
  const Tensor& zeros = planning.input(input);
  if (zeros.type != type || (zeros.count() != 1 && zeros.count() != count)) {
    throw Mismatch("zero points of " + zeros.text() + " for " + std::to_string(count) + " of " +
                   name_of(type));
  }
}

Codes codes_of(const Tensor& tensor) {
  return {static_cast<const std::uint8_t*>(tensor.data),
          static_cast<std::uint8_t>(tensor.type == DType::i8 ? 128 : 0)};
}

std::int32_t unsigned_zero(DType type, std::int32_t zero) {
  return type == DType::i8 ? zero + 128 : zero;
}

std::vector<std::int8_t> signed_codes(const Tensor& tensor) {
  const std::int32_t shift = tensor.type == DType::u8 ? 128 : 0;
  std::vector<std::int8_t> out(static_cast<std::size_t>(tensor.count()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int32_t item =
        shift != 0 ? tensor.as<std::uint8_t>()[i] : tensor.as<std::int8_t>()[i];
    out[i] = static_cast<std::int8_t>(item - shift);
  }
  return out;
}

namespace {

std::int32_t item_at(const Tensor& tensor, std::int64_t index) {
  if (tensor.type == DType::u8) return tensor.as<std::uint8_t>()[index];
  if (tensor.type == DType::i8) return tensor.as<std::int8_t>()[index];
  return tensor.as<std::int32_t>()[index];
}

float scale_at(const Tensor& scale, std::int64_t index) {
  return scale.as<float>()[scale.count() == 1 ? 0 : index];
}

}  // namespace

std::vector<std::int32_t> signed_zeros(DType type, const Tensor* zeros, std::int64_t outputs) {
  const std::int32_t shift = type == DType::u8 ? 128 : 0;
  if (zeros != nullptr) check_codes(*zeros);
  if (zeros != nullptr && zeros->count() != 1 && zeros->count() != outputs) {
    throw Mismatch("zero points of " + zeros->text() + " for " + std::to_string(outputs) +
                   " outputs");
  }
  std::vector<std::int32_t> out(static_cast<std::size_t>(outputs), -shift);
  for (std::int64_t o = 0; zeros != nullptr && o < outputs; ++o) {
    out[static_cast<std::size_t>(o)] += item_at(*zeros, zeros->count() == 1 ? 0 : o);
  }
  return out;
}

std::int32_t integer_at(const Running& running, int input, std::int64_t index) {
  if (!running.has(input)) return 0;
  const Tensor& tensor = running.input(input);
  return item_at(tensor, tensor.count() == 1 ? 0 : index);
}

double Requantize::scale(std::int64_t row, std::int64_t output) const {
  const double x = scale_at(x_scale_, row), weight = scale_at(weight_scale_, output);
  return x * weight / scale_at(y_scale_, 0);
}

void Requantize::store(std::int32_t sum, double scale, const Tensor& y, std::int64_t place) const {
  const bool is_unsigned = y.type == DType::u8;
  const double low = is_unsigned ? 0 : -128, high = is_unsigned ? 255 : 127;
  const double code = std::nearbyint(sum * scale) + zero_;
  const double kept = std::min(high, std::max(low, code));
  if (is_unsigned) {
    y.as<std::uint8_t>()[place] = static_cast<std::uint8_t>(kept);
  } else {
    y.as<std::int8_t>()[place] = static_cast<std::int8_t>(kept);
  }
}

}  // namespace laconic::engine
