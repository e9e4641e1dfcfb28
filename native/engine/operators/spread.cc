#include "engine/operators/spread.h"

#include <algorithm>

#include "kernels/elementwise.h"

namespace laconic::engine {

Spread::Spread(const std::vector<SpreadAxis>& axes) : last_(axes.back()) {
  std::int64_t rows = 1;
  for (const SpreadAxis& axis : axes) {
    positions_ *= axis.size;
    cells_ *= axis.kernel;
    if (&axis != &axes.back()) rows *= axis.out_size;
  }
  phase_items_ = (last_.out_size + last_.stride - 1) / last_.stride;
  for (std::int64_t cell = 0; cell < last_.kernel; ++cell) {
    const std::int64_t offset = cell * last_.dilation - last_.pad;
    const std::int64_t phase = (offset % last_.stride + last_.stride) % last_.stride;
    const std::int64_t shift = (offset - phase) / last_.stride;
    const std::int64_t room = last_.out_size - phase;  // items of this phase in the row
    const std::int64_t items = room > 0 ? (room + last_.stride - 1) / last_.stride : 0;
    const std::int64_t begin = std::max<std::int64_t>(0, -shift);
    runs_.push_back({phase, shift, begin, std::min(last_.size, items - shift)});
  }
  first_tap_.push_back(0);
  for (std::int64_t row = 0; row < rows; ++row) {
    add_taps(axes, row);
    first_tap_.push_back(taps_.size());
  }
}

void Spread::add_taps(const std::vector<SpreadAxis>& axes, std::int64_t row) {
  std::vector<Tap> found = {{0, 0}};
  std::int64_t cells = last_.kernel, items = last_.size;  // of the axes behind this one
  for (std::size_t i = axes.size() - 1; i-- > 0;) {
    const SpreadAxis& axis = axes[i];
    std::vector<Tap> longer;
    for (std::int64_t cell = 0; cell < axis.kernel; ++cell) {
      const std::int64_t offset = row % axis.out_size + axis.pad - cell * axis.dilation;
      if (offset < 0 || offset % axis.stride != 0 || offset / axis.stride >= axis.size) continue;
      for (const Tap& tap : found) {
        longer.push_back({tap.cell + cell * cells, tap.source + offset / axis.stride * items});
      }
    }
    row /= axis.out_size;
    cells *= axis.kernel;
    items *= axis.size;
    found = std::move(longer);
  }
  taps_.insert(taps_.end(), found.begin(), found.end());
}

void Spread::row(const float* columns, std::int64_t row, float bias, float* y, float* desk) const {
  const auto add = kernels::elementwise().add;
  std::fill_n(desk, desk_items(), bias);
  const auto index = static_cast<std::size_t>(row);
  for (std::size_t t = first_tap_[index]; t < first_tap_[index + 1]; ++t) {
    const Tap& tap = taps_[t];
    for (std::size_t cell = 0; cell < runs_.size(); ++cell) {
      const Run& run = runs_[cell];
      if (run.begin >= run.end) continue;
      const float* source = columns + tap.source + run.begin +
                            (tap.cell + static_cast<std::int64_t>(cell)) * positions_;
      float* target = desk + run.phase * phase_items_ + run.begin + run.shift;
      add(target, 1, source, 1, target, run.end - run.begin);
    }
  }
  for (std::int64_t phase = 0; phase < last_.stride; ++phase) {
    const float* items = desk + phase * phase_items_;
    for (std::int64_t at = phase; at < last_.out_size; at += last_.stride) y[at] = *items++;
  }
}

}  // namespace laconic::engine
