// Reductions of any type, item by item, in the widest type of its kind.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "engine/operators/axes.h"
#include "engine/operators/broadcast.h"
#include "engine/tensor.h"

namespace laconic::engine {

// Calls function(W{}) with what totals of a type are kept in: double, std::uint64_t (truths too) or
// std::int64_t.
template <typename Function>
void with_wide_type(DType type, Function&& function) {
  with_type(type, [&](auto item) {
    using T = decltype(item);
    if constexpr (std::is_floating_point_v<T>) {
      function(double{});
    } else if constexpr (std::is_unsigned_v<T>) {
      function(std::uint64_t{});
    } else {
      function(std::int64_t{});
    }
  });
}

// `count` items from a place of x on, `stride` apart.
template <typename W>
void read_items(const Tensor& x, std::int64_t place, std::int64_t stride, std::int64_t count,
                W* out) {
  with_type(x.type, [&](auto item) {
    const auto* from = x.as<decltype(item)>() + place;
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<W>(from[i * stride]);
  });
}

// Integers that do not fit wrap around.
template <typename W>
void write_item(const Tensor& y, std::int64_t place, W value) {
  with_type(y.type, [&](auto item) {
    using T = decltype(item);
    y.as<T>()[place] = static_cast<T>(value);
  });
}

// Fold<W> has take(W item) and result(number of items), a W.
template <template <typename> class Fold>
void fold_items(Pool& pool, const Axes& axes, const Tensor& x, const Tensor& y) {
  constexpr std::int64_t SPACE = 256;
  const Loops outer = axes.gone.outer();
  const int last = axes.gone.rank() - 1;
  const std::int64_t depth = axes.gone.size(last), stride = axes.gone.stride(last);
  const std::int64_t items = axes.gone.count(), rows = items > 0 ? outer.count() : 0;
  with_wide_type(x.type, [&](auto wide) {
    using W = decltype(wide);
    split_items(pool, axes.kept.count(), items, [&](std::int64_t begin, std::int64_t end) {
      W space[SPACE];
      for (std::int64_t i = begin; i < end; ++i) {
        Fold<W> fold;
        for (std::int64_t row = 0; row < rows; ++row) {
          const std::int64_t place = axes.kept.place(i) + outer.place(row);
          for (std::int64_t first = 0; first < depth; first += SPACE) {
            const std::int64_t count = std::min(SPACE, depth - first);
            read_items(x, place + first * stride, stride, count, space);
            for (std::int64_t k = 0; k < count; ++k) fold.take(space[k]);
          }
        }
        write_item(y, i, fold.result(items));
      }
    });
  });
}

}  // namespace laconic::engine
