// How the non-zeros of a matrix should be cut into tiles, and how long their product takes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tiled_linear.h"

namespace laconic::kernels {

// What a single non-zero costs that does not fit into a step.
constexpr double SINGLE_NS = 0.42;

struct TilePlan {
  int choice = -1;     // of TiledLinearKernels::widths; -1: no tiles
  TileForm form = {};  // of that choice
  double byte_ns = 0;  // what a byte of memory is worth
  double row_ns = 0;   // estimate for one row, with the weights in the nearest caches
  double bytes = 0;    // estimate of the memory
};

// Looks at some groups of `weights` [outputs, depth]. `values` counts the distinct non-zeros (0:
// too many for a table). Memory stays below 3.1 bytes a non-zero with a table, 6.4 without.
TilePlan plan_tiles(const float* weights, std::int64_t outputs, std::int64_t depth, int values);

// Chooses the steps of one group: counts[lane * blocks + block] non-zeros. Adds the estimated time
// and memory to what `time_ns` and `bytes` hold.
void choose_steps(const TilePlan& plan, const std::uint8_t* counts, std::int64_t blocks,
                  std::uint8_t* steps, double& time_ns, double& bytes);

// counts[lane * blocks + block] of the outputs from `output` on.
void count_non_zeros(const float* weights, std::int64_t outputs, std::int64_t depth,
                     std::int64_t output, int lanes, int width, std::uint8_t* counts);

}  // namespace laconic::kernels
