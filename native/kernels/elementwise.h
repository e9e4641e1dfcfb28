// Arithmetic, comparison and activations of arrays of floats, item by item.
#pragma once

#include <cstdint>

#include "kernels/instructions.h"

namespace laconic::kernels {

// Each function reads and writes `count` items; y may be an input whose step is 1. A value does not
// depend on its place. Infinities and NaN are values; a NaN stays one.
struct Elementwise {
  // y[i] = f(x[i]), with up to two parameters p and q.
  using Unary = void (*)(const float* x, float* y, std::int64_t count, float p, float q);
  Unary negative, absolute, sign, reciprocal, square, cube, square_root;
  Unary floor, ceil, round;  // round: halves to even
  Unary exp, log, erf, sine, cosine, sigmoid, tanh;
  Unary affine;            // p x + q
  Unary relu;              // max(x, 0)
  Unary leaky_relu;        // p x below 0
  Unary thresholded_relu;  // 0 up to p
  Unary clip;              // min(q, max(p, x))
  Unary elu;               // p (e^x - 1) below 0
  Unary celu;              // p (e^(x / p) - 1) below 0
  Unary selu;              // q elu(x)
  Unary softplus, softsign, mish;
  Unary hard_sigmoid;     // min(1, max(0, p x + q))
  Unary hard_swish;       // x hard_sigmoid(x, 1/6, 1/2)
  Unary swish;            // x sigmoid(p x)
  Unary gelu, gelu_tanh;  // arXiv:1606.08415, section 2
  Unary shrink;           // x + q below -p, x - q above p, else 0

  // y[i] = f(a[i * a_step], b[i * b_step]); steps are 0 or 1.
  using Binary = void (*)(const float* a, int a_step, const float* b, int b_step, float* y,
                          std::int64_t count);
  Binary add, sub, mul, div;
  Binary maximum, minimum;  // NaN where either is
  Binary prelu;             // a, or a b below 0

  // The same with a truth (0 or 1) as output; false where either is NaN.
  using Comparison = void (*)(const float* a, int a_step, const float* b, int b_step,
                              std::uint8_t* y, std::int64_t count);
  Comparison equal, less, less_or_equal;

  // y[i] = condition[i] ? a[i * a_step] : b[i * b_step].
  void (*select)(const std::uint8_t* condition, const float* a, int a_step, const float* b,
                 int b_step, float* y, std::int64_t count);
};
LACONIC_KERNELS(Elementwise, elementwise)

}  // namespace laconic::kernels
