#include "coding/context.h"

#include <type_traits>

#include "coding/context_portable.h"
#include "coding/cpu.h"
#if defined(__x86_64__) && defined(__GNUC__)
#define LACONIC_HAS_AVX2 1
#include "coding/context_avx2.h"
#endif

namespace laconic::coding {

namespace context::portable {
#define LACONIC_TARGET
#include "coding/context_model.inc"
#undef LACONIC_TARGET
}  // namespace context::portable

#ifdef LACONIC_HAS_AVX2
namespace context::avx2 {
#define LACONIC_TARGET LACONIC_AVX2
#include "coding/context_model.inc"
#undef LACONIC_TARGET
}  // namespace context::avx2
#endif

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
  // Both ends are set, so that no branch has to guess an unlikely bit.
  void keep(int bit, std::uint32_t middle) {
    high = bit ? middle : high;
    low = bit ? low : middle + 1;
  }
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
  // The bytes that everything takes; −1 when there was no room.
  std::int64_t finish() {
    std::uint32_t number = 0;
    const int bytes = interval.last_bytes(number);
    for (int i = 0; i < bytes; ++i) put(static_cast<std::uint8_t>(number >> (24 - 8 * i)));
    return used <= room ? static_cast<std::int64_t>(used) : -1;
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

void check(const Geometry& shape, std::size_t count, int most_exponent, std::size_t bits) {
  require(shape.kernel >= 1 && shape.kernel <= context::kLargestKernel,
          "a kernel has from 1 to 49 items");
  require(shape.width >= 1 && shape.kernel % shape.width == 0,
          "the width does not divide the kernel");
  require(shape.columns >= 1 && shape.columns % shape.kernel == 0,
          "the kernel does not divide a row");
  require(count % shape.columns == 0, "the rows do not fill the array");
  require(most_exponent >= 0 && static_cast<std::size_t>(most_exponent) < bits,
          "an exponent is too large");
}

}  // namespace

template <typename T>
std::int64_t context_encode(const T* items, std::size_t count, const Geometry& shape, T origin,
                            int most_exponent, std::uint8_t* out, std::size_t room) {
  check(shape, count, most_exponent, 8 * sizeof(T));
  Writer writer{{}, out, room};
  const bool kernels = shape.kernel > 1;
#ifdef LACONIC_HAS_AVX2
  if (has_avx2()) {
    auto* const encode = kernels ? context::avx2::encode_all<true, T, Writer>
                                 : context::avx2::encode_all<false, T, Writer>;
    encode(items, count, shape, origin, most_exponent, writer);
    return writer.finish();
  }
#endif
  auto* const encode = kernels ? context::portable::encode_all<true, T, Writer>
                               : context::portable::encode_all<false, T, Writer>;
  encode(items, count, shape, origin, most_exponent, writer);
  return writer.finish();
}

template <typename T>
std::int64_t context_decode(const std::uint8_t* data, std::size_t size, const Geometry& shape,
                            T origin, int most_exponent, T* items, std::size_t count) {
  check(shape, count, most_exponent, 8 * sizeof(T));
  Scanner scanner(data, size);
  const bool kernels = shape.kernel > 1;
#ifdef LACONIC_HAS_AVX2
  if (has_avx2()) {
    auto* const decode = kernels ? context::avx2::decode_all<true, T, Scanner>
                                 : context::avx2::decode_all<false, T, Scanner>;
    decode(scanner, shape, origin, most_exponent, items, count);
    return scanner.finish();
  }
#endif
  auto* const decode = kernels ? context::portable::decode_all<true, T, Scanner>
                               : context::portable::decode_all<false, T, Scanner>;
  decode(scanner, shape, origin, most_exponent, items, count);
  return scanner.finish();
}

#define LACONIC_INSTANCE(T)                                                                     \
  template std::int64_t context_encode<T>(const T*, std::size_t, const Geometry&, T, int,       \
                                          std::uint8_t*, std::size_t);                          \
  template std::int64_t context_decode<T>(const std::uint8_t*, std::size_t, const Geometry&, T, \
                                          int, T*, std::size_t);
LACONIC_INSTANCE(std::uint8_t)
LACONIC_INSTANCE(std::uint16_t)
LACONIC_INSTANCE(std::uint32_t)
LACONIC_INSTANCE(std::uint64_t)
#undef LACONIC_INSTANCE

}  // namespace laconic::coding
