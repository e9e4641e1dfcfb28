#include "kernels/int8_dot.h"

#include "kernels/int8_madd.h"
#include "kernels/int8_vnni.h"

namespace laconic::kernels {

const Int8Dot& int8_dot() {
#if defined(LACONIC_X86)
  const Instructions set = instructions();
  static const bool wide = __builtin_cpu_supports("avx512vnni");
  if (set == Instructions::avx512 && wide) return avx512::int8_vnni;
#if defined(LACONIC_AVX_VNNI)
  static const bool narrow = __builtin_cpu_supports("avxvnni");
  if (set == Instructions::avx2 && narrow) return avx2::int8_vnni;
#endif
#endif
  return int8_madd();
}

}  // namespace laconic::kernels
