// Every native decoder on bytes that nobody vouches for, models included: a libFuzzer target.
//
// The first byte names a decoder, the second the item type, and in its highest bit whether the
// portable form runs; then come the numbers and tables that a
// caller would give, and what is left is the payload. A model may be taken as it stands, so that
// its checks are tried, or be made a valid one, so that the loops are. What decodes is encoded
// again and must be the same. scripts/fuzz builds and runs this; seeds.py writes its corpus.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "coding/bits.h"
#include "coding/context.h"
#include "coding/cpu.h"
#include "coding/histogram.h"
#include "coding/huffman.h"
#include "coding/planes.h"
#include "coding/rans.h"
#include "coding/sparse.h"
#include "exact.h"

using namespace laconic::coding;

namespace {

constexpr std::size_t kMostItems = 20000;

// Numbers from the front of the input; zeros behind its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : next_(data), end_(data + size) {}

  template <typename T>
  T take() {
    T value = 0;
    const std::size_t size = std::min(sizeof(T), left());
    if (size != 0) std::memcpy(&value, next_, size);
    next_ += size;
    return value;
  }
  std::size_t count(std::size_t most = kMostItems) { return take<std::uint16_t>() % (most + 1); }
  template <typename T>
  Exact<T> items(std::size_t count) {
    Exact<T> out(count);
    for (std::size_t i = 0; i < count; ++i) out[i] = take<T>();
    return out;
  }
  std::size_t left() const { return static_cast<std::size_t>(end_ - next_); }
  Exact<std::uint8_t> rest() { return items<std::uint8_t>(left()); }

 private:
  const std::uint8_t* next_;
  const std::uint8_t* end_;
};

void expect_place(std::int64_t status, std::size_t size, const char* what) {
  expect(status >= kGood && status <= static_cast<std::int64_t>(size), what);
}

template <typename T>
void bits(Input& in) {
  const int width = static_cast<int>(in.take<std::uint8_t>() % 67) - 1;
  Exact<T> out(in.count());
  const auto data = in.rest();
  const auto status = unpack_bits(data.data(), data.size, width, out.data(), out.size);
  expect_place(status, data.size, "bits: status");
  if (status != kGood) return;
  Exact<std::uint8_t> again(packed_size(out.size, width));
  pack_bits(out.data(), out.size, width, again.data(), again.size);
  expect(again == data, "bits: round trip");
}

// All different, and not in order.
template <typename T>
Exact<T> alphabet(std::size_t count) {
  Exact<T> symbols(count);
  for (std::size_t i = 0; i < count; ++i) symbols[i] = static_cast<T>((i + 3) * 0x9E3779B97F4A7C15u);
  return symbols;
}

template <typename T>
std::size_t symbol_count(Input& in, std::size_t most) {
  return in.count(sizeof(T) == 1 ? std::min<std::size_t>(most, 256) : most);
}

// The lengths of a complete code: a leaf is split until there are enough.
Exact<std::uint8_t> complete_code(Input& in, std::size_t symbols) {
  std::vector<std::uint8_t> lengths{0};
  while (lengths.size() < symbols) {
    std::size_t leaf = in.take<std::uint8_t>() * lengths.size() / 256;
    while (lengths[leaf] == kLongestCode) leaf = (leaf + 1) % lengths.size();
    lengths.push_back(++lengths[leaf]);
  }
  return Exact<std::uint8_t>(lengths);
}

template <typename T>
void huffman(Input& in) {
  const bool valid = in.take<std::uint8_t>() & 1;
  const auto symbols = alphabet<T>(symbol_count<T>(in, 3000));
  Exact<T> out(in.count());
  const auto lengths = valid && symbols.size != 0 ? complete_code(in, symbols.size)
                                                  : in.items<std::uint8_t>(symbols.size);
  const auto data = in.rest();
  const auto status = huffman_decode(data.data(), data.size, symbols.data(), lengths.data(),
                                     symbols.size, out.data(), out.size);
  expect_place(status, data.size, "huffman: status");
  if (status != kGood) return;
  Exact<std::uint8_t> again(data.size);
  huffman_encode(out.data(), out.size, symbols.data(), lengths.data(), symbols.size, again.data(),
                 again.size);
  expect(again == data, "huffman: round trip");
}

