// Where the windows of Conv, ConvTranspose and the pools lie; sizes, counts and pads by axis.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/graph.h"

namespace laconic::engine {

// One spatial axis.
struct WindowAxis {
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;
  std::int64_t size = 0;   // of the input
  std::int64_t count = 0;  // of windows

  std::int64_t extent() const { return (kernel - 1) * dilation + 1; }
};

// The windows over spatial axes of these sizes, from the attributes strides, dilations, pads,
// auto_pad and ceil_mode of the node. Mismatch where an attribute has another length or a wrong
// value, a window is larger than its padded axis, or a padded plane has more than 2^40 items.
std::vector<WindowAxis> windows_of(const Node& node, const std::vector<std::int64_t>& sizes,
                                   const std::vector<std::int64_t>& kernel);

// An attribute of one number an axis, `fallback` everywhere when the node has none. Mismatch for
// another length or a number below `least` or above 2^31 - 1.
std::vector<std::int64_t> by_axis(const Node& node, const std::string& name, std::size_t axes,
                                  std::int64_t fallback, std::int64_t least);

}  // namespace laconic::engine
