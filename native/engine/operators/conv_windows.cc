#include "engine/operators/conv_windows.h"

#include "engine/operators/windows.h"

namespace laconic::engine {

void place_windows(const Node& node, const Tensor& x, const Tensor& weight,
                   kernels::ConvShape& shape) {
  if (x.shape[1] != shape.channels) {
    throw Mismatch("the weight takes " + std::to_string(shape.channels) + " channels");
  }
  const std::vector<std::int64_t> sizes(x.shape.begin() + 2, x.shape.end());
  const std::vector<std::int64_t> kernel(weight.shape.begin() + 2, weight.shape.end());
  const auto windows = windows_of(node, sizes, kernel);
  shape.width = windows.back().size;
  shape.out_width = windows.back().count;
  shape.pad_left = windows.back().pad_begin;
  shape.stride_x = windows.back().stride;
  shape.dilation_x = windows.back().dilation;
  shape.height = shape.out_height = 1;
  if (windows.size() == 2) {
    shape.height = windows[0].size;
    shape.out_height = windows[0].count;
    shape.pad_top = windows[0].pad_begin;
    shape.stride_y = windows[0].stride;
    shape.dilation_y = windows[0].dilation;
  }
}

}  // namespace laconic::engine
