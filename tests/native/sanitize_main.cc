// Round trips and damaged encodings through native/coding, to be built with ASan and UBSan.
//
// Buffers have exactly the size that the functions are told, on the heap, so that one byte too far
// is seen. Exit code 0: nothing was found. scripts/sanitize builds and runs this.
#include <algorithm>
#include <random>
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

std::mt19937_64 random_bits(1);

std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_bits() % limit); }

Exact<std::uint8_t> damaged(const Exact<std::uint8_t>& data) {
  std::vector<std::uint8_t> bytes(data.data(), data.data() + data.size);
  const std::size_t kind = below(3);
  if (kind == 0 && !bytes.empty()) bytes.resize(below(bytes.size()));
  if (kind == 1) bytes.resize(bytes.size() + 1 + below(12), static_cast<std::uint8_t>(below(256)));
  for (std::size_t i = 0; i < 1 + below(4) && !bytes.empty(); ++i) {
    bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1u << below(8));
  }
  return Exact<std::uint8_t>(bytes);
}

// Values of one of several kinds: few symbols, mostly zero, spread over the whole type.
template <typename T>
Exact<T> values(std::size_t count) {
  Exact<T> out(count);
  const std::size_t kind = below(4);
  const std::size_t symbols = 1 + below(kind == 1 ? 2000 : 40);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t draw = random_bits();
    if (kind == 0) out[i] = static_cast<T>(draw % 10 == 0 ? draw >> 32 : 0);
    if (kind == 1) out[i] = static_cast<T>(draw % symbols);
    if (kind == 2) out[i] = static_cast<T>((draw % symbols) * 0x9E3779B97F4A7C15u);
    if (kind == 3) out[i] = static_cast<T>(draw & (draw >> 8) & (draw >> 16) & (draw >> 24) & 31);
  }
  return out;
}

template <typename T>
void bits(std::size_t count) {
  const int width = static_cast<int>(below(8 * sizeof(T) + 1));
  Exact<T> in(count);
  for (std::size_t i = 0; i < count; ++i) {
    in[i] = width == 0 ? T{0} : static_cast<T>(random_bits() >> (64 - width));
  }
  Exact<std::uint8_t> packed(packed_size(count, width));
  pack_bits(in.data(), count, width, packed.data(), packed.size);
  Exact<T> out(count);
  expect(unpack_bits(packed.data(), packed.size, width, out.data(), count) == kGood, "unpack");
  expect(in == out, "bits: round trip");
  const auto wrong = damaged(packed);
  const auto status = unpack_bits(wrong.data(), wrong.size, width, out.data(), count);
  expect(status >= kGood && status <= static_cast<std::int64_t>(wrong.size), "bits: status");
}

// Lengths of a random complete code: split the longest or a random leaf until there are enough.
std::vector<std::uint8_t> code_lengths(std::size_t symbols) {
  std::vector<std::uint8_t> lengths{0};
  const bool deep = below(2) == 0;
  while (lengths.size() < symbols) {
    const std::size_t leaf = deep && below(4) ? lengths.size() - 1 : below(lengths.size());
    if (lengths[leaf] == kLongestCode) continue;
    lengths.push_back(++lengths[leaf]);
  }
  return lengths;
}