// Frequencies that add up: in proportion to bytes, the rest to the last symbol.
Exact<std::uint16_t> whole_frequencies(Input& in, std::size_t symbols, int precision) {
  const std::size_t all = std::size_t{1} << precision;
  Exact<std::uint16_t> out(symbols);
  std::size_t left = all - symbols;
  for (std::size_t i = 0; i < symbols; ++i) {
    const std::size_t more = i + 1 == symbols ? left : left * in.take<std::uint8_t>() / 256;
    out[i] = static_cast<std::uint16_t>(1 + more);
    left -= more;
  }
  return out;
}

template <typename T>
void rans(Input& in) {
  const bool valid = in.take<std::uint8_t>() & 1;
  const int precision = in.take<std::uint8_t>() % 15;
  const std::uint8_t lane_bits = in.take<std::uint8_t>();
  const std::size_t lanes = valid ? std::size_t{1} << lane_bits % 6 : lane_bits;
  const auto symbols = alphabet<T>(symbol_count<T>(in, 4200));
  Exact<T> out(in.count());
  const bool possible = symbols.size >= 1 && symbols.size <= std::size_t{1} << precision;
  const auto frequencies = valid && possible ? whole_frequencies(in, symbols.size, precision)
                                             : in.items<std::uint16_t>(symbols.size);
  const auto data = in.rest();
  const auto status = rans_decode(data.data(), data.size, symbols.data(), frequencies.data(),
                                  symbols.size, precision, lanes, out.data(), out.size);
  expect_place(status, data.size, "rans: status");
  if (status != kGood) return;
  Exact<std::uint8_t> room(4 * lanes + 2 * out.size);
  const auto begin = static_cast<std::size_t>(
      rans_encode(out.data(), out.size, symbols.data(), frequencies.data(), symbols.size,
                  precision, lanes, room.data(), room.size));
  expect(room.size - begin == data.size &&
             std::equal(data.data(), data.data() + data.size, room.data() + begin),
         "rans: round trip");
}

template <typename T>
void gap(Input& in) {
  const int width = in.take<std::uint8_t>() % 18;
  Exact<T> dense(in.count());
  const std::size_t entries = in.count();
  const auto gaps = in.items<std::uint16_t>(entries);
  const auto values = in.items<T>(entries);
  const auto status = gap_join(gaps.data(), values.data(), entries, dense.data(), dense.size);
  expect_place(status, entries, "gap: status");
  if (status != kGood) return;
  std::size_t needed = 0, run = 0;
  for (std::size_t i = 0; i < dense.size; ++i) {
    if (dense[i] == 0) {
      ++run;
    } else {
      needed += (run >> width) + 1;
      run = 0;
    }
  }
  Exact<std::uint16_t> steps(needed);
  Exact<T> kept(needed);
  gap_split(dense.data(), dense.size, width, steps.data(), kept.data(), needed);
  Exact<T> again(dense.size);
  expect(gap_join(steps.data(), kept.data(), needed, again.data(), again.size) == kGood &&
             again == dense,
         "gap: round trip");
}

template <typename T>
void bitmap(Input& in) {
  Exact<T> dense(in.count());
  const auto values = in.items<T>(in.count());
  const auto map = in.rest();
  const auto status = bitmap_join(map.data(), map.size, values.data(), values.size, dense.data(),
                                  dense.size);
  expect_place(status, map.size, "bitmap: status");
  if (status != kGood) return;
  for (std::size_t i = 0; i < values.size; ++i) {
    if (values[i] == 0) return;
  }
  Exact<std::uint8_t> bits_again(map.size);
  Exact<T> again(values.size);
  bitmap_split(dense.data(), dense.size, bits_again.data(), bits_again.size, again.data(),
               again.size);
  expect(bits_again == map && again == values, "bitmap: round trip");
}

template <typename T>
void planes(Input& in) {
  const int turn = in.take<std::uint8_t>() % 8;
  const auto items = in.items<T>(in.left() / sizeof(T));
  Exact<T> again(items.size);
  Exact<std::uint8_t> plane(items.size);
  for (int index = 0; index < static_cast<int>(sizeof(T)); ++index) {
    plane_split(items.data(), items.size, index, turn, plane.data());
    plane_join(plane.data(), index, turn, again.data(), again.size);
  }
  expect(again == items, "planes: round trip");
}

