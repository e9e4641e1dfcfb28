// The kernel of sparse weights as tiles. A window of a few vectors of inputs stays in registers and
// moves over the columns a few at a time; a permutation of registers fetches the input of each
// non-zero, where loads from scattered addresses would take a load each. An output with many
// non-zeros in one place makes them up while they are in the window.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/instructions.h"
#include "kernels/layers.h"
#include "kernels/linear_survey.h"

namespace laconic::kernels {

// A group of `lanes` outputs: for each block of inputs that enters the window some steps; a step
// has a slot for each of the outputs, which holds a non-zero of the window or nothing.
struct TileGroup {
  // With a table: the column from the window's first on, plus 128 times the place in the table.
  // The block that entered lies at the window's end, whose beginning lies before column 0 at first.
  const std::uint16_t* slots;
  const float* table;  // as long as TileForm says
  // Without: column and value (0 in a slot that holds nothing).
  const std::uint8_t* columns;
  const float* values;
  const std::uint8_t* steps;  // [blocks]
};

// Non-zeros of a group that have no slot, within TILE_PART columns. Neighbours in the list belong
// to different outputs where possible, so that no sum waits for the one before.
constexpr int TILE_PART = 4096;
struct LooseRun {
  const std::uint16_t* places;  // the column within the part, plus TILE_PART times the lane
  const std::uint8_t* codes;    // with a table
  const float* table;
  const float* values;  // without
  std::int64_t turns;   // how often all the outputs follow each other at the beginning
  std::int64_t count;
};

struct TileForm {
  int width;           // of the window in columns
  int entering;        // columns of a block
  std::int64_t table;  // 0, or a length that `tables` names
};

struct TileInputs {
  const float* x;  // row r begins at x + r * stride
  std::int64_t stride, depth;
  int rows;
};

// Nanoseconds, measured on a Zen 5 processor; the packer weighs steps against single non-zeros.
struct TileTimes {
  double block;  // that enters the window
  double step;   // of one row
};

// A set of instructions has tiles only where its vectors have 16 lanes.
struct TiledLinearKernels {
  static constexpr int CHOICES = 3;
  int lanes;
  int widths[CHOICES];  // of windows; 0: no further one
  int entering[CHOICES];
  TileTimes times[CHOICES];              // of the widths, with the short table
  std::int64_t short_table, long_table;  // the lengths of tables, a multiple of lanes; 0: none
  double long_step;                      // more for a step with the long table
  // Null where the set has no tiles. The product of a group: sums[r * lanes + lane].
  void (*group)(const TileForm& form, const TileGroup& group, const TileInputs& inputs,
                float* sums);
  // Adds a run to sums[r * lanes + lane]; column 0 of the part is x[r * stride].
  void (*loose)(const LooseRun& run, const TileInputs& inputs, float* sums);
};
LACONIC_KERNELS(TiledLinearKernels, tiled_linear_kernels)

struct TilePlan;
// Cuts `weights` [outputs, depth] as `plan` (of plan_tiles) says; form() is "sparse".
std::unique_ptr<LinearWeights> tiled_linear(const float* weights, const LinearSurvey& survey,
                                            const TilePlan& plan);

}  // namespace laconic::kernels
