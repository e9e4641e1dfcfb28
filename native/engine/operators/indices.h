// Places that arrays of indices name, for the operators that gather and scatter.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace laconic::engine {

// Calls function(items) with the items of an array of int64 or int32; Mismatch for another type.
template <typename Function>
void with_indices(const Tensor& indices, Function&& function) {
  if (indices.type == DType::i32) return function(indices.as<std::int32_t>());
  function(indices.as<std::int64_t>());
}

// An index below 0 counts from the end.
inline std::int64_t counted_from_start(std::int64_t index, std::int64_t size) {
  return index < 0 ? index + size : index;
}

// Mismatch when an index is not in [-size, size). Done before the work is shared, because a thread
// of the pool cannot throw.
void check_indices(const Tensor& indices, std::int64_t size);

// Mismatch unless `indices` has the rank of x, and is nowhere longer except along the axis.
void check_beside(const Tensor& x, const Shape& indices, int axis);

// The places in an array that indices of the same rank name along one axis.
class ElementPlaces {
 public:
  ElementPlaces(const Shape& array, const Shape& indices, int axis);
  std::int64_t rows() const { return rows_; }

  // function(i, place) for each i of a row of the indices; place is of an item of the array.
  template <typename Index, typename Function>
  void each(std::int64_t row, const Index* indices, const Function& function) const {
    const std::int64_t start = row_start(row);
    const std::int64_t first = row * width_;
    for (std::int64_t i = 0; i < width_; ++i) {
      const std::int64_t index = counted_from_start(indices[first + i], size_);
      function(first + i, start + i * step_ + index * stride_);
    }
  }

 private:
  std::int64_t row_start(std::int64_t row) const;

  std::vector<std::int64_t> strides_;  // of the array; 0 along the axis
  Shape indices_;
  std::int64_t size_ = 1, stride_ = 1;  // of the array along the axis
  std::int64_t width_ = 1, step_ = 1, rows_ = 1;
};

// The pieces of an array that tuples of indices name: indices [*batch, ..., tuple].
class TuplePlaces {
 public:
  TuplePlaces(const Shape& array, const Shape& indices, int batch_axes);
  // The first axis of the array that a tuple leaves open, and the items from there on.
  int end_axis() const { return batch_axes_ + tuple_; }
  std::int64_t piece() const { return array_.count(end_axis(), array_.rank()); }
  // Where the piece of each tuple begins, in items; Mismatch when an index lies outside.
  std::vector<std::int64_t> starts(const Tensor& indices) const;

 private:
  Shape array_;
  int batch_axes_;
  int tuple_;
};

}  // namespace laconic::engine
