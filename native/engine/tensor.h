// Arrays as the engine sees them: a type, a shape and memory that somebody else owns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace laconic::engine {

// The program does not fit its inputs or tensors: shapes, types, values.
struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The program asks for something that the engine does not have.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Numbered as ONNX numbers its types (TensorProto.DataType).
enum class DType : std::uint8_t {
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  boolean = 9,
  f64 = 11,
  u32 = 12,
  u64 = 13,
};

std::size_t size_of(DType type);
const char* name_of(DType type);
// Unsupported for a number that is none of the above; `what` says whose type it is.
DType dtype_of(std::int64_t onnx_number, const std::string& what);

template <typename T>
struct DTypeOf;
#define LACONIC_DTYPE(T, name)                  \
  template <>                                   \
  struct DTypeOf<T> {                           \
    static constexpr DType value = DType::name; \
  }
LACONIC_DTYPE(float, f32);
LACONIC_DTYPE(double, f64);
LACONIC_DTYPE(std::uint8_t, u8);
LACONIC_DTYPE(std::int8_t, i8);
LACONIC_DTYPE(std::uint16_t, u16);
LACONIC_DTYPE(std::int16_t, i16);
LACONIC_DTYPE(std::uint32_t, u32);
LACONIC_DTYPE(std::int32_t, i32);
LACONIC_DTYPE(std::uint64_t, u64);
LACONIC_DTYPE(std::int64_t, i64);
LACONIC_DTYPE(bool, boolean);
#undef LACONIC_DTYPE

// Calls function(T{}) with the C++ type behind `type`; all twelve, or numbers only (no bool).
template <typename Function>
void with_type(DType type, Function&& function) {
  switch (type) {
    case DType::f32:
      return function(float{});
    case DType::f64:
      return function(double{});
    case DType::u8:
      return function(std::uint8_t{});
    case DType::i8:
      return function(std::int8_t{});
    case DType::u16:
      return function(std::uint16_t{});
    case DType::i16:
      return function(std::int16_t{});
    case DType::u32:
      return function(std::uint32_t{});
    case DType::i32:
      return function(std::int32_t{});
    case DType::u64:
      return function(std::uint64_t{});
    case DType::i64:
      return function(std::int64_t{});
    case DType::boolean:
      return function(bool{});
  }
}

constexpr int MAX_RANK = 8;

// a times b, neither negative; Mismatch when that is more than an array can hold.
std::int64_t product(std::int64_t a, std::int64_t b);

// Up to MAX_RANK sizes, none negative; a scalar has none.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {
    for (std::int64_t size : sizes) push(size);
  }
  template <typename Iterator>
  Shape(Iterator from, Iterator to) {
    for (; from != to; ++from) push(*from);
  }

  int rank() const { return rank_; }
  std::int64_t& operator[](int axis) { return sizes_[static_cast<std::size_t>(axis)]; }
  std::int64_t operator[](int axis) const { return sizes_[static_cast<std::size_t>(axis)]; }
  const std::int64_t* begin() const { return sizes_.data(); }
  const std::int64_t* end() const { return sizes_.data() + rank_; }
  void push(std::int64_t size) {
    if (rank_ == MAX_RANK) throw Unsupported("an array of more than 8 dimensions");
    sizes_[static_cast<std::size_t>(rank_++)] = size;
  }
  // The number of items of axes `from` to before `to`; Mismatch when it does not fit in 2^48.
  std::int64_t count(int from, int to) const;
  std::int64_t count() const { return count(0, rank_); }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }
  std::string text() const;  // [2, 3]

 private:
  std::array<std::int64_t, MAX_RANK> sizes_{};
  int rank_ = 0;
};

// A dense array in C order. `data` is null while only type and shape are known.
struct Tensor {
  DType type = DType::f32;
  Shape shape;
  void* data = nullptr;
  // Of [images, channels, height, width]: so many rows of zeros lie behind each plane and before
  // the first. Others than 0 reach only operators that said that they take it (Planning).
  std::int64_t apart = 0;

  std::int64_t count() const { return shape.count(); }
  std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(type); }
  int rank() const { return shape.rank(); }
  // The items; Mismatch when they are of another type.
  template <typename T>
  T* as() const {
    if (DTypeOf<T>::value != type) wrong_type(DTypeOf<T>::value);
    return static_cast<T*>(data);
  }
  std::string text() const;  // float32[2, 3]

 private:
  [[noreturn]] void wrong_type(DType wanted) const;
};

// An axis as ONNX writes it (-1 is the last) to 0 to before rank; Mismatch otherwise.
int axis_of(std::int64_t axis, int rank);

// Memory at an address divisible by 64, with 64 readable bytes behind its end.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);
  std::byte* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }
  // At least this many bytes from now on; what it held is lost if it has to grow.
  std::byte* grow(std::size_t bytes) {
    if (bytes > bytes_) *this = Buffer(bytes);
    return data_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

// A tensor that nobody changes, and whoever owns its memory.
struct Constant {
  Tensor tensor;
  std::shared_ptr<const void> owner;

  // Fresh memory for a tensor of this type and shape.
  static Constant make(DType type, const Shape& shape);
};

}  // namespace laconic::engine
