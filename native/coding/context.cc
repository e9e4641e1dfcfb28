#include "coding/context.h"

#include <type_traits>

namespace laconic::coding {

namespace {

// The interval of 32 bits that holds everything coded so far (both ends belong to it).
struct Interval {
  std::uint32_t low = 0;
  std::uint32_t high = 0xFFFFFFFF;

  // The last number of the part that stands for a 1, whose chance is given in 1/65536.
  std::uint32_t split(int chance) const {
    const std::uint32_t range = high - low;
    const auto share = static_cast<std::uint32_t>(chance);
    return low + (range >> 16) * share + ((range & 0xFFFF) * share >> 16);
  }
  void keep(int bit, std::uint32_t middle) { (bit ? high : low) = bit ? middle : middle + 1; }
  bool settled() const { return (low ^ high) >> 24 == 0; }
  void shift() {
    low <<= 8;
    high = high << 8 | 0xFF;
  }
  // The fewest bytes that name a number of the interval, zeros standing behind them.
  int last_bytes(std::uint32_t& number) const {
    int bytes = 0;
    for (;; ++bytes) {
      const std::uint32_t spare = bytes == 0 ? 0xFFFFFFFF : 0xFFFFFFFFu >> 1 >> (8 * bytes - 1);
      number = low + spare < low ? 0 : (low + spare) & ~spare;
      if (number >= low && number <= high) return bytes;
    }
  }
};

struct Writer {
  Interval interval;
  std::uint8_t* out;
  std::size_t room;
  std::size_t used = 0;

  int code(int chance, int bit) {
    interval.keep(bit, interval.split(chance));
    while (interval.settled()) {
      put(static_cast<std::uint8_t>(interval.high >> 24));
      interval.shift();
    }
    return bit;
  }
  void put(std::uint8_t byte) {
    if (used < room) out[used] = byte;
    ++used;
  }
  void finish() {
    std::uint32_t number = 0;
    const int bytes = interval.last_bytes(number);
    for (int i = 0; i < bytes; ++i) put(static_cast<std::uint8_t>(number >> (24 - 8 * i)));
  }
};

struct Scanner {
  Interval interval;
  const std::uint8_t* data;
  std::size_t size;
  std::size_t used = 0;
  std::uint32_t number = 0;

  Scanner(const std::uint8_t* from, std::size_t count) : data(from), size(count) {
    for (int i = 0; i < 4; ++i) pull();
  }
  // Zeros follow the end; `used` counts them too.
  void pull() {
    number = number << 8 | (used < size ? data[used] : 0u);
    ++used;
  }
  int code(int chance, int) {
    const std::uint32_t middle = interval.split(chance);
    const int bit = number <= middle;
    interval.keep(bit, middle);
    while (interval.settled()) {
      pull();
      interval.shift();
    }
    return bit;
  }
  bool overran() const { return used > size + 4; }
  std::int64_t finish() const {
    std::uint32_t expected = 0;
    const auto bytes = static_cast<std::size_t>(interval.last_bytes(expected));
    const std::size_t needed = used - 4 + bytes;
    if (needed > size) return static_cast<std::int64_t>(size);
    if (needed < size) return static_cast<std::int64_t>(needed);
    return number == expected ? kGood : static_cast<std::int64_t>(size) - 1;
  }
};

template <typename T>
using Signed = std::make_signed_t<T>;

template <bool Kernels, typename T>
void encode(const T* items, std::size_t count, const Geometry& shape, T origin, int most_exponent,
            Writer& writer) {
  context::Model<Kernels> model(shape, count, most_exponent);
  for (std::size_t i = 0; i < count; ++i) {
    const auto away = static_cast<T>(items[i] - origin);
    int negative = static_cast<Signed<T>>(away) < 0;
    const auto size = static_cast<T>(negative ? T{0} - away : away);
    model.next(writer, size, negative);
  }
  writer.finish();
}

template <bool Kernels, typename T>
std::int64_t decode(Scanner& scanner, const Geometry& shape, T origin, int most_exponent, T* items,
                    std::size_t count) {
  context::Model<Kernels> model(shape, count, most_exponent);
  for (std::size_t i = 0; i < count; ++i) {
    int negative = 0;
    const auto size = static_cast<T>(model.next(scanner, 0, negative));
    items[i] = static_cast<T>(origin + (negative ? T{0} - size : size));
    if (scanner.overran()) return static_cast<std::int64_t>(scanner.size);
  }
  return scanner.finish();
}

void check(const Geometry& shape, std::size_t count, int most_exponent, std::size_t bits) {
  require(shape.kernel >= 1 && shape.kernel <= context::kLargestKernel, "a kernel has from 1 to 49 items");
  require(shape.width >= 1 && shape.kernel % shape.width == 0, "the width does not divide the kernel");
  require(shape.columns >= 1 && shape.columns % shape.kernel == 0, "the kernel does not divide a row");
  require(count % shape.columns == 0, "the rows do not fill the array");
  require(most_exponent >= 0 && static_cast<std::size_t>(most_exponent) < bits, "an exponent is too large");
}

}  // namespace

template <typename T>
std::int64_t context_encode(const T* items, std::size_t count, const Geometry& shape, T origin,
                            int most_exponent, std::uint8_t* out, std::size_t room) {
  check(shape, count, most_exponent, 8 * sizeof(T));
  Writer writer{{}, out, room};
  if (shape.kernel > 1) {
    encode<true>(items, count, shape, origin, most_exponent, writer);
  } else {
    encode<false>(items, count, shape, origin, most_exponent, writer);
  }
  return writer.used <= room ? static_cast<std::int64_t>(writer.used) : -1;
}

template <typename T>
std::int64_t context_decode(const std::uint8_t* data, std::size_t size, const Geometry& shape,
                            T origin, int most_exponent, T* items, std::size_t count) {
  check(shape, count, most_exponent, 8 * sizeof(T));
  Scanner scanner(data, size);
  return shape.kernel > 1 ? decode<true>(scanner, shape, origin, most_exponent, items, count)
                          : decode<false>(scanner, shape, origin, most_exponent, items, count);
}

#define LACONIC_INSTANCE(T)                                                                    \
  template std::int64_t context_encode<T>(const T*, std::size_t, const Geometry&, T, int,       \
                                          std::uint8_t*, std::size_t);                         \
  template std::int64_t context_decode<T>(const std::uint8_t*, std::size_t, const Geometry&, T, \
                                          int, T*, std::size_t);
LACONIC_INSTANCE(std::uint8_t)
LACONIC_INSTANCE(std::uint16_t)
LACONIC_INSTANCE(std::uint32_t)
LACONIC_INSTANCE(std::uint64_t)
#undef LACONIC_INSTANCE

}  // namespace laconic::coding
