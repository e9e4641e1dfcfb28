// Floats of one magnitude, kept as their signs.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

struct PackSigns {
  // Planes of `size` floats each, up to 32 of them, one after the other: bit c of words[i] is 1
  // where item i of plane c is negative, 0 for planes that do not exist. Returns whether every item
  // is +magnitude or -magnitude; the words are of no use where it is not.
  bool (*planes)(const float* x, int planes, std::int64_t size, float magnitude,
                 std::uint32_t* words);
};

LACONIC_KERNELS(PackSigns, pack_signs)

}  // namespace laconic::kernels
