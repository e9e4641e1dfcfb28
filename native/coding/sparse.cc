#include "coding/sparse.h"

#include <algorithm>

namespace laconic::coding {

template <typename T>
void gap_split(const T* dense, std::size_t count, int width, std::uint16_t* gaps, T* values,
               std::size_t entries) {
  require(width >= 1 && width <= 16, "a gap takes from 1 to 16 bits");
  const std::size_t largest = (std::size_t{1} << width) - 1;
  std::size_t used = 0;
  std::size_t run = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (dense[i] == 0) {
      ++run;
      continue;
    }
    for (; run > largest; run -= largest + 1) {
      require(used < entries, "there are more entries than room");
      gaps[used] = static_cast<std::uint16_t>(largest);
      values[used++] = 0;
    }
    require(used < entries, "there are more entries than room");
    gaps[used] = static_cast<std::uint16_t>(run);
    values[used++] = dense[i];
    run = 0;
  }
  require(used == entries, "there is more room than entries");
}

template <typename T>
std::int64_t gap_join(const std::uint16_t* gaps, const T* values, std::size_t entries, T* dense,
                      std::size_t count) {
  std::fill(dense, dense + count, T{0});
  std::size_t place = 0;  // at most `count`, so that nothing below overflows
  for (std::size_t i = 0; i < entries; ++i) {
    if (count - place <= gaps[i]) return static_cast<std::int64_t>(i);
    place += gaps[i];
    dense[place++] = values[i];
  }
  return kGood;
}

template <typename T>
void bitmap_split(const T* dense, std::size_t count, std::uint8_t* bits, std::size_t size,
                  T* values, std::size_t nonzeros) {
  require(size == count / 8 + (count % 8 != 0), "the bitmap has not one bit for each item");
  std::size_t used = 0;
  for (std::size_t byte = 0; byte < size; ++byte) {
    const std::size_t items = std::min<std::size_t>(8, count - 8 * byte);
    unsigned flags = 0;
    for (std::size_t bit = 0; bit < items; ++bit) {
      const T value = dense[8 * byte + bit];
      if (value == 0) continue;
      require(used < nonzeros, "there are more non-zeros than room");
      flags |= 1u << bit;
      values[used++] = value;
    }
    bits[byte] = static_cast<std::uint8_t>(flags);
  }
  require(used == nonzeros, "there is more room than non-zeros");
}

template <typename T>
std::int64_t bitmap_join(const std::uint8_t* bits, std::size_t size, const T* values,
                         std::size_t nonzeros, T* dense, std::size_t count) {
  require(size == count / 8 + (count % 8 != 0), "the bitmap has not one bit for each item");
  std::size_t used = 0;
  for (std::size_t byte = 0; byte < size; ++byte) {
    const std::size_t items = std::min<std::size_t>(8, count - 8 * byte);
    const unsigned flags = bits[byte];
    if (flags >> items != 0) return static_cast<std::int64_t>(byte);
    for (std::size_t bit = 0; bit < items; ++bit) {
      T value = 0;
      if (flags >> bit & 1u) {
        if (used == nonzeros) return static_cast<std::int64_t>(byte);
        value = values[used++];
      }
      dense[8 * byte + bit] = value;
    }
  }
  return used == nonzeros ? kGood : static_cast<std::int64_t>(size);
}

#define LACONIC_FOR(T)                                                                         \
  template void gap_split<T>(const T*, std::size_t, int, std::uint16_t*, T*, std::size_t);     \
  template std::int64_t gap_join<T>(const std::uint16_t*, const T*, std::size_t, T*,           \
                                    std::size_t);                                              \
  template void bitmap_split<T>(const T*, std::size_t, std::uint8_t*, std::size_t, T*,         \
                                std::size_t);                                                  \
  template std::int64_t bitmap_join<T>(const std::uint8_t*, std::size_t, const T*, std::size_t, \
                                       T*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
