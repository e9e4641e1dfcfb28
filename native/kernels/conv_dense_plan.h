// How a dense convolution is cut into pieces; used by conv_dense.cc alone.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/dense_tile.h"
#include "kernels/layers.h"

namespace laconic::kernels {

// Outputs of a group that are computed together: `rows` of them, packed in `packed` columns.
struct OutputBlock {
  std::int64_t first;    // in its group
  std::int64_t weights;  // place of [depth][packed] among the group's packed weights
  int rows, packed;
};

std::vector<OutputBlock> output_blocks(std::int64_t outputs, std::int64_t depth, int rows);

// Where a kernel row or column is found in a slab: among the planes of its phase, `shift` further.
struct KernelPlace {
  std::int64_t plane, shift;
};

// One axis of a slab. A plane holds the input positions first[plane] + i * stride.
struct SlabAxis {
  std::vector<KernelPlace> places;  // for each kernel row or column
  std::vector<std::int64_t> first;  // for each plane; relative to the first position that is read
  std::int64_t extra = 0;           // positions of a plane beyond the outputs: the largest shift

  // `every`: a plane for each kernel offset, so that shifts are 0.
  static SlabAxis of(std::int64_t kernel, std::int64_t stride, std::int64_t dilation, bool every);
};

// The cut of a run. A piece is some units of an image's outputs: rows, or, where the image is read
// in place, runs of pixels.
struct ConvCut {
  std::int64_t units = 1;       // a piece; the last piece of an image may have fewer
  std::int64_t pieces = 1;      // an image
  std::int64_t channels = 1;    // a group's channels that are multiplied before the next ones
  std::int64_t plane_rows = 0;  // of a slab's plane
  std::int64_t channel_floats = 0;
  bool split_outputs = false;  // threads share a piece; otherwise each has pieces of its own
};

struct ConvLayout {
  ConvShape shape;
  int lanes = 1, rows = 1;  // of a tile
  bool in_place = false;    // 1x1, stride 1: no slab
  bool by_row = false;      // vectors of pixels end at the end of a row
  SlabAxis x, y;
  std::int64_t slab_width = 0;
  std::vector<OutputBlock> blocks;

  ConvLayout(const ConvShape& shape, int lanes, int rows);
  std::int64_t unit_pixels() const;
  std::int64_t units() const;  // of an image
  std::int64_t vectors(std::int64_t pixels) const;
  ConvCut cut(std::int64_t images, int threads) const;
  // Fills `offsets` [channels of the cut * kernel size].
  void offsets(const ConvCut& cut, std::int32_t* offsets) const;
  // Fills `to` [vectors(pixels)] for pixels from `first` of the image on.
  void place(std::int64_t first, std::int64_t pixels, TileVector* to) const;

 private:
  void size(ConvCut& cut) const;
  void limit(ConvCut& cut) const;
};

}  // namespace laconic::kernels
