// Products of 8-bit integers by way of 16 bits.
#pragma once

#include "kernels/instructions.h"
#include "kernels/int8_dot.h"

namespace laconic::kernels {

LACONIC_KERNELS(Int8Dot, int8_madd)

}  // namespace laconic::kernels
