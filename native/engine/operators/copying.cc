#include "engine/operators/copying.h"

#include <algorithm>
#include <cstring>

namespace laconic::engine {

namespace {

// A tile of 4-byte items is 16 cache lines on either side.
constexpr std::int64_t TILE = 16;

// From this length on, a run is copied as a whole.
constexpr std::int64_t LONG_RUN = 8;

template <typename T>
void copy_strided(const T* source, std::int64_t source_stride, T* target,
                  std::int64_t target_stride, std::int64_t count) {
  if (source_stride == 0 && target_stride == 1) {
    std::fill_n(target, count, *source);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) target[i * target_stride] = source[i * source_stride];
}

// Loops over an axis of size 1 vanish, and two loops that continue each other become one.
std::vector<Axis> simplified(const std::vector<Axis>& axes) {
  std::vector<Axis> out;
  for (const Axis& axis : axes) {
    if (axis.size == 1) continue;
    if (!out.empty() && out.back().source == axis.source * axis.size &&
        out.back().target == axis.target * axis.size) {
      out.back() = {out.back().size * axis.size, axis.source, axis.target};
    } else {
      out.push_back(axis);
    }
  }
  return out;
}

// Walks over the outer axes, one step at a time.
class Walk {
 public:
  Walk(const std::vector<Axis>& axes, std::int64_t index) : axes_(axes) {
    for (std::size_t i = axes.size(); i-- > 0;) {
      place_[i] = index % axes[i].size;
      index /= axes[i].size;
      source += place_[i] * axes[i].source;
      target += place_[i] * axes[i].target;
    }
  }
  void next() {
    for (std::size_t i = axes_.size(); i-- > 0;) {
      source += axes_[i].source;
      target += axes_[i].target;
      if (++place_[i] < axes_[i].size) return;
      source -= place_[i] * axes_[i].source;
      target -= place_[i] * axes_[i].target;
      place_[i] = 0;
    }
  }

  std::int64_t source = 0;
  std::int64_t target = 0;

 private:
  const std::vector<Axis>& axes_;
  std::array<std::int64_t, 2 * MAX_RANK> place_{};
};

}  // namespace

std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(shape.rank()));
  for (int axis = 0; axis < shape.rank(); ++axis) {
    out[static_cast<std::size_t>(axis)] = shape.count(axis + 1, shape.rank());
  }
  return out;
}

StridedCopy::StridedCopy(const std::vector<Axis>& axes, std::int64_t source_start,
                         std::int64_t target_start)
    : outer_(simplified(axes)), source_start_(source_start), target_start_(target_start) {
  if (outer_.size() > 2 * MAX_RANK) throw Unsupported("a copy over more than 16 dimensions");
  count_ = 1;
  for (const Axis& axis : outer_) count_ *= axis.size;
  inner_ = {1, 1, 1};
  if (outer_.empty()) return;
  inner_ = outer_.back();
  outer_.pop_back();
  if (inner_.source == 1 || inner_.target != 1) return;
  const auto unit =
      std::find_if(outer_.begin(), outer_.end(), [](const Axis& axis) { return axis.source == 1; });
  if (unit == outer_.end()) return;
  across_ = *unit;
  tiled_ = true;
  outer_.erase(unit);
}

StridedCopy StridedCopy::dense(const Shape& target, const std::vector<std::int64_t>& source_strides,
                               std::int64_t source_start) {
  const std::vector<std::int64_t> strides = strides_of(target);
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    axes.push_back({target[static_cast<int>(i)], source_strides[i], strides[i]});
  }
  return StridedCopy(axes, source_start, 0);
}

void StridedCopy::rows(const std::byte* source, std::byte* target, std::size_t item,
                       std::int64_t begin, std::int64_t end) const {
  const bool dense = inner_.source == 1 && inner_.target == 1;
  with_item(item, [&](auto kind) {
    using T = decltype(kind);
    const T* from = reinterpret_cast<const T*>(source) + source_start_;
    T* to = reinterpret_cast<T*>(target) + target_start_;
    Walk walk(outer_, begin);
    for (std::int64_t index = begin; index < end; ++index, walk.next()) {
      if (dense) {
        std::memcpy(to + walk.target, from + walk.source,
                    static_cast<std::size_t>(inner_.size) * sizeof(T));
      } else {
        copy_strided(from + walk.source, inner_.source, to + walk.target, inner_.target,
                     inner_.size);
      }
    }
  });
}

void StridedCopy::tiles(const std::byte* source, std::byte* target, std::size_t item,
                        std::int64_t begin, std::int64_t end) const {
  const std::int64_t bands = (across_.size + TILE - 1) / TILE;
  with_item(item, [&](auto kind) {
    using T = decltype(kind);
    const T* from = reinterpret_cast<const T*>(source) + source_start_;
    T* to = reinterpret_cast<T*>(target) + target_start_;
    Walk walk(outer_, begin / bands);
    for (std::int64_t index = begin; index < end; ++index) {
      if (index > begin && index % bands == 0) walk.next();
      const std::int64_t top = index % bands * TILE;
      const std::int64_t height = std::min(TILE, across_.size - top);
      for (std::int64_t left = 0; left < inner_.size; left += TILE) {
        const std::int64_t width = std::min(TILE, inner_.size - left);
        const T* corner = from + walk.source + top + left * inner_.source;
        T* row = to + walk.target + top * across_.target + left;
        for (std::int64_t y = 0; y < height; ++y, row += across_.target) {
          for (std::int64_t x = 0; x < width; ++x) row[x] = corner[y + x * inner_.source];
        }
      }
    }
  });
}

