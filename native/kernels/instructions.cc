#include "kernels/instructions.h"

#include <atomic>

namespace laconic::kernels {

namespace {

std::atomic<Instructions> allowed{Instructions::avx512};

Instructions found() {
#if defined(LACONIC_X86)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? Instructions::avx512 : avx2 ? Instructions::avx2 : Instructions::portable;
#else
  return Instructions::portable;
#endif
}

}  // namespace

Instructions instructions() {
  static const Instructions widest = found();
  const Instructions limit = allowed.load(std::memory_order_relaxed);
  return limit < widest ? limit : widest;
}

void use_at_most(Instructions widest) { allowed.store(widest, std::memory_order_relaxed); }

const char* name_of(Instructions set) {
  switch (set) {
    case Instructions::avx512:
      return "avx512";
    case Instructions::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace laconic::kernels
