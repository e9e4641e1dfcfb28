#include "coding/canonical.h"

namespace laconic::coding {

CanonicalCode::CanonicalCode(const std::uint8_t* lengths, std::size_t count) {
  require(count >= 1 && count <= kMostSymbols, "a code has from 1 to 65536 symbols");
  std::uint32_t with_length[kLongestCode + 1] = {};
  for (std::size_t i = 0; i < count; ++i) {
    require(lengths[i] <= kLongestCode, "a code is longer than 20 bits");
    require(lengths[i] > 0 || count == 1, "only a symbol that is alone has length 0");
    ++with_length[lengths[i]];
  }
  // At most 65536 * 2^19, so 64 bits; only an exact sum goes on.
  std::uint64_t next = 0;
  std::uint32_t ranks = 0;
  for (int length = 0; length <= kLongestCode; ++length) {
    first[length] = static_cast<std::uint32_t>(next);
    rank[length] = ranks;
    next += std::uint64_t{with_length[length]} << (kLongestCode - length);
    require(next <= std::uint64_t{1} << kLongestCode, "the code is over-subscribed");
    limit[length] = static_cast<std::uint32_t>(next);
    ranks += with_length[length];
  }
  require(next == std::uint64_t{1} << kLongestCode, "the code is incomplete");
  order.resize(count);
  std::uint32_t next_rank[kLongestCode + 1];
  for (int length = 0; length <= kLongestCode; ++length) next_rank[length] = rank[length];
  for (std::size_t i = 0; i < count; ++i) {
    order[next_rank[lengths[i]]++] = static_cast<std::uint32_t>(i);
  }
}

}  // namespace laconic::coding
