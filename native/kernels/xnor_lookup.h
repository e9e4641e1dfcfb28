// Sums of products of signs by looking up the counts of four bits.
#pragma once

#include "kernels/xnor.h"

namespace laconic::kernels {

#if defined(LACONIC_X86)
namespace avx2 {
extern const XnorKernels xnor_lookup;
}
namespace avx512 {
extern const XnorKernels xnor_lookup;
}
#endif

}  // namespace laconic::kernels
