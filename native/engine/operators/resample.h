// Interpolation along the axes of an array, one axis after the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph.h"
#include "engine/operators/copying.h"

namespace laconic::engine {

// How a Resize node finds the place in the input of a place in the output.
struct Coordinates {
  explicit Coordinates(const Node& node);

  std::string mode;
  float scale = 1;
  std::int64_t size = 1, out_size = 1;  // of the axis
  float start = 0, end = 1;             // of the region of interest

  // In single precision, as ONNX Runtime has it: the nearest neighbour depends on the rounding.
  float source(std::int64_t place) const;
  bool crops() const { return mode == "tf_crop_and_resize"; }
  // Whether the axis stays as it is.
  bool idle() const {
    return size == out_size && scale == 1 && !(crops() && (start != 0 || end != 1));
  }
};

// For each place of the output along one axis, `count` items of the input and their weights.
struct Taps {
  std::int64_t size = 1, out_size = 1, count = 1;
  std::vector<std::int64_t> places;  // [out_size, count]
  std::vector<double> weights;       // [out_size, count], the sum of a row is 1
  std::vector<bool> outside;         // [out_size]: takes the extrapolation value
};

// The taps of a mode of interpolation. Mismatch or Unsupported for a node that makes no sense.
Taps linear_taps(const Node& node, const Coordinates& coordinates);
Taps cubic_taps(const Node& node, const Coordinates& coordinates);
Taps nearest_taps(const Node& node, const Coordinates& coordinates);
// One tap each: the axis stays as it is.
Taps idle_taps(std::int64_t size);

// y[o, j, i] = sum over k of x[o, places[j, k], i] * weights[j, k], with all axes of x inside
// (before the axis) and `inner` (behind it) flattened.
template <typename Real>
void resample(const Real* x, Real* y, const Taps& taps, const std::vector<Real>& weights,
              std::int64_t outer, std::int64_t inner);

}  // namespace laconic::engine