template <typename T>
void huffman(std::size_t count) {
  const auto in = values<T>(count);
  Exact<T> symbols(kMostSymbols);
  Exact<std::int64_t> counts(kMostSymbols);
  const auto found =
      histogram(in.data(), count, symbols.data(), counts.data(), 1 + below(kMostSymbols));
  if (found < 1) return;
  const auto distinct = static_cast<std::size_t>(found);
  Exact<T> alphabet(std::vector<T>(symbols.data(), symbols.data() + distinct));
  Exact<std::uint8_t> lengths(code_lengths(distinct));
  std::uint64_t total = 0;
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < distinct; ++i) {
    total += static_cast<std::uint64_t>(counts[i]) * lengths[i];
    seen += counts[i];
  }
  expect(seen == static_cast<std::int64_t>(count), "histogram: sum");
  Exact<std::uint8_t> payload((total + 7) / 8);
  huffman_encode(in.data(), count, alphabet.data(), lengths.data(), distinct, payload.data(),
                 payload.size);
  Exact<T> out(count);
  const auto decode = [&](const Exact<std::uint8_t>& data) {
    return huffman_decode(data.data(), data.size, alphabet.data(), lengths.data(), distinct,
                          out.data(), count);
  };
  expect(decode(payload) == kGood && in == out, "huffman: round trip");
  for (int i = 0; i < 4; ++i) {
    const auto wrong = damaged(payload);
    const auto status = decode(wrong);
    expect(status >= kGood && status <= static_cast<std::int64_t>(wrong.size), "huffman: status");
  }
  lengths[below(distinct)] ^= static_cast<std::uint8_t>(1 + below(31));
  bool refused = false;
  try {
    decode(payload);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  expect(refused, "huffman: a code that is not complete was taken");
}

template <typename T>
void sparse(std::size_t count) {
  const auto in = values<T>(count);
  const int width = static_cast<int>(1 + below(16));
  std::size_t run = 0, nonzeros = 0, entries = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (in[i] == 0) {
      ++run;
    } else {
      entries += (run >> width) + 1;
      ++nonzeros;
      run = 0;
    }
  }
  Exact<std::uint16_t> gaps(entries);
  Exact<T> kept(entries);
  gap_split(in.data(), count, width, gaps.data(), kept.data(), entries);
  Exact<T> out(count);
  expect(gap_join(gaps.data(), kept.data(), entries, out.data(), count) == kGood && in == out,
         "gap: round trip");
  if (entries != 0) gaps[below(entries)] = static_cast<std::uint16_t>(random_bits());
  gap_join(gaps.data(), kept.data(), entries, out.data(), count);
  if (count != 0) gap_join(gaps.data(), kept.data(), entries, out.data(), below(count));

  Exact<std::uint8_t> map((count + 7) / 8);
  Exact<T> rest(nonzeros);
  bitmap_split(in.data(), count, map.data(), map.size, rest.data(), nonzeros);
  expect(bitmap_join(map.data(), map.size, rest.data(), nonzeros, out.data(), count) == kGood &&
             in == out,
         "bitmap: round trip");
  if (map.size != 0) map[below(map.size)] ^= static_cast<std::uint8_t>(1u << below(8));
  const auto status = bitmap_join(map.data(), map.size, rest.data(), nonzeros, out.data(), count);
  expect(status <= static_cast<std::int64_t>(map.size), "bitmap: status");
}

template <typename T>
void planes(std::size_t count) {
  const auto in = values<T>(count);
  Exact<T> out(count);
  Exact<std::uint8_t> plane(count);
  const int turn = static_cast<int>(below(8));
  for (int index = 0; index < static_cast<int>(sizeof(T)); ++index) {
    plane_split(in.data(), count, index, turn, plane.data());
    plane_join(plane.data(), index, turn, out.data(), count);
  }
  expect(in == out, "planes: round trip");
}

// One slot for each symbol, and the rest of the 2^precision for random ones.
Exact<std::uint16_t> frequencies(std::size_t symbols, int precision) {
  Exact<std::uint16_t> out(symbols);
  for (std::size_t i = 0; i < symbols; ++i) out[i] = 1;
  const std::size_t favourite = below(symbols);
  for (std::size_t left = (std::size_t{1} << precision) - symbols; left != 0; --left) {
    ++out[below(3) == 0 ? below(symbols) : favourite];
  }
  return out;
}

