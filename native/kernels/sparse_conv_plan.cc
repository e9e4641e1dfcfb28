#include "kernels/sparse_conv_plan.h"

#include <algorithm>
#include <stdexcept>

namespace laconic::kernels {

namespace {

std::int64_t round_up(std::int64_t a, std::int64_t to) { return (a + to - 1) / to * to; }

}  // namespace

SparseConvPlan::SparseConvPlan(const SparseFilters& filters, const ConvShape& shape)
    : kernels_(sparse_conv_kernels()),
      fill_(sparse_fill_kernels().fill),
      shape_(flattened(shape)),
      flat_(shape_.height != shape.height),
      tiling_(choose_tiling(shape_, static_cast<std::int64_t>(filters.values.size()),
                            {kernels_.lanes, kernels_.vectors})),
      y_(shape_.kernel_height, shape_.stride_y, shape_.dilation_y, shape_.pad_top),
      x_(shape_.kernel_width, shape_.stride_x, shape_.dilation_x, shape_.pad_left),
      wanted_apart_(find_wanted(filters)) {
  if (tiling_.cycles < 0) throw std::length_error("a dilation that no tile is made for");
  for (std::int64_t bytes = tiling_.unit * 4; bytes > 1; bytes /= 2) ++unit_bits_;
  plan_runs();
  plan_taps();
  plan_masks();
  plan_terms(filters);
}

std::int64_t SparseConvPlan::find_wanted(const SparseFilters& filters) const {
  if (flat_ || tiling_.direct) return 0;
  ConvShape other = shape_;
  other.x_apart = rows_outside(shape_, y_);
  // More rows of zeros than that cost their writer what they spare the reader.
  if (2 * other.x_apart > shape_.height) return 0;
  const SparseTiling tiling = choose_tiling(other, static_cast<std::int64_t>(filters.values.size()),
                                            {kernels_.lanes, kernels_.vectors});
  return tiling.direct ? other.x_apart : 0;
}

// The shift 0 comes second: the first run is slid in registers, and it is added on top.
void SparseConvPlan::plan_runs() {
  std::vector<std::int64_t> shifts;
  if (tiling_.slid) {
    for (const std::int64_t shift : x_.shift) shifts.push_back(shift - tiling_.first_column);
  }
  std::sort(shifts.begin(), shifts.end());
  shifts.erase(std::unique(shifts.begin(), shifts.end()), shifts.end());
  shifts.erase(std::remove(shifts.begin(), shifts.end(), 0), shifts.end());
  shifts.insert(shifts.begin() + (shifts.empty() ? 0 : 1), 0);
  run_shifts_ = shifts;
  for (const std::int64_t shift : shifts) {
    slides_.push_back(static_cast<int>(shift % kernels_.lanes));
  }
}

std::int64_t SparseConvPlan::find_plane(const Plane& wanted) {
  for (std::size_t i = 0; i < planes_.size(); ++i) {
    const Plane& plane = planes_[i];
    if (plane.phase_y == wanted.phase_y && plane.phase_x == wanted.phase_x &&
        plane.shift == wanted.shift && plane.skip == wanted.skip) {
      return static_cast<std::int64_t>(i);
    }
  }
  planes_.push_back(wanted);
  return static_cast<std::int64_t>(planes_.size()) - 1;
}

void SparseConvPlan::plan_taps() {
  const std::int64_t lanes = kernels_.lanes;
  for (std::size_t ky = 0; ky < y_.shift.size(); ++ky) {
    for (std::size_t kx = 0; kx < x_.shift.size(); ++kx) {
      const std::int64_t flat = (y_.shift[ky] - y_.least) * tiling_.row_step();
      const std::int64_t skip = tiling_.aligned ? flat % lanes : 0;
      const std::int64_t slid = tiling_.slid ? x_.shift[kx] - tiling_.first_column : 0;
      const std::int64_t moved = tiling_.slid ? 0 : x_.shift[kx];
      const std::int64_t plane = find_plane({y_.phase[ky], x_.phase[kx], moved, skip});
      const auto run = std::find(run_shifts_.begin(), run_shifts_.end(), slid);
      const std::int64_t whole = slid / lanes * lanes;
      taps_.push_back({plane * tiling_.plane_floats + tiling_.lead + flat - skip + whole,
                       static_cast<int>(run - run_shifts_.begin())});
    }
  }
}

// A lane of the output is masked where it would take a sum from outside its row, unless that sum is
// of a gap, where the slab holds zeros.
void SparseConvPlan::plan_masks() {
  const std::int64_t size =
      tiling_.vectors(tiling_.rows, kernels_.lanes) * static_cast<std::int64_t>(kernels_.lanes);
  for (const std::int64_t shift : run_shifts_) {
    std::vector<std::uint16_t> mask(static_cast<std::size_t>(size / kernels_.lanes), 0xffff);
    bool needed = false;
    for (std::int64_t lane = 0; lane < size; ++lane) {
      const std::int64_t column = lane % tiling_.pitch;
      const bool inside = column + shift >= 0 && column + shift < tiling_.columns;
      const bool stored = column < tiling_.width;
      if (inside || !stored) continue;
      const unsigned bit = 1u << (lane % kernels_.lanes);
      std::uint16_t& lanes = mask[static_cast<std::size_t>(lane / kernels_.lanes)];
      lanes = static_cast<std::uint16_t>(lanes & ~bit);
      const bool reachable = std::abs(shift) < kernels_.lanes;
      const std::int64_t from = column + shift + (shift < 0 ? tiling_.pitch : 0);
      const bool gap = from >= tiling_.columns && from < tiling_.pitch;
      needed = needed || !reachable || !gap;
    }
    masks_.push_back(needed ? mask : std::vector<std::uint16_t>());
  }
  for (const auto& mask : masks_) mask_pointers_.push_back(mask.empty() ? nullptr : mask.data());
}

std::int64_t SparseConvPlan::blocks() const {
  const std::int64_t channels = shape_.channels / shape_.groups;
  return (channels + tiling_.channel_block - 1) / tiling_.channel_block;
}

void SparseConvPlan::plan_terms(const SparseFilters& filters) {
  const auto taps = static_cast<std::int64_t>(taps_.size());
  const std::int64_t block_depth = tiling_.channel_block * taps;
  const auto runs = static_cast<std::int64_t>(run_shifts_.size());
  offsets_.resize(filters.values.size());
  values_.resize(filters.values.size());
  starts_.assign(static_cast<std::size_t>(blocks() * shape_.outputs * runs + 1), 0);
  const auto each = [&](auto&& visit) {
    for (std::int64_t row = 0; row < shape_.outputs * filters.sections; ++row) {
      const std::int64_t output = row / filters.sections;
      const std::int64_t base = row % filters.sections * 65536;
      for (std::uint32_t i = filters.starts[static_cast<std::size_t>(row)];
           i < filters.starts[static_cast<std::size_t>(row) + 1]; ++i) {
        const std::int64_t position = base + filters.positions[i];
        const Tap& tap = taps_[static_cast<std::size_t>(position % taps)];
        const std::int64_t block = position / block_depth;
        const std::int64_t offset =
            tiling_.margin + tap.offset + position % block_depth / taps * tiling_.channel_floats;
        visit(static_cast<std::size_t>((block * shape_.outputs + output) * runs + tap.run),
              static_cast<std::uint16_t>(offset / tiling_.unit), filters.values[i]);
      }
    }
  };
  each([&](std::size_t place, std::uint16_t, float) { ++starts_[place + 1]; });
  for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
  std::vector<std::int32_t> next(starts_);
  each([&](std::size_t place, std::uint16_t offset, float value) {
    const auto term = static_cast<std::size_t>(next[place]++);
    offsets_[term] = offset;
    values_[term] = value;
  });
}

std::int64_t SparseConvPlan::slab_floats() const {
  if (tiling_.direct) return 0;
  return 2 * tiling_.margin + tiling_.channel_block * tiling_.channel_floats;
}

std::int64_t SparseConvPlan::partial_floats() const {
  if (blocks() == 1) return 0;
  return shape_.outputs / shape_.groups * tiling_.vectors(tiling_.rows, kernels_.lanes) *
         kernels_.lanes;
}

std::size_t SparseConvPlan::worker_bytes() const {
  // Behind the slab: what a filled plane spills over, then one output's sums.
  const std::int64_t floats =
      round_up(slab_floats() + kernels_.lanes, 16) + SPARSE_VECTORS * 16 + partial_floats();
  return static_cast<std::size_t>(round_up(floats * 4, 64));
}

std::size_t SparseConvPlan::scratch_bytes(std::int64_t, int threads) const {
  return worker_bytes() * static_cast<std::size_t>(threads);
}

void SparseConvPlan::fill_slab(const float* image, std::int64_t channels, std::int64_t row,
                               std::int64_t column, float* slab) const {
  float* to = slab + tiling_.lead;
  for (const Plane& plane : planes_) {
    const std::int64_t first_y = (row + y_.least) * shape_.stride_y + plane.phase_y;
    const std::int64_t first_x =
        (column + tiling_.first_column + plane.shift) * shape_.stride_x + plane.phase_x;
    fill_({image, shape_.height, shape_.width, first_y, shape_.stride_y, first_x, shape_.stride_x,
           to, tiling_.slab_rows, tiling_.folds, tiling_.fold_rows, tiling_.pitch, plane.skip,
           channels, x_plane(), tiling_.channel_floats});
    to += tiling_.plane_floats;
  }
}

SparseTile SparseConvPlan::describe(const Item& item, const Epilogue& epilogue, float* y,
                                    float* scratch) const {
  const std::int64_t inside = item.row * shape_.out_width + item.column;
  const std::int64_t before = item.image * shape_.outputs;
  SparseTile tile{};
  tile.first_output = item.first_output;
  tile.outputs = item.outputs;
  tile.slab = scratch;
  tile.offsets = offsets_.data();
  tile.values = values_.data();
  tile.unit_bits = unit_bits_;
  tile.runs = static_cast<int>(run_shifts_.size());
  tile.shifts = slides_.data();
  tile.masks = mask_pointers_.data();
  tile.hold = scratch + round_up(slab_floats() + kernels_.lanes, 16);
  tile.partial = tile.hold + SPARSE_VECTORS * 16;
  tile.y_plane = y_plane();
  tile.y = y + before * tile.y_plane + inside;
  tile.y_row = shape_.out_width;
  tile.rows = static_cast<int>(std::min(tiling_.rows, shape_.out_height - item.row));
  tile.width = static_cast<int>(std::min(tiling_.width, shape_.out_width - item.column));
  tile.spill = tiling_.pieces == 1;
  tile.pitch = static_cast<int>(tiling_.pitch);
  tile.fold_rows = tiling_.folds > 1 ? static_cast<int>(tiling_.fold_rows) : 0;
  tile.scale = epilogue.scale;
  tile.bias = epilogue.bias;
  tile.addend_plane = (shape_.out_height + shape_.addend_apart) * shape_.out_width;
  if (epilogue.addend != nullptr) {
    tile.addend = epilogue.addend + before * tile.addend_plane + inside;
  }
  tile.low = epilogue.low;
  tile.high = epilogue.high;
  return tile;
}

// Each block of channels is copied right before it is used, which brings it into the cache.
void SparseConvPlan::run_item(const Item& item, const float* x, float* y, const Epilogue& epilogue,
                              float* scratch) const {
  const std::int64_t plane = x_plane();
  const std::int64_t channels = shape_.channels / shape_.groups;
  const std::int64_t group = item.first_output / (shape_.outputs / shape_.groups);
  const float* const image = x + (item.image * shape_.channels + group * channels) * plane;
  SparseTile tile = describe(item, epilogue, y, scratch);
  // The last piece of a row may be shorter: nothing of the input beyond it is read.
  const std::int64_t unused = tile.rows == 1 ? tiling_.width - tile.width : 0;
  const std::int64_t lanes = tile.rows * tiling_.pitch - unused;
  const std::int64_t vectors =
      tiling_.folds > 1 ? tiling_.fold_rows : (lanes + kernels_.lanes - 1) / kernels_.lanes;
  const auto run = kernels_.tile[vectors - 1];
  for (std::int64_t block = 0; block < blocks(); ++block) {
    const std::int64_t first = block * tiling_.channel_block;
    if (tiling_.direct) {
      tile.slab = image + first * plane + (item.row + y_.least) * shape_.width + item.column;
    } else {
      fill_slab(image + first * plane, std::min(tiling_.channel_block, channels - first), item.row,
                item.column, scratch + tiling_.margin);
    }
    tile.starts = starts_.data() + (block * shape_.outputs + item.first_output) * tile.runs;
    tile.first = block == 0;
    tile.last = block == blocks() - 1;
    run(tile);
  }
  if (shape_.y_apart > 0) write_zeros(item, y);
}

// The rows of zeros behind the planes that this item ends, and those before all.
void SparseConvPlan::write_zeros(const Item& item, float* y) const {
  const std::int64_t size = shape_.y_apart * shape_.out_width;
  const std::int64_t first = item.image * shape_.outputs + item.first_output;
  if (first == 0 && item.row == 0 && item.column == 0) std::fill_n(y - size, size, 0.0f);
  if (item.column != 0 || item.row + tiling_.rows < shape_.out_height) return;
  for (std::int64_t output = first; output < first + item.outputs; ++output) {
    std::fill_n(y + (output + 1) * y_plane() - size, size, 0.0f);
  }
}

void SparseConvPlan::run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
                         std::byte* scratch, Pool& pool) const {
  const std::int64_t tiles = tiling_.tiles();
  const std::int64_t group_outputs = shape_.outputs / shape_.groups;
  const std::int64_t units = images * tiles * shape_.groups;
  // Too few tiles for the threads: cut the outputs too. Each sum is made by one thread whatever.
  const std::int64_t threads = pool.threads();
  const bool uneven = units % threads != 0 && units < 4 * threads;
  const std::int64_t parts = uneven ? std::min(threads, group_outputs) : 1;
  pool.split(units * parts, [&](std::int64_t begin, std::int64_t end, int worker) {
    const std::size_t place = worker_bytes() * static_cast<std::size_t>(worker);
    float* const own = reinterpret_cast<float*>(scratch + place);
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t unit = index / parts, part = index % parts;
      const std::int64_t group = unit % shape_.groups, tile = unit / shape_.groups % tiles;
      const std::int64_t from = group_outputs * part / parts;
      const std::int64_t to = group_outputs * (part + 1) / parts;
      run_item({unit / (shape_.groups * tiles), tile / tiling_.pieces * tiling_.rows,
                tile % tiling_.pieces * tiling_.width, group * group_outputs + from, to - from},
               x, y, epilogue, own);
    }
  });
}

}  // namespace laconic::kernels
