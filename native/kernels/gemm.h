// The product of two matrices of activations, and the packed panels that it shares with
// dense_linear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/dense_tile.h"
#include "kernels/layers.h"
#include "kernels/panel_pack.h"

namespace laconic::kernels {

// Element (row, column) at values[row * row_step + column * column_step]; steps in floats.
struct Matrix {
  const float* values;
  std::int64_t row_step, column_step;
};

// y[m, n] = alpha * a[m, k] b[k, n], then the epilogue; row i of y, and of the epilogue's addend,
// begins at i * y_row. The epilogue's scale and bias go with the columns. y overlaps neither a nor
// b; the addend may be y itself. k = 0 gives a product of zeros.
struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
  // Chosen with the shape, so that the scratch that was asked for is the one that is used.
  const DenseTileKernels* tile = &dense_tile();
  const PanelPackKernels* pack = &panel_pack();
};
// Bytes (a multiple of 64) that `gemm` may write at `scratch`, an address divisible by 64.
std::size_t gemm_scratch_bytes(const GemmShape& shape, int threads);
void gemm(const GemmShape& shape, const Matrix& a, const Matrix& b, float* y, std::int64_t y_row,
          float alpha, const Epilogue& epilogue, std::byte* scratch, Pool& pool);

// The right side of a product, [depth, columns], cut into panels of MAX_VECTORS vectors; the last
// has what is left, and never a single vector when the one before can give it one. Panel i begins
// at first(i) * depth and is [depth][width(i)].
struct PanelShape {
  const DenseTileKernels* tile;
  const PanelPackKernels* pack;
  std::int64_t depth, columns;

  std::int64_t count() const;
  std::int64_t first(std::int64_t panel) const;  // column
  std::int64_t width(std::int64_t panel) const;  // a multiple of the lanes
  std::int64_t floats() const;                   // of all panels
};

// Packs panels begin to before end of b [depth, columns].
void pack_panels(const PanelShape& shape, const Matrix& b, std::int64_t begin, std::int64_t end,
                 float* to);

std::size_t panels_scratch_bytes(const PanelShape& shape, std::int64_t rows, int threads);
// As gemm, with the right side packed.
void multiply_panels(const PanelShape& shape, const float* panels, std::int64_t rows,
                     const Matrix& a, float* y, std::int64_t y_row, float alpha,
                     const Epilogue& epilogue, std::byte* scratch, Pool& pool);

}  // namespace laconic::kernels