template <typename T>
void rans(std::size_t count) {
  const auto in = values<T>(count);
  const int precision = static_cast<int>(5 + below(8));
  const std::size_t lanes = std::size_t{1} << below(6);
  Exact<T> symbols(std::size_t{1} << precision);
  Exact<std::int64_t> counts(symbols.size);
  const auto found =
      histogram(in.data(), count, symbols.data(), counts.data(), symbols.size);
  if (found < 2) return;
  const auto distinct = static_cast<std::size_t>(found);
  Exact<T> alphabet(std::vector<T>(symbols.data(), symbols.data() + distinct));
  const auto shares = frequencies(distinct, precision);
  Exact<std::uint8_t> room(4 * lanes + 2 * count);
  const auto begin = static_cast<std::size_t>(
      rans_encode(in.data(), count, alphabet.data(), shares.data(), distinct, precision, lanes,
                  room.data(), room.size));
  Exact<std::uint8_t> payload(
      std::vector<std::uint8_t>(room.data() + begin, room.data() + room.size));
  Exact<T> out(count);
  const auto decode = [&](const Exact<std::uint8_t>& data) {
    return rans_decode(data.data(), data.size, alphabet.data(), shares.data(), distinct, precision,
                       lanes, out.data(), count);
  };
  expect(decode(payload) == kGood && in == out, "rans: round trip");
  for (int i = 0; i < 4; ++i) {
    const auto wrong = damaged(payload);
    const auto status = decode(wrong);
    expect(status >= kGood && status <= static_cast<std::int64_t>(wrong.size), "rans: status");
  }
  ++shares[below(distinct)];
  bool refused = false;
  try {
    decode(payload);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  expect(refused, "rans: frequencies that do not add up were taken");
}

// Shapes with and without kernels, in both forms; items as far apart as the type allows.
template <typename T>
void context(std::size_t count) {
  const std::size_t width = 1 + below(4);
  const std::size_t kernel = width * (1 + below(4));
  const std::size_t columns = kernel * (1 + below(20));
  const Geometry shape{columns, kernel, width};
  const auto in = values<T>(columns * (1 + std::min<std::size_t>(count, 3000) / columns));
  const auto origin = static_cast<T>(random_bits());
  const int exponent = static_cast<int>(8 * sizeof(T)) - 1;
  Exact<std::uint8_t> room(64 + 4 * in.size * sizeof(T));
  use_portable(below(2));
  const auto used = context_encode(in.data(), in.size, shape, origin, exponent, room.data(),
                                   room.size);
  expect(used >= 0, "context: room");
  Exact<std::uint8_t> payload(std::vector<std::uint8_t>(room.data(), room.data() + used));
  expect(payload.size == 0 || context_encode(in.data(), in.size, shape, origin, exponent,
                                             room.data(), payload.size - 1) == -1,
         "context: too little room");
  Exact<T> out(in.size);
  const auto decode = [&](const Exact<std::uint8_t>& data) {
    use_portable(below(2));
    return context_decode(data.data(), data.size, shape, origin, exponent, out.data(), out.size);
  };
  expect(decode(payload) == kGood && in == out, "context: round trip");
  for (int i = 0; i < 4; ++i) {
    const auto wrong = damaged(payload);
    const auto status = decode(wrong);
    expect(status >= kGood && status <= static_cast<std::int64_t>(wrong.size), "context: status");
  }
}

template <typename T>
void all(std::size_t count) {
  bits<T>(count);
  huffman<T>(count);
  sparse<T>(count);
  planes<T>(count);
  use_portable(below(4) == 0);
  rans<T>(count);
  if (below(4) == 0) context<T>(count);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 400;
  for (int round = 0; round < rounds; ++round) {
    // Mostly short; some long enough for the decoder's tables and for several blocks.
    const std::size_t count = round % 8 == 0 ? 4000 + below(12000) : below(300);
    all<std::uint8_t>(count);
    all<std::uint16_t>(count);
    all<std::uint32_t>(count);
    all<std::uint64_t>(count);
  }
  std::printf("%d rounds of four item types: nothing found\n", rounds);
  return 0;
}
