// Rows of activations as lanes of vectors, and what happens to finished sums: shared by the forms
// of linear weights.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"
#include "kernels/layers.h"

namespace laconic::kernels {

struct LinearRowsKernels {
  int lanes;

  // The first `rows` (at most lanes) rows of x, `depth` long, to out[k * out_stride + row]; rows
  // beyond are 0. Writes whole vectors: out has room for `depth` rounded up to a multiple of lanes.
  void (*to_lanes)(const float* x, std::int64_t x_stride, int rows, std::int64_t depth, float* out,
                   std::int64_t out_stride);

  // Finishes outputs [begin, end) of one row: y[o] from sums[o - begin]. y, the addend and what is
  // per output are those of output 0; sums may be y + begin.
  void (*finish)(const float* sums, std::int64_t begin, std::int64_t end, float* y,
                 const Epilogue& epilogue);

  // The same for `rows` rows at once, y_stride apart, of sums that have rows as lanes:
  // sums[(o - begin) * sums_stride + row]. Reads whole blocks of `lanes` outputs.
  void (*finish_lanes)(const float* sums, std::int64_t sums_stride, std::int64_t begin,
                       std::int64_t end, int rows, float* y, std::int64_t y_stride,
                       const Epilogue& epilogue);
};
LACONIC_KERNELS(LinearRowsKernels, linear_rows)

}  // namespace laconic::kernels
