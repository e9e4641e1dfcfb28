// The numbering of a canonical code: what encoder and decoder share.
#pragma once

#include <cstdint>
#include <vector>

#include "coding/huffman.h"

namespace laconic::coding {

struct CanonicalCode {
  // Throws unless `lengths` is a complete code (see huffman.h).
  CanonicalCode(const std::uint8_t* lengths, std::size_t count);

  // order[rank] is the place in the list of the symbol with that rank: by length, then by place.
  std::vector<std::uint32_t> order;
  // For each length: its first code, moved up to 20 bits, the rank of that code, and where codes of
  // this length end, moved up too. Codes of one length follow one another, and longer ones follow
  // shorter ones, so a 20-bit window w starts with the first length l for which w < limit[l].
  std::uint32_t first[kLongestCode + 1] = {};
  std::uint32_t rank[kLongestCode + 1] = {};
  std::uint32_t limit[kLongestCode + 1] = {};
};

}  // namespace laconic::coding
