// What all forms of the context coder share: the shape of an array, constants and tables
// (spec/coders.md, `context`).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace laconic::coding {

// How an array is seen: rows of columns; a row is a run of kernels (of one item if there are none).
struct Geometry {
  std::size_t columns = 1;  // items of a row
  std::size_t kernel = 1;   // items of a kernel; divides columns
  std::size_t width = 1;    // items of a kernel's row; divides kernel
};

namespace context {

constexpr int kContexts = 7;        // predictions for a decision, each from a context of its own
constexpr int kInputs = 8;          // those and a constant one are mixed
constexpr int kConstant = 77;       // 0.3 in units of 1/256
constexpr int kMostSeen = 1023;     // decisions that the slow estimate averages over
constexpr int kFastRate = 96;       // of 4096: the fast estimate looks back about 43 decisions
constexpr int kMostStretch = 2815;  // probabilities lie within e^±11
constexpr int kMostWeight = 1 << 18;
constexpr int kEager = 512;            // decisions in which a mixer learns faster
constexpr std::uint32_t kLevels = 24;  // of a size, two an octave
constexpr std::int32_t kMostLevelled = 16383;
constexpr int kExactSizes = 256;  // magnitudes whose signs are counted apart
constexpr std::uint32_t kSignLevels = 13;
constexpr int kModelledBits = 3;  // of a mantissa, from the top; the others are taken as even
constexpr int kNodes = 16;        // exponents with decisions of their own
constexpr int kMostValue = 1023;  // neighbours count as no larger
constexpr std::size_t kLargestKernel = 49;
constexpr std::size_t kMargin = 64;  // zeros before the first item: room for any kernel
constexpr std::size_t kTaps = 8;     // neighbours that the prediction is made from
constexpr int kMostPull = 1 << 17;

// 256·ln(p / (1 − p)), its inverse, 4096 / (n + 1.5), and the levels of sizes.
struct Tables {
  std::array<std::int16_t, 4098> stretch;  // two more, for loads of 32 bits
  std::array<std::int32_t, 2 * kMostStretch + 1> squash;
  std::array<std::int32_t, kMostSeen + 1> rate;
  std::array<std::uint8_t, 16384> level;
  Tables();
};
extern const Tables kTables;

// Constants, eight times each: vector code loads them, which is shorter than to spread them.
struct alignas(32) Eights {
  std::int32_t slow_half[8], fast_half[8], low_half[8], constant[8], most_seen[8], three[8];
  std::int32_t fast_rate[8], most_weight[8], least_weight[8], most_pull[8], least_pull[8];
  Eights();
};
extern const Eights kEights;

// Two estimates of one probability: one that averages (22 bits, and 10 bits of decisions seen), one
// that follows quickly (16 bits); and both together as an input of the mixer, looked up when they
// change, because the next decision waits for it. Their highest bits are turned over: a half is all
// zeros, so that a fresh model is memory that the system gives out, and only what is touched costs.
struct alignas(8) Estimate {
  std::uint32_t slow;
  std::uint16_t fast;
  std::int16_t stretched;
};
constexpr std::uint32_t kSlowHalf = std::uint32_t{1} << 31;
constexpr std::uint32_t kFastHalf = std::uint32_t{1} << 15;

struct Freed {
  void operator()(Estimate* estimates) const { std::free(estimates); }
};
using Estimates = std::unique_ptr<Estimate[], Freed>;

inline Estimates halves(std::size_t count) {
  auto* const memory = static_cast<Estimate*>(std::calloc(count, sizeof(Estimate)));
  if (memory == nullptr) throw std::bad_alloc();
  return Estimates(memory);
}

struct alignas(32) Mixer {
  std::int32_t weights[kInputs];
  std::int32_t seen = 0;
  Mixer() { std::fill_n(weights, kInputs, 65536 / kContexts); }
};

// Where the present contexts of a decision lie, one for each prediction.
using Places = std::array<std::uint32_t, kContexts>;

// The neighbours that an item is predicted from, and how much each counts.
struct alignas(32) Taps {
  std::int32_t items[kTaps] = {};
};

// Of a size up to kMostLevelled.
inline std::uint32_t level(std::int32_t size) {
  return kTables.level[static_cast<std::size_t>(size)];
}

inline std::uint32_t sign_level(int value) {
  const auto size = static_cast<std::int32_t>(
      std::min((level(std::min(std::abs(value), kMostLevelled)) + 1) / 3, 6u));
  return static_cast<std::uint32_t>(6 + (value < 0 ? -size : size));
}

inline std::uint32_t sign_of(int value) {
  return static_cast<std::uint32_t>(1 + (value > 0) - (value < 0));
}

// Running means have 12 fractional bits; their levels count in 1/128.
constexpr int kOne = 12;
inline void follow(std::int32_t& mean, int value, int shift) {
  mean += (value * (1 << kOne) - mean) >> shift;
}
inline std::uint32_t level_of_mean(std::int32_t mean) {
  return level(std::min(mean >> 5, kMostLevelled));
}

struct Means {
  std::int32_t size = -1;
  std::int32_t drift = 0;
};

// One for each context of a magnitude, kernels or not, and of a sign.
inline std::size_t size_contexts(std::size_t kernel) {
  return 1 + kLevels + 4 * kLevels * kLevels + kernel * kLevels;
}
inline std::size_t sign_contexts(std::size_t kernel) {
  return kExactSizes + 36 + kSignLevels * (kSignLevels + 1 + kLevels + kernel);
}

}  // namespace context
}  // namespace laconic::coding