void StridedCopy::run(const void* source, void* target, std::size_t item, Pool& pool) const {
  if (count_ == 0) return;
  const auto* from = static_cast<const std::byte*>(source);
  auto* to = static_cast<std::byte*>(target);
  std::int64_t steps = 1;
  for (const Axis& axis : outer_) steps *= axis.size;
  if (tiled_) steps *= (across_.size + TILE - 1) / TILE;
  share(pool, count_, steps, [&](std::int64_t begin, std::int64_t end, int) {
    if (tiled_) {
      tiles(from, to, item, begin, end);
    } else {
      rows(from, to, item, begin, end);
    }
  });
}

MappedCopy::MappedCopy(const Shape& source, std::vector<std::vector<std::int64_t>> places) {
  const std::vector<std::int64_t> strides = strides_of(source);
  // Trailing axes that are copied whole make one piece.
  std::size_t rank = places.size();
  const auto whole = [&](std::size_t axis) {
    if (static_cast<std::int64_t>(places[axis].size()) != source[static_cast<int>(axis)]) {
      return false;
    }
    for (std::size_t i = 0; i < places[axis].size(); ++i) {
      if (places[axis][i] != static_cast<std::int64_t>(i)) return false;
    }
    return true;
  };
  while (rank > 0 && whole(rank - 1)) piece_ *= source[static_cast<int>(--rank)];
  for (std::size_t axis = 0; axis < rank; ++axis) {
    for (std::int64_t& place : places[axis]) place *= strides[axis];
  }
  if (rank > 0) {
    row_ = std::move(places[rank - 1]);
    places.resize(rank - 1);
  } else {
    row_ = {0};
    places.clear();
  }
  outer_ = std::move(places);
  for (const auto& axis : outer_) rows_ *= static_cast<std::int64_t>(axis.size());
  find_pattern();
}

// Frames are long runs; an enlargement to the double repeats each item once.
void MappedCopy::find_pattern() {
  const auto size = static_cast<std::int64_t>(row_.size());
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t offset = row_[static_cast<std::size_t>(i)];
    if (!runs_.empty() && offset == runs_.back().offset + runs_.back().count * piece_) {
      ++runs_.back().count;
    } else {
      runs_.push_back({i, offset, 1});
    }
  }
  if (static_cast<std::int64_t>(runs_.size()) * LONG_RUN > size) runs_.clear();
  doubled_ = size % 2 == 0;
  for (std::int64_t i = 0; i < size; ++i) {
    doubled_ = doubled_ && row_[static_cast<std::size_t>(i)] == row_[0] + i / 2 * piece_;
  }
}

template <typename T>
void MappedCopy::copy_row(const T* line, T* to) const {
  if (!runs_.empty()) {
    for (const Run& run : runs_) {
      std::memcpy(to + run.place * piece_, line + run.offset,
                  static_cast<std::size_t>(run.count * piece_) * sizeof(T));
    }
    return;
  }
  const auto pieces = static_cast<std::int64_t>(row_.size());
  if (piece_ > 1) {
    for (std::int64_t i = 0; i < pieces; ++i) {
      std::memcpy(to + i * piece_, line + row_[static_cast<std::size_t>(i)],
                  static_cast<std::size_t>(piece_) * sizeof(T));
    }
  } else if (doubled_) {
    const T* from = line + row_[0];
    for (std::int64_t i = 0; i < pieces / 2; ++i) to[2 * i] = to[2 * i + 1] = from[i];
  } else {
    for (std::int64_t i = 0; i < pieces; ++i) to[i] = line[row_[static_cast<std::size_t>(i)]];
  }
}

std::int64_t MappedCopy::row_start(std::int64_t row) const {
  std::int64_t start = 0;
  for (std::size_t axis = outer_.size(); axis-- > 0;) {
    const auto size = static_cast<std::int64_t>(outer_[axis].size());
    start += outer_[axis][static_cast<std::size_t>(row % size)];
    row /= size;
  }
  return start;
}

void MappedCopy::run(const void* source, void* target, std::size_t item, Pool& pool) const {
  const auto pieces = static_cast<std::int64_t>(row_.size());
  const std::int64_t width = pieces * piece_;
  if (width * rows_ == 0) return;
  share(pool, width * rows_, rows_, [&](std::int64_t begin, std::int64_t end, int) {
    with_item(item, [&](auto kind) {
      using T = decltype(kind);
      const T* from = static_cast<const T*>(source);
      T* to = static_cast<T*>(target) + begin * width;
      std::int64_t before = -1;
      for (std::int64_t row = begin; row < end; ++row, to += width) {
        const std::int64_t start = row_start(row);
        if (start == before) {  // nearest neighbours repeat rows
          std::memcpy(to, to - width, static_cast<std::size_t>(width) * sizeof(T));
        } else {
          copy_row(from + start, to);
        }
        before = start;
      }
    });
  });
}

void give(Planning& planning, int output, const Tensor& tensor) {
  with_type(tensor.type, [&](auto item) {
    using T = decltype(item);
    std::copy_n(tensor.as<T>(), tensor.count(), planning.known<T>(output, tensor.shape));
  });
}

void fill(void* target, const void* value, std::size_t item, std::int64_t count) {
  with_item(item, [&](auto kind) {
    using T = decltype(kind);
    T one;
    std::memcpy(&one, value, sizeof one);
    std::fill_n(static_cast<T*>(target), count, one);
  });
}

}  // namespace laconic::engine
