#include "coding/histogram.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "coding/slots.h"

namespace laconic::coding {
namespace {

// Four tables in turn: a run of equal values would otherwise wait for its own last store.
template <typename T>
std::int64_t by_table(const T* values, std::size_t count, T lowest, std::size_t span, T* symbols,
                      std::int64_t* counts, std::size_t limit) {
  std::vector<std::int64_t> seen(4 * span);
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      ++seen[lane * span + static_cast<std::size_t>(values[i + lane] - lowest)];
    }
  }
  for (; i < count; ++i) ++seen[static_cast<std::size_t>(values[i] - lowest)];
  std::size_t distinct = 0;
  for (std::size_t offset = 0; offset < span; ++offset) {
    const std::int64_t times =
        seen[offset] + seen[span + offset] + seen[2 * span + offset] + seen[3 * span + offset];
    if (times == 0) continue;
    if (distinct == limit) return -1;
    symbols[distinct] = static_cast<T>(lowest + static_cast<T>(offset));
    counts[distinct++] = times;
  }
  return static_cast<std::int64_t>(distinct);
}

template <typename T>
std::int64_t by_hash(const T* values, std::size_t count, T* symbols, std::int64_t* counts,
                     std::size_t limit) {
  HashSlots slots(limit);
  std::vector<std::int64_t> seen(slots.size());
  std::size_t distinct = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = slots.find(values[i]);
    if (!slots.taken(place)) {
      if (distinct == limit) return -1;
      slots.take(place, values[i]);
      ++distinct;
    }
    ++seen[place];
  }
  std::vector<std::pair<std::uint64_t, std::int64_t>> found;
  found.reserve(distinct);
  for (std::size_t place = 0; place < slots.size(); ++place) {
    if (slots.taken(place)) found.emplace_back(slots.key(place), seen[place]);
  }
  std::sort(found.begin(), found.end());
  for (std::size_t i = 0; i < distinct; ++i) {
    symbols[i] = static_cast<T>(found[i].first);
    counts[i] = found[i].second;
  }
  return static_cast<std::int64_t>(distinct);
}

}  // namespace

template <typename T>
std::int64_t histogram(const T* values, std::size_t count, T* symbols, std::int64_t* counts,
                       std::size_t limit) {
  if (count == 0) return 0;
  T lowest = values[0];
  T highest = values[0];
  for (std::size_t i = 1; i < count; ++i) {
    lowest = std::min(lowest, values[i]);
    highest = std::max(highest, values[i]);
  }
  const std::uint64_t reach = std::uint64_t{highest} - std::uint64_t{lowest};
  // A table much larger than the array would cost more to clear than the array to count.
  if (reach < kPlainSpan && reach < 256 + 2 * std::uint64_t{count}) {
    return by_table(values, count, lowest, static_cast<std::size_t>(reach) + 1, symbols, counts,
                    limit);
  }
  return by_hash(values, count, symbols, counts, limit);
}

#define LACONIC_FOR(T) \
  template std::int64_t histogram<T>(const T*, std::size_t, T*, std::int64_t*, std::size_t);
LACONIC_FOR(std::uint8_t)
LACONIC_FOR(std::uint16_t)
LACONIC_FOR(std::uint32_t)
LACONIC_FOR(std::uint64_t)
#undef LACONIC_FOR

}  // namespace laconic::coding
