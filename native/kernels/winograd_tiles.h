// Winograd's F(2x2, 3x3): a 3x3 convolution of stride 1 in tiles of 2 x 2 outputs, each from 4 x 4
// inputs, with 16 multiplications where the plain sum has 36 (Lavin and Gray, 2016). Vectors hold
// LANES channels of a tile's value.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

constexpr int WINOGRAD_VALUES = 16;  // of a tile

// B^T d B of every tile.
struct WinogradInput {
  const float* from;         // [2 * rows + 2][row / LANES pixels][LANES]
  std::int64_t row;          // floats
  std::int64_t rows, width;  // of tiles
  float* to;                 // tile t, value i: to[i * value + t * tile ...]
  std::int64_t value, tile;
};

// products[i] = tiles[i] weights[i] for each of the values i.
struct WinogradProduct {
  const float* tiles;  // [values][tiles][tile_row]; rows up to a multiple of 8 may be read
  std::int64_t value, tile_row;
  const float* weights;  // [values][panel][channels][its columns], panels of up to 3 vectors
  std::int64_t channels, vectors;
  float* products;  // [values][tiles][vectors * LANES]
  std::int64_t product_value;
  std::int64_t count;  // of tiles
};

// A^T m A of every tile, scaled and biased.
struct WinogradOutput {
  const float* from;  // tile t, value i: from[i * value + t * tile ...]
  std::int64_t value, tile;
  std::int64_t rows, width;          // of tiles
  std::int64_t out_rows, out_width;  // of pixels; the last tiles may reach beyond
  float* to;                         // [out_rows][out_width][LANES]
  int count;                         // lanes that are outputs
  const float *scale, *bias;         // null, or of the first output on
};

struct WinogradKernels {
  int lanes;
  void (*input)(const WinogradInput& input);
  void (*multiply)(const WinogradProduct& product);
  void (*output)(const WinogradOutput& output);
};

LACONIC_KERNELS(WinogradKernels, winograd_tiles)

}  // namespace laconic::kernels
