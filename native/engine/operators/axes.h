// An array as a reduction sees it: axes that stay and axes that go, neighbours of a kind joined.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "engine/operator.h"
#include "engine/tensor.h"

namespace laconic::engine {

// Nested loops over places in an array; the innermost comes last.
class Loops {
 public:
  void push(std::int64_t size, std::int64_t stride) {
    sizes_[at(rank_)] = size;
    strides_[at(rank_)] = stride;
    ++rank_;
    count_ *= size;
  }
  std::int64_t count() const { return count_; }
  int rank() const { return rank_; }
  std::int64_t size(int loop) const { return sizes_[at(loop)]; }
  std::int64_t stride(int loop) const { return strides_[at(loop)]; }
  // Without the innermost.
  Loops outer() const {
    Loops out;
    for (int loop = 0; loop + 1 < rank_; ++loop) out.push(size(loop), stride(loop));
    return out;
  }
  // The place of the index-th turn.
  std::int64_t place(std::int64_t index) const {
    std::int64_t place = 0;
    for (int loop = rank_ - 1; loop >= 0; --loop) {
      place += index % size(loop) * stride(loop);
      index /= size(loop);
    }
    return place;
  }

 private:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  int rank_ = 0;
  std::int64_t count_ = 1;
  std::array<std::int64_t, MAX_RANK> sizes_{};
  std::array<std::int64_t, MAX_RANK> strides_{};
};

struct Axes {
  // `reduced` has one truth for each axis.
  Axes(const Shape& shape, const std::array<bool, MAX_RANK>& reduced);
  Loops kept, gone;
  bool last_is_gone = true;  // whose innermost loop has stride 1
};

// Which axes a node reduces, given as ONNX does: none named are all of them, unless `none_is_none`.
std::array<bool, MAX_RANK> reduced_axes(const std::vector<std::int64_t>& axes, int rank,
                                        bool none_is_none);

// The shape with the reduced axes of size 1, or without them.
Shape reduced_shape(const Shape& shape, const std::array<bool, MAX_RANK>& reduced, bool keep);

}  // namespace laconic::engine
