// How a dense convolution is cut into pieces; used by the convolutions of dense weights alone.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/layers.h"

namespace laconic::kernels {

// Outputs of a group that are computed together: `rows` of them, in `packed` columns from `column`
// on of the group's packed weights.
struct OutputBlock {
  std::int64_t first, column;
  int rows, packed;
};

std::vector<OutputBlock> output_blocks(std::int64_t outputs, int rows);

// How many channels of a group are multiplied before the next ones, so that what a tile reads of
// them stays in the first cache.
std::int64_t channels_at_a_time(const ConvShape& shape, int lanes);

// Where a kernel row or column is found in a slab: in which plane, how many positions further.
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
  std::int64_t plane_rows = 0;  // of a slab's plane
  std::int64_t channel_floats = 0;
  bool split_outputs = false;  // threads share a piece; otherwise each has pieces of its own
};

// The vectors of a piece's pixels, and the pixels after them that are computed one by one.
struct PixelCount {
  std::int64_t vectors, lone;
};

struct ConvLayout {
  ConvShape shape;
  int lanes, rows;        // of a tile
  std::int64_t channels;  // of a group, that are multiplied before the next ones
  bool in_place = false;  // 1x1, stride 1: no slab
  SlabAxis x, y;
  std::vector<OutputBlock> blocks;

  ConvLayout(const ConvShape& shape, int lanes, int rows, std::int64_t channels);
  std::int64_t unit_pixels() const;
  std::int64_t units() const;  // of an image
  PixelCount count(std::int64_t pixels) const;
  ConvCut cut(std::int64_t images, int threads) const;
  // An estimate for one image and one thread.
  double cycles() const;
  // Fills `offsets` [channels * kernel size].
  void offsets(const ConvCut& cut, std::int32_t* offsets) const;

 private:
  void size(ConvCut& cut) const;
  void limit(ConvCut& cut) const;
  std::int64_t pixels(const ConvCut& cut) const;  // of a full piece
  double multiplying(std::int64_t pixels, std::int64_t output_blocks) const;
  double copying(const ConvCut& cut) const;
};

}  // namespace laconic::kernels
