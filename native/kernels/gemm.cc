#include "kernels/gemm.h"

#include <algorithm>

namespace laconic::kernels {

namespace {

// Rows whose left side is packed at a time, rows of a piece of work, and steps of the depth whose
// part of a panel stays in the second cache, better in the first.
constexpr std::int64_t PACKED_ROWS = 512, PIECE_ROWS = 96, STEPS = 256;
constexpr std::int64_t FEW_PANELS = 4;

std::int64_t up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

std::size_t line_bytes(std::int64_t floats) {
  return static_cast<std::size_t>(up(floats, 16)) * 16 * sizeof(float);
}

// Packing the left side pays when it is read often enough.
bool in_place(const PanelShape& shape, std::int64_t rows) {
  return rows <= shape.tile->rows || (shape.count() <= FEW_PANELS && shape.depth <= 2 * STEPS);
}

// Floats of the unfinished sums of a piece of work.
std::int64_t sum_floats(const PanelShape& shape) {
  return PIECE_ROWS * MAX_VECTORS * shape.tile->lanes;
}

TileFinish finish_of(const Epilogue& epilogue, std::int64_t column, std::int64_t place) {
  return {epilogue.scale ? epilogue.scale + column : nullptr,
          epilogue.bias ? epilogue.bias + column : nullptr,
          epilogue.addend ? epilogue.addend + place : nullptr, epilogue.low, epilogue.high};
}

// What the pieces of a product have in common.
struct Product {
  const PanelShape& shape;
  const float* panels;
  Matrix a;
  float* y;
  std::int64_t y_row;
  float alpha;
  const Epilogue& epilogue;

  PanelTile tile(std::int64_t panel, std::int64_t row) const {
    const std::int64_t column = shape.first(panel), width = shape.width(panel);
    PanelTile tile{};
    tile.panel = panels + column * shape.depth;
    tile.panel_step = width;
    tile.depth = shape.depth;
    tile.y = y + row * y_row + column;
    tile.y_row = y_row;
    tile.last =
        static_cast<int>(std::min(shape.columns - column, width) - width) + shape.tile->lanes;
    tile.alpha = alpha;
    tile.finish = finish_of(epilogue, column, row * y_row + column);
    return tile;
  }

  int vectors(std::int64_t panel) const {
    return static_cast<int>(shape.width(panel) / shape.tile->lanes);
  }

  // Rows begin to before end, read where they are.
  void rows_in_place(std::int64_t panel, std::int64_t begin, std::int64_t end) const {
    for (; begin < end; begin += shape.tile->rows) {
      PanelTile own = tile(panel, begin);
      own.left = a.values + begin * a.row_step;
      own.left_row = a.row_step;
      own.left_step = a.column_step;
      const std::int64_t rows = std::min<std::int64_t>(shape.tile->rows, end - begin);
      shape.tile->panel(own, static_cast<int>(rows), vectors(panel));
    }
  }

