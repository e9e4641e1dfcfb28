// Sums of products of signs by counting bits.
#pragma once

#include "kernels/xnor.h"

namespace laconic::kernels {

#if defined(LACONIC_X86)
namespace avx512 {
extern const XnorKernels xnor_count;  // needs AVX512_VPOPCNTDQ
}
#endif
namespace portable {
extern const XnorKernels xnor_count;
}

}  // namespace laconic::kernels
