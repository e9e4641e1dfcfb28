#include "engine/operators/indices.h"

#include <string>

#include "engine/operators/copying.h"

namespace laconic::engine {

namespace {

void check_index(std::int64_t index, std::int64_t size) {
  if (index < -size || index >= size) {
    throw Mismatch("index " + std::to_string(index) + " of " + std::to_string(size) + " items");
  }
}

}  // namespace

void check_indices(const Tensor& indices, std::int64_t size) {
  with_indices(indices, [&](const auto* items) {
    for (std::int64_t i = 0; i < indices.count(); ++i) check_index(items[i], size);
  });
}

void check_beside(const Tensor& x, const Shape& indices, int axis) {
  bool good = indices.rank() == x.rank();
  for (int i = 0; good && i < x.rank(); ++i) good = i == axis || indices[i] <= x.shape[i];
  if (!good) throw Mismatch("indices " + indices.text() + " for " + x.text());
}

ElementPlaces::ElementPlaces(const Shape& array, const Shape& indices, int axis)
    : strides_(strides_of(array)), indices_(indices), size_(array[axis]) {
  const int last = array.rank() - 1;
  stride_ = strides_[static_cast<std::size_t>(axis)];
  strides_[static_cast<std::size_t>(axis)] = 0;
  step_ = strides_[static_cast<std::size_t>(last)];
  width_ = indices[last];
  rows_ = indices.count(0, last);
}

std::int64_t ElementPlaces::row_start(std::int64_t row) const {
  std::int64_t start = 0;
  for (int axis = indices_.rank() - 1; axis-- > 0;) {
    start += row % indices_[axis] * strides_[static_cast<std::size_t>(axis)];
    row /= indices_[axis];
  }
  return start;
}

TuplePlaces::TuplePlaces(const Shape& array, const Shape& indices, int batch_axes)
    : array_(array), batch_axes_(batch_axes), tuple_(0) {
  bool good = batch_axes >= 0 && batch_axes < indices.rank() && batch_axes <= array.rank();
  for (int axis = 0; good && axis < batch_axes; ++axis) good = indices[axis] == array[axis];
  good = good && indices[indices.rank() - 1] <= array.rank() - batch_axes;
  if (!good) throw Mismatch("indices " + indices.text() + " for " + array.text());
  tuple_ = static_cast<int>(indices[indices.rank() - 1]);
}

std::vector<std::int64_t> TuplePlaces::starts(const Tensor& indices) const {
  const std::vector<std::int64_t> strides = strides_of(array_);
  const std::int64_t count = indices.shape.count(0, indices.rank() - 1);
  const std::int64_t batch = array_.count(0, batch_axes_);
  const std::int64_t batch_items = array_.count(batch_axes_, array_.rank());
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  with_indices(indices, [&](const auto* items) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t start = i / (count / batch) * batch_items;
      for (int k = 0; k < tuple_; ++k) {
        const int axis = batch_axes_ + k;
        const std::int64_t index = items[i * tuple_ + k];
        check_index(index, array_[axis]);
        start += counted_from_start(index, array_[axis]) * strides[static_cast<std::size_t>(axis)];
      }
      out[static_cast<std::size_t>(i)] = start;
    }
  });
  return out;
}

}  // namespace laconic::engine
