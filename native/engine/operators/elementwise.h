// Loops over items for the operators of one, two or more operands.
#pragma once

#include <type_traits>

#include "engine/operators/broadcast.h"
#include "kernels/elementwise.h"

namespace laconic::engine {

constexpr std::int64_t SHORT_ROW = 16;  // items; a shorter row is not worth the call of a kernel

// y = function(a, b) through a kernel; Y is float or, for comparisons, std::uint8_t.
template <typename Y>
using Kernel = void (*)(const float* a, int a_step, const float* b, int b_step, Y* y,
                        std::int64_t count);

// The items of an operand for items begin to before end of the output: where they lie already, or
// copied into `space`.
inline const float* laid_out(const Broadcast& shapes, int operand, const float* items,
                             std::int64_t begin, std::int64_t end, float* space) {
  if (shapes.whole(operand)) return items + begin;
  const std::int64_t step = shapes.step(operand);
  float* to = space;
  shapes.walk(begin, end, [&](std::int64_t, const Broadcast::Places& places, std::int64_t count) {
    const float* from = items + places[static_cast<std::size_t>(operand)];
    for (std::int64_t i = 0; i < count; ++i) *to++ = from[i * step];
  });
  return space;
}

template <typename Y>
void combine_floats(Pool& pool, const Broadcast& shapes, Kernel<Y> kernel, const float* a,
                    const float* b, Y* y) {
  const bool rows = shapes.row() >= SHORT_ROW || shapes.row() == shapes.count();
  split_items(pool, shapes.count(), 1, [&](std::int64_t begin, std::int64_t end) {
    if (rows) {
      shapes.walk(
          begin, end, [&](std::int64_t first, const Broadcast::Places& places, std::int64_t count) {
            kernel(a + places[0], shapes.step(0), b + places[1], shapes.step(1), y + first, count);
          });
      return;
    }
    constexpr std::int64_t SPACE = 512;
    float left[SPACE], right[SPACE];
    for (; begin < end; begin += SPACE) {
      const std::int64_t stop = std::min(end, begin + SPACE);
      kernel(laid_out(shapes, 0, a, begin, stop, left), 1,
             laid_out(shapes, 1, b, begin, stop, right), 1, y + begin, stop - begin);
    }
  });
}

// y = function(a, b) for any types.
template <typename A, typename B, typename Y, typename Function>
void combine_items(Pool& pool, const Broadcast& shapes, const A* a, const B* b, Y* y,
                   const Function& function) {
  const std::int64_t a_step = shapes.step(0), b_step = shapes.step(1);
  split_items(pool, shapes.count(), 1, [&](std::int64_t begin, std::int64_t end) {
    shapes.walk(begin, end,
                [&](std::int64_t first, const Broadcast::Places& places, std::int64_t count) {
                  const A* left = a + places[0];
                  const B* right = b + places[1];
                  Y* to = y + first;
                  for (std::int64_t i = 0; i < count; ++i) {
                    to[i] = static_cast<Y>(function(left[i * a_step], right[i * b_step]));
                  }
                });
  });
}

// The shapes of an operator's operands, worked out once.
struct Operands : Prepared {
  Operands(const Shape& out, const std::vector<Shape>& operands) : shapes(out, operands) {}
  Broadcast shapes;
};

// Declares an output of the shape that inputs 0 and 1 broadcast to.
std::unique_ptr<Prepared> plan_pair(Planning& planning, DType type);

// Which C++ types an operator takes; one of these is its member `takes`.
template <typename T>
constexpr bool IS_NUMBER = !std::is_same_v<T, bool>;
template <typename T>
constexpr bool IS_INTEGER = IS_NUMBER<T> && std::is_integral_v<T>;
template <typename T>
constexpr bool IS_REAL = std::is_floating_point_v<T>;
template <typename T>
constexpr bool IS_TRUTH = std::is_same_v<T, bool>;

// Mismatch unless Function takes this type.
template <typename Function>
void require_type(const std::string& operation, const Tensor& x) {
  bool taken = false;
  with_type(x.type, [&](auto item) { taken = Function::template takes<decltype(item)>; });
  if (!taken) throw Mismatch(operation + " does not take " + x.text());
}

}  // namespace laconic::engine