// Rows of kernels that fit one another.
Geometry whole_geometry(const Geometry& from) {
  Geometry shape;
  shape.width = 1 + from.width % 7;
  shape.kernel = shape.width * (1 + from.kernel % 7);
  shape.columns = shape.kernel * (1 + from.columns % 64);
  return shape;
}

template <typename T>
void context(Input& in) {
  const std::uint8_t form = in.take<std::uint8_t>();
  Geometry shape;
  shape.width = in.take<std::uint8_t>();
  shape.kernel = in.take<std::uint8_t>();
  shape.columns = in.take<std::uint16_t>();
  std::size_t count = in.count();
  int exponent = in.take<std::uint8_t>() % 80;
  const T origin = in.take<T>();
  constexpr int kBits = static_cast<int>(8 * sizeof(T));
  if (form % 3 != 0) {
    shape = whole_geometry(shape);
    count = shape.columns * (1 + count % (1 + 4000 / shape.columns));
    exponent = exponent % kBits;
  }
  Exact<T> items(count);
  if (form % 3 == 2) {  // any items to bytes and back
    exponent = kBits - 1;
    items = in.items<T>(count);
  } else {
    const auto data = in.rest();
    const auto status =
        context_decode(data.data(), data.size, shape, origin, exponent, items.data(), count);
    expect_place(status, data.size, "context: status");
    if (status != kGood) return;
    Exact<std::uint8_t> again(data.size);
    const auto used = context_encode(items.data(), count, shape, origin, exponent, again.data(),
                                     again.size);
    // With all bits a magnitude may wrap round to a smaller one, which has another code.
    expect(exponent == kBits - 1 || (used == static_cast<std::int64_t>(data.size) && again == data),
           "context: the bytes again");
  }
  Exact<std::uint8_t> room(64 + 4 * count * sizeof(T));
  const auto used = context_encode(items.data(), count, shape, origin, exponent, room.data(),
                                   room.size);
  if (used < 0) return;
  Exact<std::uint8_t> data(static_cast<std::size_t>(used));
  std::copy(room.data(), room.data() + used, data.data());
  Exact<T> again(count);
  const auto status =
      context_decode(data.data(), data.size, shape, origin, exponent, again.data(), count);
  expect(status == kGood && again == items, "context: the items again");
}

template <typename T>
void counts(Input& in) {
  const std::size_t limit = in.count();
  const auto items = in.items<T>(in.left() / sizeof(T));
  Exact<T> symbols(limit);
  Exact<std::int64_t> times(limit);
  const auto found = histogram(items.data(), items.size, symbols.data(), times.data(), limit);
  expect(found >= -1 && found <= static_cast<std::int64_t>(limit), "histogram: result");
  if (found < 0) return;
  const auto end = times.data() + found;
  expect(std::accumulate(times.data(), end, std::int64_t{0}) ==
             static_cast<std::int64_t>(items.size),
         "histogram: sum");
  for (std::int64_t i = 1; i < found; ++i) {
    expect(symbols[static_cast<std::size_t>(i) - 1] < symbols[static_cast<std::size_t>(i)],
           "histogram: order");
  }
}

template <typename T>
void one(std::uint8_t decoder, Input& in) {
  switch (decoder % 8) {
    case 0: return bits<T>(in);
    case 1: return huffman<T>(in);
    case 2: return rans<T>(in);
    case 3: return gap<T>(in);
    case 4: return bitmap<T>(in);
    case 5: return planes<T>(in);
    case 6: return context<T>(in);
    default: return counts<T>(in);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto decoder = in.take<std::uint8_t>();
  const auto type = in.take<std::uint8_t>();
  use_portable(type & 0x80);
  try {
    switch (type % 4) {
      case 0: one<std::uint8_t>(decoder, in); break;
      case 1: one<std::uint16_t>(decoder, in); break;
      case 2: one<std::uint32_t>(decoder, in); break;
      default: one<std::uint64_t>(decoder, in);
    }
  } catch (const std::invalid_argument&) {
    // A model, width or geometry that no reader passes on: refused before anything was read.
  }
  return 0;
}
