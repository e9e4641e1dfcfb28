// An array seen along one of its axes.
#pragma once

#include <cstdint>

#include "engine/tensor.h"

namespace laconic::engine {

// `outer` slabs of `depth` rows of `inner` items; the axis goes over the rows.
struct Slabs {
  Slabs(const Shape& shape, int axis)
      : outer(shape.count(0, axis)),
        depth(shape[axis]),
        inner(shape.count(axis + 1, shape.rank())) {}
  // The first item of the index-th line along the axis, 0 <= index < outer * inner; the next ones
  // follow at a distance of `inner`.
  std::int64_t place(std::int64_t index) const {
    return index / inner * depth * inner + index % inner;
  }
  std::int64_t outer, depth, inner;
};

}  // namespace laconic::engine
