// Transcendental functions in the words of simd_*.h, for every set of instructions. Included by
// .inc files, inside the namespace of their set, after simd_SET.h.
//
// Bounds below are against the exact value, over all floats: relative, and 1e-44 where the result
// is denormal. All are right at zeros of both signs, infinities and NaN (which stays one). The
// methods of exp, log, sine and cosine are those of the Cephes library (S. L. Moshier,
// netlib.org/cephes): reduce, polynomial, rebuild.
#pragma once

// Added to |x| < 2^22 and taken away again: x rounded to the nearest integer. Between the two, that
// integer stands in the low bits of the sum.
constexpr float ROUNDER = 12582912.0f;

static inline Floats magnitude(Floats x) {
  return from_bits(bit_and(bits(x), all_bits(0x7fffffff)));
}
static inline Floats with_sign_of(Floats value, Floats sign) {
  return from_bits(bit_or(bits(value), bit_and(bits(sign), all_bits(INT32_MIN))));
}

// e^r, 1e-7 for |r| <= 0.3475: a polynomial of degree 6, fitted by linear programming.
static inline Floats exp_near_zero(Floats r) {
  Floats p = fma(all(1.38142122e-3f), r, all(8.3688785e-3f));
  p = fma(p, r, all(4.16684046e-2f));
  p = fma(p, r, all(0.166665193f));
  p = fma(p, r, all(0.499999934f));
  p = fma(p, r, all(1.0f));
  return fma(p, r, all(1.0f));
}

// e^x, 1e-7. Below -103.98 it is 0, above 88.73 it is infinite; a NaN stays one.
static inline Floats exp(Floats x) {
  const Floats held = minimum(all(89.0f), maximum(all(-105.0f), x));
  const Floats count = sub(fma(held, all(1.44269504f), all(ROUNDER)), all(ROUNDER));
  Floats r = fma(count, all(-0.693359375f), held);
  r = fma(count, all(2.12194440e-4f), r);
  return times_power_of_two(exp_near_zero(r), count);
}

// 2^n where n + ROUNDER was given, -126 <= n <= 127; 0 where n is -127.
static inline Floats power_of_two(Floats rounded) {
  return from_bits(add(shift_left<23>(bits(rounded)), all_bits(0x3f800000)));
}

// e^x for x <= 0 and NaN, in fewer steps: 0 below -87.7, where it would be denormal.
static inline Floats exp_of_negative(Floats x) {
  const Floats held = maximum(all(-88.03f), x);
  const Floats rounded = fma(held, all(1.44269504f), all(ROUNDER));
  const Floats count = sub(rounded, all(ROUNDER));
  Floats r = fma(count, all(-0.693359375f), held);
  r = fma(count, all(2.12194440e-4f), r);
  return mul(exp_near_zero(r), power_of_two(rounded));
}

// The natural logarithm, 1e-7: -infinity at 0, NaN below.
static inline Floats log(Floats x) {
  const Floats given = x;
  const Mask small = less(x, all(1.17549435e-38f));
  x = choose(small, mul(x, all(8388608.0f)), x);
  // x = m 2^e with m from sqrt(1/2) to sqrt(2).
  const Ints exponent = shift_right<23>(sub(bits(x), all_bits(0x3f3504f3)));
  const Floats m = sub(from_bits(sub(bits(x), shift_left<23>(exponent))), all(1.0f));
  Floats e = sub(from_bits(add(exponent, all_bits(0x4b400000))), all(ROUNDER));
  e = choose(small, sub(e, all(23.0f)), e);
  const Floats square = mul(m, m);
  Floats p = fma(all(7.0376836292e-2f), m, all(-1.1514610310e-1f));
  p = fma(p, m, all(1.1676998740e-1f));
  p = fma(p, m, all(-1.2420140846e-1f));
  p = fma(p, m, all(1.4249322787e-1f));
  p = fma(p, m, all(-1.6668057665e-1f));
  p = fma(p, m, all(2.0000714765e-1f));
  p = fma(p, m, all(-2.4999993993e-1f));
  p = fma(p, m, all(3.3333331174e-1f));
  p = mul(mul(p, m), square);
  p = fma(e, all(-2.12194440e-4f), p);
  p = fma(square, all(-0.5f), p);
  Floats value = fma(e, all(0.693359375f), add(m, p));
  value = choose(less(all(3.40282347e38f), given), given, value);
  value = choose(less(given, zero()), all(NAN), value);
  value = choose(equal(given, zero()), all(-INFINITY), value);
  return choose(is_nan(given), given, value);
}

