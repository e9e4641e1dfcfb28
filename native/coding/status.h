// What every function of this directory returns when it can fail on bytes from outside.
//
// The functions know nothing of Python: pointers and sizes. None of them allocates from a number
// found in the bytes, reads outside [data, data + size) or writes outside its output, whatever the
// bytes hold. A caller's mistake (an output of the wrong size) throws std::invalid_argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace laconic::coding {

// The bytes were good and all of them were read. Any other status is the position, counted from
// the start of the input, of the byte (or entry) that is wrong; the input's size means "too short".
constexpr std::int64_t kGood = -1;

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace laconic::coding
