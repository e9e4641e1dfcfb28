// The smallest test harness that does: TEST("a sentence") { CHECK(condition); }
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

inline void report(bool good, const char* what, const char* file, int line) {
  if (good) return;
  ++failures();
  std::printf("%s:%d: failed: %s\n", file, line, what);
}

// Repeatable numbers for a test.
class Random {
 public:
  explicit Random(unsigned seed) : bits_(seed) {}
  int below(int limit) { return static_cast<int>(bits_() % static_cast<unsigned>(limit)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  float normal() { return normal_(bits_); }
  // `size` floats, of which about `zeros` (0 to 1) are zero.
  std::vector<float> floats(std::size_t size, double zeros = 0) {
    std::vector<float> out(size);
    for (float& value : out) {
      value = std::uniform_real_distribution<double>()(bits_) < zeros ? 0.0f : normal();
    }
    return out;
  }

 private:
  std::mt19937 bits_;
  std::normal_distribution<float> normal_;
};

// A scratch buffer at an address divisible by 64, filled with NaN.
struct Scratch {
  explicit Scratch(std::size_t bytes) : memory(bytes / 4 + 16, NAN) {}
  std::byte* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
    return reinterpret_cast<std::byte*>((at + 63) / 64 * 64);
  }
  std::vector<float> memory;
};

// The largest difference, relative to the largest expected magnitude.
inline double deviation(const std::vector<float>& found, const std::vector<float>& expected) {
  double largest = 1e-30, worst = found.size() == expected.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < expected.size() && i < found.size(); ++i) {
    largest = std::fmax(largest, std::fabs(expected[i]));
    const double difference = std::fabs(static_cast<double>(found[i]) - expected[i]);
    worst = std::isnan(difference) ? INFINITY : std::fmax(worst, difference);
  }
  return worst / largest;
}

}  // namespace check

#define CHECK_JOIN_(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN_(a, b)
#define TEST(sentence)                                                                         \
  static void CHECK_JOIN(test_, __LINE__)();                                                   \
  static const check::Register CHECK_JOIN(registered_, __LINE__)(sentence,                     \
                                                                 CHECK_JOIN(test_, __LINE__)); \
  static void CHECK_JOIN(test_, __LINE__)()
#define CHECK(condition) check::report((condition), #condition, __FILE__, __LINE__)
