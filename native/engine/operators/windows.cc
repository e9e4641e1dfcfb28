#include "engine/operators/windows.h"

#include <algorithm>
#include <limits>

namespace laconic::engine {

namespace {

// Pads so that every stride has a window (SAME_UPPER, SAME_LOWER: the odd one at the end, or
// first).
void pad_to_same(WindowAxis& axis, bool upper) {
  axis.count = (axis.size + axis.stride - 1) / axis.stride;
  const std::int64_t pad =
      std::max<std::int64_t>(0, (axis.count - 1) * axis.stride + axis.extent() - axis.size);
  axis.pad_begin = upper ? pad / 2 : pad - pad / 2;
  axis.pad_end = pad - axis.pad_begin;
}

void count_windows(WindowAxis& axis, bool ceil) {
  const std::int64_t room = axis.size + axis.pad_begin + axis.pad_end - axis.extent();
  if (room < 0) {
    throw Mismatch("a window of " + std::to_string(axis.extent()) + " does not fit in " +
                   std::to_string(axis.size) + " with pads of " + std::to_string(axis.pad_begin) +
                   " and " + std::to_string(axis.pad_end));
  }
  axis.count = (room + (ceil ? axis.stride - 1 : 0)) / axis.stride + 1;
  // A window that begins in the padding at the end is none.
  if (ceil && (axis.count - 1) * axis.stride >= axis.size + axis.pad_begin) --axis.count;
}

// Mismatch for a padded plane whose bytes, for every channel, might not fit in 63 bits; a stride
// that leads nowhere becomes small.
void require_planes(std::vector<WindowAxis>& axes) {
  constexpr std::int64_t MOST = std::int64_t{1} << 40;
  std::int64_t cells = 1;
  for (WindowAxis& axis : axes) {
    const std::int64_t padded = axis.size + axis.pad_begin + axis.pad_end;
    if (padded > MOST / std::max<std::int64_t>(cells, 1)) {
      throw Mismatch("pads of " + std::to_string(axis.pad_begin) + " and " +
                     std::to_string(axis.pad_end) + " make a plane that no memory holds");
    }
    cells *= padded;
    if (axis.count == 1) axis.stride = std::min(axis.stride, std::max<std::int64_t>(padded, 1));
  }
}

}  // namespace

std::vector<std::int64_t> by_axis(const Node& node, const std::string& name, std::size_t axes,
                                  std::int64_t fallback, std::int64_t least) {
  if (!node.has(name)) return std::vector<std::int64_t>(axes, fallback);
  std::vector<std::int64_t> values = node.integers(name);
  // Products of two of them do not overflow.
  constexpr std::int64_t MOST = std::numeric_limits<std::int32_t>::max();
  const bool good = std::all_of(values.begin(), values.end(), [&](std::int64_t value) {
    return value >= least && value <= MOST;
  });
  if (values.size() != axes || !good) {
    throw Mismatch(name + " must have " + std::to_string(axes) + " numbers from " +
                   std::to_string(least) + " to " + std::to_string(MOST));
  }
  return values;
}

std::vector<WindowAxis> windows_of(const Node& node, const std::vector<std::int64_t>& sizes,
                                   const std::vector<std::int64_t>& kernel) {
  const std::size_t axes = sizes.size();
  const std::string automatic = node.text("auto_pad", "NOTSET");
  const auto strides = by_axis(node, "strides", axes, 1, 1);
  const auto dilations = by_axis(node, "dilations", axes, 1, 1);
  const auto pads = by_axis(node, "pads", 2 * axes, 0, 0);
  if (kernel.size() != axes) throw Mismatch("kernel and input differ in their spatial axes");
  std::vector<WindowAxis> out(axes);
  for (std::size_t i = 0; i < axes; ++i) {
    WindowAxis& axis = out[i];
    axis.kernel = kernel[i];
    axis.stride = strides[i];
    axis.dilation = dilations[i];
    axis.size = sizes[i];
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      pad_to_same(axis, automatic == "SAME_UPPER");
    } else if (automatic == "NOTSET" || automatic == "VALID") {
      axis.pad_begin = automatic == "NOTSET" ? pads[i] : 0;
      axis.pad_end = automatic == "NOTSET" ? pads[axes + i] : 0;
      count_windows(axis, node.integer("ceil_mode", 0) != 0);
    } else {
      throw Mismatch("auto_pad is " + automatic);
    }
  }
  require_planes(out);
  return out;
}

}  // namespace laconic::engine
