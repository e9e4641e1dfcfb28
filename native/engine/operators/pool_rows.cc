#include "engine/operators/pool_rows.h"

namespace laconic::engine {

namespace {

constexpr std::int64_t MOST_BATCH = 16;     // rows
constexpr std::int64_t BATCH_ITEMS = 4096;  // that stay in the first cache

std::size_t rounded(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

PoolPlan::PoolPlan(const std::vector<WindowAxis>& windows, std::int64_t all_planes, bool count_pads)
    : axes(windows), planes(all_planes) {
  row_strides.assign(axes.size(), 1);
  for (std::size_t i = axes.size(); i-- > 0;) {
    row_strides[i] = area;
    area *= axes[i].size;
    if (i + 1 < axes.size()) rows *= axes[i].count;
  }
  for (const WindowAxis& axis : axes) spans.push_back(spans_of(axis, count_pads));
  const WindowAxis& last = axes.back();
  windows_ = {last.count, last.kernel, last.stride, last.dilation};
  tight_ =
      last.pad_begin == 0 && last.count * last.stride == last.size && last.extent() <= last.stride;
  first_.push_back(0);
  for (std::int64_t row = 0; row < rows; ++row) add_row(row);
}

// The rows of the input that a row of the output sees: the product of what the axes see.
void PoolPlan::add_row(std::int64_t row) {
  std::vector<std::int64_t> seen = {0};
  std::int64_t cells = 1;
  for (std::size_t i = axes.size() - 1; i-- > 0;) {
    const Span& span = spans[i][static_cast<std::size_t>(row % axes[i].count)];
    row /= axes[i].count;
    cells *= span.cells;
    std::vector<std::int64_t> longer;
    for (std::int64_t k = 0; k < span.count; ++k) {
      const std::int64_t offset = (span.first + k * axes[i].dilation) * row_strides[i];
      for (std::int64_t before : seen) longer.push_back(before + offset);
    }
    seen = std::move(longer);
  }
  offsets_.insert(offsets_.end(), seen.begin(), seen.end());
  first_.push_back(static_cast<std::int64_t>(offsets_.size()));
  row_cells_.push_back(cells);
}

std::int64_t PoolPlan::batch() const {
  const std::int64_t fitting =
      std::min(MOST_BATCH, BATCH_ITEMS / std::max<std::int64_t>(readable(), 1));
  return std::clamp<std::int64_t>(fitting, 1, rows);
}

// The rows, what their cells count, and what a window's cells count.
std::size_t PoolPlan::desk_bytes(std::size_t item) const {
  const auto count = static_cast<std::size_t>(batch());
  return rounded(count * static_cast<std::size_t>(readable()) * item) + rounded(count * item) +
         rounded(count * static_cast<std::size_t>(windows_.count) * item);
}

template <typename T, bool mean>
void PoolPlan::run(const T* x, T* y, std::byte* scratch, Pool& pool) const {
  share(pool, planes * area, planes * rows, [&](std::int64_t begin, std::int64_t end, int worker) {
    run_rows<T, mean>(x, y, scratch + static_cast<std::size_t>(worker) * desk_bytes(sizeof(T)),
                      begin, end);
  });
}

template <typename T, bool mean>
void PoolPlan::run_rows(const T* x, T* y, std::byte* desk, std::int64_t begin,
                        std::int64_t end) const {
  const auto& functions = pooling_of<T>();
  const RowsSeen seen{first_.data(), offsets_.data()};
  const std::int64_t most = batch(), size = axes.back().size;
  const std::int64_t pitch = tight_ ? size : readable();
  const auto count = static_cast<std::size_t>(most);
  T* met = reinterpret_cast<T*>(desk);
  T* row_cells = reinterpret_cast<T*>(
      desk + rounded(count * static_cast<std::size_t>(readable()) * sizeof(T)));
  T* cells = row_cells + rounded(count * sizeof(T)) / sizeof(T);
  const T nothing = mean ? T{0} : LOWEST<T>;
  std::fill_n(met, most * readable(), nothing);
  for (std::int64_t i = 0; mean && i < (tight_ ? most : 1) * windows_.count; ++i) {
    const Span& span = spans.back()[static_cast<std::size_t>(i % windows_.count)];
    cells[i] = static_cast<T>(span.cells);
  }
  T* inside = met + axes.back().pad_begin;
  for (std::int64_t index = begin; index < end;) {
    const T* plane = x + index / rows * area;
    const std::int64_t from = index % rows;
    const std::int64_t to = std::min({from + most, rows, from + end - index});
    for (std::int64_t row = from; row < to; ++row) {
      row_cells[row - from] = static_cast<T>(row_cells_[static_cast<std::size_t>(row)]);
      if (first_[static_cast<std::size_t>(row)] == first_[static_cast<std::size_t>(row) + 1]) {
        std::fill_n(inside + (row - from) * pitch, size, nothing);  // sees pads alone
      }
    }
    (mean ? functions.sum_of_rows : functions.largest_of_rows)(plane, seen, from, to, inside, pitch,
                                                               size);
    // Means divide by what each row counts: only rows of equal counts may become one.
    const bool join =
        tight_ && (!mean || axes.size() == 1 ||
                   std::count(row_cells, row_cells + (to - from), row_cells[0]) == to - from);
    RowWindows windows = windows_;
    if (join) windows.count *= to - from;
    const std::int64_t pieces = join ? 1 : to - from;
    T* out = y + index * windows_.count;
    if (mean) {
      functions.mean_in_windows(met, pitch, windows, pieces, row_cells, cells, out);
    } else {
      functions.largest_in_windows(met, pitch, windows, pieces, out);
    }
    index += to - from;
  }
}

#define LACONIC_POOL(T) \
  template void PoolPlan::run<T, false>(const T*, T*, std::byte*, Pool&) const;
LACONIC_POOL(float)
LACONIC_POOL(double)
LACONIC_POOL(std::uint8_t)
LACONIC_POOL(std::int8_t)
LACONIC_POOL(std::uint16_t)
LACONIC_POOL(std::int16_t)
LACONIC_POOL(std::uint32_t)
LACONIC_POOL(std::int32_t)
LACONIC_POOL(std::uint64_t)
LACONIC_POOL(std::int64_t)
#undef LACONIC_POOL
template void PoolPlan::run<float, true>(const float*, float*, std::byte*, Pool&) const;
template void PoolPlan::run<double, true>(const double*, double*, std::byte*, Pool&) const;

}  // namespace laconic::engine
