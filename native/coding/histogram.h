// Distinct values and how often each occurs.
#pragma once

#include "coding/status.h"

namespace laconic::coding {

// Writes the distinct values, ascending, to `symbols` and how often each occurs to `counts`; both
// hold `limit` items. Returns how many there are, or -1 as soon as there are more than `limit`.
// Memory: a table for `limit` values, or for the span of the values where that is small.
template <typename T>
std::int64_t histogram(const T* values, std::size_t count, T* symbols, std::int64_t* counts,
                       std::size_t limit);

}  // namespace laconic::coding
