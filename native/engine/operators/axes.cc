#include "engine/operators/axes.h"

namespace laconic::engine {

Axes::Axes(const Shape& shape, const std::array<bool, MAX_RANK>& reduced) {
  struct Run {
    std::int64_t size, stride;
    bool reduced;
  };
  std::vector<Run> runs;  // the innermost first
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const bool goes = reduced[static_cast<std::size_t>(axis)];
    const std::int64_t size = shape[axis];
    if (size != 1) {
      if (!runs.empty() && runs.back().reduced == goes) {
        runs.back().size *= size;
      } else {
        runs.push_back({size, stride, goes});
      }
    }
    stride *= size;
  }
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    (run->reduced ? gone : kept).push(run->size, run->stride);
  }
  last_is_gone = runs.empty() || runs.front().reduced;
  if (gone.rank() == 0) gone.push(1, 1);
  if (kept.rank() == 0) kept.push(1, 0);
}

std::array<bool, MAX_RANK> reduced_axes(const std::vector<std::int64_t>& axes, int rank,
                                        bool none_is_none) {
  std::array<bool, MAX_RANK> reduced{};
  if (axes.empty() && !none_is_none) reduced.fill(true);
  for (const std::int64_t axis : axes)
    reduced[static_cast<std::size_t>(axis_of(axis, rank))] = true;
  return reduced;
}

Shape reduced_shape(const Shape& shape, const std::array<bool, MAX_RANK>& reduced, bool keep) {
  Shape out;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<std::size_t>(axis)]) {
      out.push(shape[axis]);
    } else if (keep) {
      out.push(1);
    }
  }
  return out;
}

}  // namespace laconic::engine
