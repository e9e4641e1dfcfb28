// Item-by-item work on operands of shapes that ONNX broadcasts, and its division over threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/operator.h"
#include "engine/tensor.h"

namespace laconic::engine {

// Fewer items than this are not worth waking a thread for.
constexpr std::int64_t ITEMS_TO_SPLIT = 16384;

// Calls body(begin, end) so that the ranges cover 0 to before `count` once, over the pool where
// there is enough to do: `cost` is the work of one index, in simple items.
template <typename Body>
void split_items(Pool& pool, std::int64_t count, std::int64_t cost, const Body& body) {
  if (count == 0) return;
  if (count < ITEMS_TO_SPLIT / std::max<std::int64_t>(cost, 1)) {
    body(std::int64_t{0}, count);
    return;
  }
  pool.split(count, [&](std::int64_t begin, std::int64_t end, int) { body(begin, end); });
}

// The shape that both fit; Mismatch when there is none.
Shape broadcast(const Shape& a, const Shape& b);

// The type that all these inputs have; Mismatch otherwise, in the name of the operation.
DType common_type(const Planning& planning, const std::string& operation, int from, int to);

constexpr int MOST_OPERANDS = 3;

// Up to three dense operands that are repeated along axes of an output, neighbouring axes joined
// where they can be.
class Broadcast {
 public:
  // Every operand fits `out` (see `broadcast`).
  Broadcast(const Shape& out, const std::vector<Shape>& operands);

  std::int64_t count() const { return count_; }
  // Items that a call of `walk` gets at once, at most.
  std::int64_t row() const { return sizes_[0]; }
  // 1 where the operand goes along with the items of a row, 0 where one is repeated.
  int step(int operand) const { return static_cast<int>(strides_[0][at(operand)]); }
  // The operand has an item for each one of the output.
  bool whole(int operand) const { return whole_[at(operand)]; }

  using Places = std::array<std::int64_t, MOST_OPERANDS>;

  // For items begin to before end of the output: call(first, places, count) for each piece of a
  // row, with the place of the first item in the output and in each operand.
  template <typename Call>
  void walk(std::int64_t begin, std::int64_t end, const Call& call) const;

 private:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }

  // Of the innermost axis first.
  int rank_ = 1;
  std::array<std::int64_t, MAX_RANK> sizes_{};
  std::array<Places, MAX_RANK> strides_{};
  std::array<bool, MOST_OPERANDS> whole_{};
  std::int64_t count_ = 0;
};

template <typename Call>
void Broadcast::walk(std::int64_t begin, std::int64_t end, const Call& call) const {
  std::array<std::int64_t, MAX_RANK> index{};
  Places places{};
  std::int64_t rest = begin;
  for (int axis = 0; axis < rank_; ++axis) {
    index[at(axis)] = rest % sizes_[at(axis)];
    rest /= sizes_[at(axis)];
    for (int k = 0; k < MOST_OPERANDS; ++k) {
      places[at(k)] += index[at(axis)] * strides_[at(axis)][at(k)];
    }
  }
  while (begin < end) {
    const std::int64_t count = std::min(sizes_[0] - index[0], end - begin);
    call(begin, places, count);
    begin += count;
    // On to the next row: undo the way along this one, then one step along the first outer axis
    // that has a next index.
    for (int k = 0; k < MOST_OPERANDS; ++k) places[at(k)] -= index[0] * strides_[0][at(k)];
    index[0] = 0;
    for (int axis = 1; axis < rank_; ++axis) {
      const bool next = ++index[at(axis)] < sizes_[at(axis)];
      const std::int64_t steps = next ? 1 : 1 - sizes_[at(axis)];
      for (int k = 0; k < MOST_OPERANDS; ++k) {
        places[at(k)] += steps * strides_[at(axis)][at(k)];
      }
      if (next) break;
      index[at(axis)] = 0;
    }
  }
}

}  // namespace laconic::engine
