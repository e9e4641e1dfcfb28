// Items of an array in other places of another: for operators that move items and never look at
// them. What to copy is worked out beforehand (in `plan`), so that a run allocates nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/operator.h"
#include "engine/tensor.h"

namespace laconic::engine {

// Below this many items, waking other threads costs more than they save.
constexpr std::int64_t SHARED_ITEMS = 16384;

// body(begin, end, worker) over 0 to before `count`, on all threads when `items` are many.
template <typename Body>
void share(Pool& pool, std::int64_t items, std::int64_t count, const Body& body) {
  if (items >= SHARED_ITEMS) {
    pool.split(count, body);
  } else {
    body(std::int64_t{0}, count, 0);
  }
}

// Calls function(T{}) with an unsigned type of `item` bytes.
template <typename Function>
void with_item(std::size_t item, Function&& function) {
  switch (item) {
    case 1:
      return function(std::uint8_t{});
    case 2:
      return function(std::uint16_t{});
    case 4:
      return function(std::uint32_t{});
    default:
      return function(std::uint64_t{});
  }
}

// Distance, in items, between neighbours along each axis of a dense array.
std::vector<std::int64_t> strides_of(const Shape& shape);

// One of the nested loops of a copy; strides are in items and may be negative or zero.
struct Axis {
  std::int64_t size = 1;
  std::int64_t source = 0;
  std::int64_t target = 0;
};

// For each index of the axes: target[start + index . target] = source[start + index . source].
class StridedCopy {
 public:
  StridedCopy() = default;
  // Axes stand from the outermost to the innermost; starts are in items.
  StridedCopy(const std::vector<Axis>& axes, std::int64_t source_start, std::int64_t target_start);
  // Into a dense array of these sizes.
  static StridedCopy dense(const Shape& target, const std::vector<std::int64_t>& source_strides,
                           std::int64_t source_start = 0);

  // Both have items of `item` bytes (1, 2, 4 or 8).
  void run(const void* source, void* target, std::size_t item, Pool& pool) const;

 private:
  void rows(const std::byte* source, std::byte* target, std::size_t item, std::int64_t begin,
            std::int64_t end) const;
  void tiles(const std::byte* source, std::byte* target, std::size_t item, std::int64_t begin,
             std::int64_t end) const;

  std::vector<Axis> outer_;
  Axis across_;  // unit source stride, where it is not the innermost axis; else of size 1
  Axis inner_;
  bool tiled_ = false;
  std::int64_t source_start_ = 0;
  std::int64_t target_start_ = 0;
  std::int64_t count_ = 0;  // of all items
};

// target[i, j, ...] = source[places[0][i], places[1][j], ...]; the target is dense.
class MappedCopy {
 public:
  MappedCopy(const Shape& source, std::vector<std::vector<std::int64_t>> places);

  void run(const void* source, void* target, std::size_t item, Pool& pool) const;

 private:
  // `count` pieces that follow each other in the source, from the piece `place` of a row on.
  struct Run {
    std::int64_t place, offset, count;
  };

  void find_pattern();
  std::int64_t row_start(std::int64_t row) const;
  template <typename T>
  void copy_row(const T* line, T* to) const;

  std::vector<std::vector<std::int64_t>> outer_;  // offsets in the source, for all but a row
  std::vector<std::int64_t> row_;                 // offsets of the pieces of a row
  std::vector<Run> runs_;                         // the same, where there are few
  bool doubled_ = false;                          // each piece of a row comes twice, in order
  std::int64_t piece_ = 1;                        // items that lie side by side in both
  std::int64_t rows_ = 1;
};

// Declares an output that is known: a copy of the tensor.
void give(Planning& planning, int output, const Tensor& tensor);

// One item, of `item` bytes, written to `count` places.
void fill(void* target, const void* value, std::size_t item, std::int64_t count);

}  // namespace laconic::engine
