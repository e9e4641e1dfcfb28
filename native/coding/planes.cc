#include "coding/planes.h"

namespace laconic::coding {
namespace {

// Which bit of an item is the lowest of the plane.
template <typename T>
int shift_of(int index, int turn) {
  constexpr int kWidth = static_cast<int>(8 * sizeof(T));
  require(index >= 0 && index < static_cast<int>(sizeof(T)), "an item has no such byte");
  require(turn >= 0 && turn <= 7, "items are turned by 0 to 7 bits");
  return (8 * index - turn + kWidth) % kWidth;
}

template <typename T>
T turned_left(T item, int shift) {
  constexpr int kWidth = static_cast<int>(8 * sizeof(T));
  if (shift == 0) return item;
  return static_cast<T>(static_cast<T>(item << shift) | static_cast<T>(item >> (kWidth - shift)));
}

}  // namespace

template <typename T>
void plane_split(const T* items, std::size_t count, int index, int turn, std::uint8_t* plane) {
  constexpr int kWidth = static_cast<int>(8 * sizeof(T));
  const int shift = shift_of<T>(index, turn);
  if (shift + 8 <= kWidth) {
    for (std::size_t i = 0; i < count; ++i) plane[i] = static_cast<std::uint8_t>(items[i] >> shift);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {  // the plane goes on with the low bits
    plane[i] = static_cast<std::uint8_t>(turned_left(items[i], kWidth - shift));
  }
}

template <typename T>
void plane_join(const std::uint8_t* plane, int index, int turn, T* items, std::size_t count) {
  const int shift = shift_of<T>(index, turn);
  const T others = static_cast<T>(~turned_left(T{0xFF}, shift));
  for (std::size_t i = 0; i < count; ++i) {
    items[i] = static_cast<T>((items[i] & others) | turned_left(T{plane[i]}, shift));
  }
}

#define LACONIC_FOR(T)                                                            \
  template void plane_split<T>(const T*, std::size_t, int, int, std::uint8_t*);   \
  template void plane_join<T>(const std::uint8_t*, int, int, T*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
