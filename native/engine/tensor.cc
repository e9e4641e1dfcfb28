#include "engine/tensor.h"

#include <algorithm>
#include <new>

namespace laconic::engine {

namespace {

constexpr std::size_t ALIGNMENT = 64;
constexpr std::int64_t MOST_ITEMS = std::int64_t{1} << 48;

}  // namespace

std::size_t size_of(DType type) {
  std::size_t bytes = 0;
  with_type(type, [&](auto item) { bytes = sizeof(item); });
  return bytes;
}

const char* name_of(DType type) {
  switch (type) {
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
    case DType::u8:
      return "uint8";
    case DType::i8:
      return "int8";
    case DType::u16:
      return "uint16";
    case DType::i16:
      return "int16";
    case DType::u32:
      return "uint32";
    case DType::i32:
      return "int32";
    case DType::u64:
      return "uint64";
    case DType::i64:
      return "int64";
    case DType::boolean:
      return "bool";
  }
  return "?";
}

DType dtype_of(std::int64_t onnx_number, const std::string& what) {
  switch (onnx_number) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 9:
    case 11:
    case 12:
    case 13:
      return static_cast<DType>(onnx_number);
    default:
      throw Unsupported(what + " has the ONNX type " + std::to_string(onnx_number) +
                        ", in which the engine cannot compute");
  }
}

std::int64_t product(std::int64_t a, std::int64_t b) {
  if (a > 0 && b > MOST_ITEMS / a) {
    throw Mismatch(std::to_string(a) + " times " + std::to_string(b) + " items");
  }
  return a * b;
}

std::int64_t Shape::count(int from, int to) const {
  std::int64_t product = 1;
  bool empty = false;
  for (int axis = from; axis < to; ++axis) {
    const std::int64_t size = (*this)[axis];
    empty = empty || size == 0;
    if (size > 0 && product > MOST_ITEMS / size) throw Mismatch("an array of " + text() + " items");
    product *= size > 0 ? size : 1;
  }
  return empty ? 0 : product;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::string Shape::text() const {
  std::string out = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) out += ", ";
    out += std::to_string((*this)[axis]);
  }
  return out + "]";
}

std::string Tensor::text() const { return name_of(type) + shape.text(); }

void Tensor::wrong_type(DType wanted) const {
  throw Mismatch(std::string(name_of(wanted)) + " is needed, found " + text());
}

int axis_of(std::int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    throw Mismatch("axis " + std::to_string(axis) + " of " + std::to_string(rank) + " dimensions");
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Buffer::Buffer(std::size_t bytes)
    : data_(
          static_cast<std::byte*>(::operator new(bytes + ALIGNMENT, std::align_val_t{ALIGNMENT}))),
      bytes_(bytes) {}

void Buffer::Free::operator()(std::byte* data) const {
  ::operator delete(data, std::align_val_t{ALIGNMENT});
}

Constant Constant::make(DType type, const Shape& shape) {
  Constant out{{type, shape, nullptr}, nullptr};
  auto memory = std::make_shared<Buffer>(out.tensor.bytes());
  out.tensor.data = memory->data();
  out.owner = memory;
  return out;
}

}  // namespace laconic::engine
