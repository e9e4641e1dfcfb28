// Products of 8-bit integers with the instruction that sums four of them.
#pragma once

#include "kernels/int8_dot.h"

// Whether the compiler knows AVX-VNNI.
#if defined(LACONIC_X86) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define LACONIC_AVX_VNNI 1
#endif

namespace laconic::kernels {

#if defined(LACONIC_AVX_VNNI)
namespace avx2 {
extern const Int8Dot int8_vnni;  // needs AVX_VNNI
}
#endif
#if defined(LACONIC_X86)
namespace avx512 {
extern const Int8Dot int8_vnni;  // needs AVX512_VNNI
}
#endif

}  // namespace laconic::kernels
