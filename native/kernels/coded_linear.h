// The kernels of dense linear weights that are kept in few bits and decoded in registers.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// How a weight is kept. The steps of a panel follow each other; a step has a code for each output.
enum class Coding {
  nibbles,      // places in a table of 16; the two halves of a byte belong to two steps
  short_table,  // bytes: places in a table of 32
  long_table,   // bytes: places in a table of 256
  uniform,      // bytes: scale * (code + offset)
  half,         // IEEE 754 binary16
  bfloat16,     // the upper half of a float
};

// The weights of up to CODED_VECTORS * lanes outputs.
struct CodedPanel {
  const std::uint8_t* codes;
  const float* table;
  float scale, offset;  // of Coding::uniform
  std::int64_t depth;
  int vectors;  // 1 to CODED_VECTORS
};
constexpr int CODED_VECTORS = 3;

struct CodedLinearKernels {
  int lanes;
  // sums[row * vectors * lanes + output] for 1, 2 or 4 rows of x.
  void (*product)(Coding coding, const CodedPanel& panel, const float* x, std::int64_t x_stride,
                  int rows, float* sums);
  // The weights of steps begin (even) to before end: out[(step - begin) * vectors * lanes +
  // output].
  void (*unpack)(Coding coding, const CodedPanel& panel, std::int64_t begin, std::int64_t end,
                 float* out);
};
LACONIC_KERNELS(CodedLinearKernels, coded_linear)

}  // namespace laconic::kernels
