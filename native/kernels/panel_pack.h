// Copying a matrix into the order in which the kernels of dense_tile.h read it.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// to[k * width + c] = from[k * k_step + c * column_step], 0 for c from `columns` to before width.
struct PanelCopy {
  const float* from;
  std::int64_t k_step, column_step;
  std::int64_t depth, columns, width;
  float* to;
};

struct PanelPackKernels {
  void (*pack)(const PanelCopy& copy);
};

LACONIC_KERNELS(PanelPackKernels, panel_pack)

}  // namespace laconic::kernels