static inline Floats minus_magnitude(Floats x) {
  return from_bits(bit_or(bits(x), all_bits(INT32_MIN)));
}

// 1 / (1 + e^-x), 2e-7.
static inline Floats sigmoid(Floats x) {
  const Floats e = exp(minus_magnitude(x));
  return div(choose(less(x, zero()), e, all(1.0f)), add(e, all(1.0f)));
}

// Rational functions x P(x^2) / Q(x^2) of least relative error up to where the function is 1,
// fitted by linear programming: rounding makes most of their error.
struct Rational {
  float end;        // |x| beyond it gives +-1
  float top[6];     // of P, highest power first
  float bottom[6];  // of Q
};
static inline Floats rational(Floats x, const Rational& f) {
  const Floats held = minimum(all(f.end), maximum(all(-f.end), x)), square = mul(held, held);
  Floats p = all(f.top[0]), q = all(f.bottom[0]);
  for (int i = 1; i < 6; ++i) {
    p = fma(p, square, all(f.top[i]));
    q = fma(q, square, all(f.bottom[i]));
  }
  return minimum(all(1.0f), maximum(all(-1.0f), mul(held, div(p, q))));
}

// The hyperbolic tangent, 3e-7.
static inline Floats tanh(Floats x) {
  constexpr Rational f = {
      9.0f,
      {-9.81545818e-11f, -1.50847675e-7f, -9.16638464e-6f, 2.31213502e-3f, 0.124861144f,
       0.999999958f},
      {-5.9521283e-9f, -1.93755879e-6f, 1.03098195e-4f, 2.17106901e-2f, 0.458194115f, 1.0f}};
  return rational(x, f);
}

// The error function, 4e-7.
static inline Floats erf(Floats x) {
  constexpr Rational f = {
      3.95f,
      {2.04055365e-6f, 2.8451916e-4f, 3.77145106e-3f, 5.27597417e-2f, 0.190595728f, 1.12837915f},
      {3.79781632e-5f, 1.16317163e-3f, 1.49793635e-2f, 0.114174882f, 0.502243783f, 1.0f}};
  return rational(x, f);
}

// cos(x) where `quarter` is 1, sin(x) where it is 0; 1e-7 absolutely for |x| < 8192.
static inline Floats sine_of(Floats x, std::int32_t quarter) {
  const Floats rounded = fma(x, all(0.636619772f), all(ROUNDER));
  const Floats count = sub(rounded, all(ROUNDER));
  Floats r = fma(count, all(-1.5703125f), x);
  r = fma(count, all(-4.837512969970703125e-4f), r);
  r = fma(count, all(-7.54978995489188e-8f), r);
  const Floats square = mul(r, r);
  Floats p = fma(all(-1.9515295891e-4f), square, all(8.3321608736e-3f));
  p = fma(p, square, all(-1.6666654611e-1f));
  const Floats sine = with_sign_of(fma(mul(p, square), r, r), r);
  p = fma(all(2.443315711809948e-5f), square, all(-1.388731625493765e-3f));
  p = fma(p, square, all(4.166664568298827e-2f));
  const Floats cosine = add(fma(mul(p, square), square, mul(square, all(-0.5f))), all(1.0f));
  // The quadrant's low bit says which of the two, its second bit the sign.
  const Ints quadrant = add(bits(rounded), all_bits(quarter));
  const Mask odd = negative(shift_left<31>(quadrant));
  const Ints sign = bit_and(shift_left<30>(quadrant), all_bits(INT32_MIN));
  return from_bits(bit_xor(bits(choose(odd, cosine, sine)), sign));
}

// Beyond the reach of that reduction: lane by lane, as the exact reduction of the C library has it.
static inline Floats sine_beyond(Floats x, Floats near, std::int32_t quarter) {
  float given[LANES], value[LANES];
  store(given, x);
  store(value, near);
  for (int i = 0; i < LANES; ++i) {
    const double angle = given[i];
    if (!(angle > -8192 && angle < 8192)) {
      value[i] = static_cast<float>(quarter == 0 ? ::sin(angle) : ::cos(angle));
    }
  }
  return load(value);
}

// Sine and cosine, 1e-7 absolutely (and relatively for |x| < pi / 4); NaN at infinities.
static inline Floats sine(Floats x) {
  const Floats near = sine_of(x, 0);
  return any(less(all(8191.0f), magnitude(x))) ? sine_beyond(x, near, 0) : near;
}
static inline Floats cosine(Floats x) {
  const Floats near = sine_of(x, 1);
  return any(less(all(8191.0f), magnitude(x))) ? sine_beyond(x, near, 1) : near;
}
