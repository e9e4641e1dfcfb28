// Kernels that compute one tile of a matrix product in registers: `rows` rows (their factors are
// broadcast) times up to MAX_VECTORS vectors of columns. Every sum is one chain of multiply-adds in
// the order of the depth, so that its value depends neither on the tile nor on who computes it.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

constexpr int MAX_VECTORS = 3;

// What is done to a finished sum: y = min(high, max(low, scale * sum + bias + addend)).
struct TileFinish {
  const float* scale;   // null: 1
  const float* bias;    // null: 0
  const float* addend;  // null: 0; placed as y
  float low, high;
};

// Rows are outputs of a convolution, columns are pixels that follow each other.
struct PixelTile {
  const float* weights;         // [depth][packed rows]
  const float* inputs;          // vector v at step k: inputs[v * LANES + offsets[k] ...]
  const std::int32_t* offsets;  // [depth]
  std::int64_t depth;
  int last;            // lanes of the last vector that are pixels
  bool partial_loads;  // read no more than those
  float* sums;         // [packed rows][vectors][LANES]: where an unfinished tile is kept
  bool resume;         // go on from `sums`, not from zero
  bool unfinished;     // leave the result in `sums`
  float* y;            // row r, vector v: y[r * y_row + v * LANES ...]
  std::int64_t y_row;
  int rows;           // rows to store, at most the packed ones
  TileFinish finish;  // scale and bias of these rows; addend is moved as y is
};

// One pixel of several full blocks of outputs, for pixels that would leave a vector all but empty.
// The fields mean what they mean above, for the first block; sums is [blocks][rows].
struct LonePixel {
  PixelTile tile;
  std::int64_t block_weights;  // from one block's weights to the next
  std::int64_t outputs;        // to store; all blocks but the last are full
};

// Rows are rows of an activation, columns are packed in a panel.
struct PanelTile {
  const float*
      left;  // row r at step k: left[r * left_row + k * left_step], or packed [depth][rows]
  std::int64_t left_row, left_step;
  const float* panel;  // [depth][panel_step]
  std::int64_t panel_step;
  std::int64_t depth;
  float* sums;  // [packed rows][vectors][LANES]: where an unfinished tile is kept
  bool resume, unfinished;
  float* y;  // row r at y + r * y_row
  std::int64_t y_row;
  int last;           // columns of the last vector that count
  float alpha;        // the finished sum is multiplied by this first
  TileFinish finish;  // scale and bias of these columns; addend is moved as y is
};

struct DenseTileKernels {
  int lanes;
  int rows;  // of a full tile
  // packed_rows is a power of two up to `rows`; vectors is 1 to MAX_VECTORS.
  void (*pixels)(const PixelTile& tile, int packed_rows, int vectors);
  // Of full blocks of rows.
  void (*lone_pixel)(const LonePixel& pixel);
  // 1 to `rows` rows.
  void (*panel)(const PanelTile& tile, int rows, int vectors);
  // A full tile whose left side is packed, of which the first `stored` rows are stored.
  void (*packed_panel)(const PanelTile& tile, int stored, int vectors);
};

LACONIC_KERNELS(DenseTileKernels, dense_tile)

}  // namespace laconic::kernels
