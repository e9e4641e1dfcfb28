#include "coding/planes.h"

namespace laconic::coding {
namespace {

template <typename T>
void require_byte(int index) {
  require(index >= 0 && index < static_cast<int>(sizeof(T)), "an item has no such byte");
}

}  // namespace

template <typename T>
void plane_split(const T* items, std::size_t count, int index, std::uint8_t* plane) {
  require_byte<T>(index);
  const int shift = 8 * index;
  for (std::size_t i = 0; i < count; ++i) plane[i] = static_cast<std::uint8_t>(items[i] >> shift);
}

template <typename T>
void plane_join(const std::uint8_t* plane, int index, T* items, std::size_t count) {
  require_byte<T>(index);
  const int shift = 8 * index;
  const T others = static_cast<T>(~(T{0xFF} << shift));
  for (std::size_t i = 0; i < count; ++i) {
    items[i] = static_cast<T>((items[i] & others) | (T{plane[i]} << shift));
  }
}

#define LACONIC_FOR(T)                                                       \
  template void plane_split<T>(const T*, std::size_t, int, std::uint8_t*);   \
  template void plane_join<T>(const std::uint8_t*, int, T*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