  // Rows begin to before end, packed from `packed` on, as [row of tiles][depth][tile's rows].
  void piece(std::int64_t panel, std::int64_t begin, std::int64_t end, const float* packed,
             float* sums) const {
    const int tile_rows = shape.tile->rows;
    for (std::int64_t k = 0; k < shape.depth || k == 0; k += STEPS) {
      for (std::int64_t row = begin; row < end; row += tile_rows) {
        PanelTile own = tile(panel, row);
        own.panel += k * own.panel_step;
        own.left = packed + (row - begin) * shape.depth + k * tile_rows;
        own.depth = std::min(STEPS, shape.depth - k);
        own.sums = sums + (row - begin) * own.panel_step;
        own.resume = k > 0;
        own.unfinished = k + STEPS < shape.depth;
        shape.tile->packed_panel(
            own, static_cast<int>(std::min<std::int64_t>(tile_rows, end - row)), vectors(panel));
      }
    }
  }
};

void pack_left(const Product& product, std::int64_t first, std::int64_t end, float* to) {
  const PanelShape& shape = product.shape;
  const int tile_rows = shape.tile->rows;
  for (std::int64_t row = first; row < end; row += tile_rows) {
    shape.pack->pack({product.a.values + row * product.a.row_step, product.a.column_step,
                      product.a.row_step, shape.depth, std::min<std::int64_t>(tile_rows, end - row),
                      tile_rows, to});
    to += tile_rows * shape.depth;
  }
}

}  // namespace

std::int64_t PanelShape::count() const { return up(up(columns, tile->lanes), MAX_VECTORS); }

std::int64_t PanelShape::first(std::int64_t panel) const {
  const std::int64_t vectors = up(columns, tile->lanes);
  const bool borrows = panel > 0 && panel == count() - 1 && vectors % MAX_VECTORS == 1;
  return (panel * MAX_VECTORS - (borrows ? 1 : 0)) * tile->lanes;
}

std::int64_t PanelShape::width(std::int64_t panel) const {
  const std::int64_t end =
      panel == count() - 1 ? up(columns, tile->lanes) * tile->lanes : first(panel + 1);
  return end - first(panel);
}

std::int64_t PanelShape::floats() const { return up(columns, tile->lanes) * tile->lanes * depth; }

void pack_panels(const PanelShape& shape, const Matrix& b, std::int64_t begin, std::int64_t end,
                 float* to) {
  for (std::int64_t panel = begin; panel < end; ++panel) {
    const std::int64_t column = shape.first(panel), width = shape.width(panel);
    shape.pack->pack({b.values + column * b.column_step, b.row_step, b.column_step, shape.depth,
                      std::min(width, shape.columns - column), width, to + column * shape.depth});
  }
}

std::size_t panels_scratch_bytes(const PanelShape& shape, std::int64_t rows, int threads) {
  if (in_place(shape, rows)) return 0;
  const std::int64_t packed = up(std::min(rows, PACKED_ROWS), shape.tile->rows) * shape.tile->rows;
  return line_bytes(packed * shape.depth) +
         static_cast<std::size_t>(threads) * line_bytes(sum_floats(shape));
}

void multiply_panels(const PanelShape& shape, const float* panels, std::int64_t rows,
                     const Matrix& a, float* y, std::int64_t y_row, float alpha,
                     const Epilogue& epilogue, std::byte* scratch, Pool& pool) {
  const Product product{shape, panels, a, y, y_row, alpha, epilogue};
  if (in_place(shape, rows)) {
    const std::int64_t pieces = up(rows, PIECE_ROWS);
    pool.split(shape.count() * pieces, [&](std::int64_t begin, std::int64_t end, int) {
      for (; begin < end; ++begin) {
        const std::int64_t first = begin % pieces * PIECE_ROWS;
        product.rows_in_place(begin / pieces, first, std::min(rows, first + PIECE_ROWS));
      }
    });
    return;
  }
  const int tile_rows = shape.tile->rows;
  auto* packed = reinterpret_cast<float*>(scratch);
  const std::int64_t packed_rows = up(std::min(rows, PACKED_ROWS), tile_rows) * tile_rows;
  std::byte* after = scratch + line_bytes(packed_rows * shape.depth);
  for (std::int64_t first = 0; first < rows; first += PACKED_ROWS) {
    const std::int64_t last = std::min(rows, first + PACKED_ROWS);
    pool.split(up(last - first, tile_rows), [&](std::int64_t begin, std::int64_t end, int) {
      pack_left(product, first + begin * tile_rows, std::min(last, first + end * tile_rows),
                packed + begin * tile_rows * shape.depth);
    });
    const std::int64_t pieces = up(last - first, PIECE_ROWS);
    pool.split(shape.count() * pieces, [&](std::int64_t begin, std::int64_t end, int worker) {
      auto* sums = reinterpret_cast<float*>(after + static_cast<std::size_t>(worker) *
                                                        line_bytes(sum_floats(shape)));
      for (; begin < end; ++begin) {
        const std::int64_t offset = begin % pieces * PIECE_ROWS;
        product.piece(begin / pieces, first + offset, std::min(last, first + offset + PIECE_ROWS),
                      packed + offset * shape.depth, sums);
      }
    });
  }
}

std::size_t gemm_scratch_bytes(const GemmShape& shape, int threads) {
  const PanelShape panels{shape.tile, shape.pack, shape.k, shape.n};
  return line_bytes(panels.floats()) + panels_scratch_bytes(panels, shape.m, threads);
}

void gemm(const GemmShape& shape, const Matrix& a, const Matrix& b, float* y, std::int64_t y_row,
          float alpha, const Epilogue& epilogue, std::byte* scratch, Pool& pool) {
  if (shape.m <= 0 || shape.n <= 0) return;
  const PanelShape panels{shape.tile, shape.pack, shape.k, shape.n};
  auto* packed = reinterpret_cast<float*>(scratch);
  pool.split(panels.count(), [&](std::int64_t begin, std::int64_t end, int) {
    pack_panels(panels, b, begin, end, packed);
  });
  multiply_panels(panels, packed, shape.m, a, y, y_row, alpha, epilogue,
                  scratch + line_bytes(panels.floats()), pool);
}

}  // namespace laconic::kernels
