// Which vector instructions the kernels use: found at run time, narrowed on request (for tests).
#pragma once

namespace laconic::kernels {

enum class Instructions { portable = 0, avx2 = 1, avx512 = 2 };

// The widest set that this processor has and that nobody forbade.
Instructions instructions();

// Use at most this set from now on; kernels that were prepared before keep theirs.
void use_at_most(Instructions widest);

// "portable", "avx2" or "avx512".
const char* name_of(Instructions set);

// A kernel family has one table of functions (`Type name`) for each set of instructions, defined in
// kernels/name.inc, which CMake compiles once a set, in that set's namespace. This declares the
// tables and the function `name()` that picks one.
#if defined(LACONIC_X86)
#define LACONIC_KERNELS(Type, name) \
  namespace portable {              \
  extern const Type name;           \
  }                                 \
  namespace avx2 {                  \
  extern const Type name;           \
  }                                 \
  namespace avx512 {                \
  extern const Type name;           \
  }                                 \
  inline const Type& name() {       \
    switch (instructions()) {       \
      case Instructions::avx512:    \
        return avx512::name;        \
      case Instructions::avx2:      \
        return avx2::name;          \
      default:                      \
        return portable::name;      \
    }                               \
  }
#else
#define LACONIC_KERNELS(Type, name) \
  namespace portable {              \
  extern const Type name;           \
  }                                 \
  inline const Type& name() { return portable::name; }
#endif

}  // namespace laconic::kernels
