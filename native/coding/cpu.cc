#include "coding/cpu.h"

#include <atomic>

namespace laconic::coding {

namespace {

std::atomic<bool> portable{false};

bool asked() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return false;
#endif
}

}  // namespace

bool has_avx2() {
  static const bool found = asked();
  return found && !portable.load(std::memory_order_relaxed);
}

void use_portable(bool wish) { portable.store(wish, std::memory_order_relaxed); }

}  // namespace laconic::coding
