#include "coding/bits.h"

#include <algorithm>
#include <limits>

#include "coding/bytes.h"

namespace laconic::coding {

std::size_t packed_size(std::size_t count, int width) {
  require(width >= 0 && width <= 64, "a width must be from 0 to 64 bits");
  const auto bits = static_cast<std::size_t>(width);
  // count * width / 8 without the overflow of count * width
  const std::size_t most = std::numeric_limits<std::size_t>::max() / 16;
  require(bits == 0 || count / 8 < most / bits, "too many values to pack");
  return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

template <typename T>
void pack_bits(const T* values, std::size_t count, int width, std::uint8_t* out,
               std::size_t size) {
  require(size == packed_size(count, width), "the output has not the size of the packed values");
  if (width == 0) return;
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - width);
  std::uint64_t pending = 0;
  int filled = 0;  // bits in `pending`, always below 64
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t value = values[i] & mask;
    pending |= value << filled;
    if (filled + width >= 64) {
      store_little(pending, out);
      out += 8;
      pending = filled == 0 ? 0 : value >> (64 - filled);
      filled += width - 64;
      if (filled == 0) pending = 0;
    } else {
      filled += width;
    }
  }
  store_little(pending, out, static_cast<std::size_t>(filled + 7) / 8);
}

template <typename T>
std::int64_t unpack_bits(const std::uint8_t* data, std::size_t size, int width, T* out,
                         std::size_t count) {
  const std::size_t expected = packed_size(count, width);
  require(width <= static_cast<int>(8 * sizeof(T)), "the output items are too narrow");
  if (size != expected) return static_cast<std::int64_t>(std::min(size, expected));
  if (width == 0) {
    std::fill(out, out + count, T{0});
    return kGood;
  }
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - width);
  std::size_t byte = 0;
  int shift = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t left = size - byte;
    std::uint64_t value = left >= 8 ? load_little(data + byte) : load_little(data + byte, left);
    value >>= shift;
    if (shift + width > 64) value |= std::uint64_t{data[byte + 8]} << (64 - shift);
    out[i] = static_cast<T>(value & mask);
    shift += width;
    byte += static_cast<std::size_t>(shift) / 8;
    shift %= 8;
  }
  if (shift != 0 && data[byte] >> shift != 0) return static_cast<std::int64_t>(byte);
  return kGood;
}

#define LACONIC_FOR(T)                                                                          \
  template void pack_bits<T>(const T*, std::size_t, int, std::uint8_t*, std::size_t);           \
  template std::int64_t unpack_bits<T>(const std::uint8_t*, std::size_t, int, T*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
