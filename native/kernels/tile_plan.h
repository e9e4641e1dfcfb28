// How fast a window of inputs should pass over a group of outputs, and how long that takes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tiled_linear.h"

namespace laconic::kernels {

struct TilePlan {
  int choice = -1;                  // of TiledLinearKernels::widths; -1: no tiles
  TileForm form = {};               // of that choice
  std::vector<std::uint8_t> steps;  // [blocks], of most groups
  double pace = 0;                  // how many of them there are for each non-zero of a row
  std::vector<double> before;  // [vectors + 1]: non-zeros of a row before each vector of inputs
  double row_ns = 0;           // estimate for one row, with the weights in the nearest caches
  double bytes = 0;            // estimate of the memory
};

// The non-zeros of each output of a group before each vector of inputs: [vectors + 1][lanes].
std::vector<std::int32_t> count_before(const float* weights, std::int64_t outputs,
                                       std::int64_t depth, std::int64_t group);

// Looks at some groups of `weights` [outputs, depth]. `values` counts the distinct non-zeros (0:
// too many for a table). Memory stays below 3.1 bytes a non-zero with a table, 6.4 without.
TilePlan plan_tiles(const float* weights, std::int64_t outputs, std::int64_t depth, int values);

// What a group takes with some steps.
struct TileCost {
  double time_ns = 0, bytes = 0;
};

// Chooses the steps [blocks] of one group, whose non-zeros count_before has counted.
TileCost choose_steps(const TilePlan& plan, const std::vector<std::int32_t>& before,
                      std::vector<std::uint8_t>& steps);

}  // namespace laconic::kernels
