// The transcendental words of kernels/simd_math.h against the C library in double precision.
#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"
#include "kernels/transcendental.h"

namespace {

using laconic::kernels::Instructions;
using laconic::kernels::Transcendental;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

struct Case {
  const char* name;
  Transcendental::Function Transcendental::* function;
  double (*reference)(double);
  double bound;  // relative
  bool absolute;
};

const Case CASES[] = {
    {"exp", &Transcendental::exp, std::exp, 1e-7, false},
    {"log", &Transcendental::log, std::log, 1e-7, false},
    {"sigmoid", &Transcendental::sigmoid, logistic, 2e-7, false},
    {"tanh", &Transcendental::tanh, std::tanh, 3e-7, false},
    {"erf", &Transcendental::erf, std::erf, 4e-7, false},
    {"sine", &Transcendental::sine, std::sin, 1e-7, true},
    {"cosine", &Transcendental::cosine, std::cos, 1e-7, true},
};

// Floats of every exponent and both signs, some thousand an exponent near 1, and the special ones.
std::vector<float> places() {
  std::vector<float> out = {0.0f,
                            -0.0f,
                            1.0f,
                            -1.0f,
                            88.72f,
                            88.73f,
                            -87.5f,
                            -103.9f,
                            -104.1f,
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::max(),
                            std::numeric_limits<float>::min(),
                            std::numeric_limits<float>::denorm_min()};
  for (std::uint64_t bits = 0; bits < (1ull << 32); bits += 999983) {
    const auto low = static_cast<std::uint32_t>(bits);
    float value;
    std::memcpy(&value, &low, sizeof value);
    out.push_back(value);
  }
  for (int i = -20000; i < 20000; ++i) out.push_back(static_cast<float>(i) * 0.0051f);
  return out;
}

bool close(float found, double expected, const Case& one) {
  if (std::isnan(expected)) return std::isnan(found);
  const float rounded = static_cast<float>(expected);
  if (std::isinf(rounded) || rounded == 0) {
    // The last float before infinity is within the bound of values that overflow.
    return (found == rounded && std::signbit(found) == std::signbit(rounded)) ||
           (std::fabs(found) <= 1e-44f && rounded == 0);
  }
  const double unit = one.absolute ? std::fmax(1, std::fabs(expected)) : std::fabs(expected);
  return std::fabs(found - expected) <= one.bound * unit + 1e-44;
}

void check_all(Instructions set) {
  laconic::kernels::use_at_most(set);
  const Transcendental& table = laconic::kernels::transcendental();
  const std::vector<float> x = places();
  for (const Case& one : CASES) {
    std::vector<float> y(x.size());
    (table.*one.function)(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
    int wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (close(y[i], one.reference(x[i]), one)) continue;
      if (++wrong == 1) {
        std::printf("%s %s(%.9g) is %.9g, not %.9g\n", laconic::kernels::name_of(set), one.name,
                    static_cast<double>(x[i]), static_cast<double>(y[i]), one.reference(x[i]));
      }
    }
    CHECK(wrong == 0);
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

}  // namespace

TEST("transcendental functions keep their bounds in plain C++") {
  check_all(Instructions::portable);
}
TEST("transcendental functions keep their bounds in AVX2") { check_all(Instructions::avx2); }
TEST("transcendental functions keep their bounds in AVX-512") { check_all(Instructions::avx512); }

TEST("a value of a transcendental function does not depend on its place in the array") {
  check::Random random(1);
  const std::vector<float> x = random.floats(100);
  for (const Instructions set :
       {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    laconic::kernels::use_at_most(set);
    const Transcendental& table = laconic::kernels::transcendental();
    for (const Case& one : CASES) {
      std::vector<float> whole(x.size()), parts(x.size() + 1, 7.0f);
      (table.*one.function)(x.data(), whole.data(), 100);
      for (int begin = 0, step = 1; begin < 100; begin += step, step = step % 37 + 1) {
        const int count = std::min(step, 100 - begin);
        (table.*one.function)(x.data() + begin, parts.data() + begin, count);
      }
      CHECK(parts[100] == 7.0f);
      CHECK(std::memcmp(whole.data(), parts.data(), 100 * sizeof(float)) == 0);
    }
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}
