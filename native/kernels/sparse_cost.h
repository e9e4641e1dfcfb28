// What a tiling of a sparse convolution is estimated to cost; see kernels/sparse_tiling.h.
#pragma once

#include <cstdint>

#include "kernels/sparse_tiling.h"

namespace laconic::kernels {

// Bytes of the first-level cache that a slab may take.
constexpr double SPARSE_L1_BYTES = 40e3;

struct SparseProblem {
  const ConvShape& shape;
  std::int64_t nonzeros;
  SparseMachine machine;
  SparseAxis y, x;
  std::int64_t shifts;  // different ones along a row

  std::int64_t group_channels() const { return shape.channels / shape.groups; }
};

// Copies of each channel that the slab needs: phases of the strides, shifts, alignments of rows.
std::int64_t sparse_planes(const SparseProblem& problem, const SparseTiling& tiling);

// The share of the taps whose rows do not begin with a vector.
double sparse_share_skipped(const SparseProblem& problem, const SparseTiling& tiling);

// Floats of a channel that a tile reads.
std::int64_t sparse_slab_channel(const SparseTiling& tiling);

// Cycles of a tile of so many vectors, for all groups.
double sparse_tile_cycles(const SparseProblem& problem, const SparseTiling& tiling,
                          std::int64_t vectors);

}  // namespace laconic::kernels
