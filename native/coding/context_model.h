// The model of the context coder: how likely the next binary decision is (spec/coders.md,
// `context`). Encoder and decoder run the same code, in integers alone, so that every machine and
// laconic/coding/reference/context.py come to the same probabilities.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace laconic::coding {

// How an array is seen: rows of columns; a row is a run of kernels (of one item if there are none).
struct Geometry {
  std::size_t columns = 1;  // items of a row
  std::size_t kernel = 1;   // items of a kernel; divides columns
  std::size_t width = 1;    // items of a kernel's row; divides kernel
};

namespace context {

constexpr int kContexts = 7;       // predictions for a decision, each from a context of its own
constexpr int kInputs = 8;         // those and a constant one are mixed
constexpr int kConstant = 77;      // 0.3 in units of 1/256
constexpr int kMostSeen = 1023;    // decisions that the slow estimate averages over
constexpr int kFastRate = 128;     // of 4096: the fast estimate looks back about 32 decisions
constexpr int kMostStretch = 2815; // probabilities lie within e^±11
constexpr int kMostWeight = 1 << 18;
constexpr int kEager = 512;        // decisions in which a mixer learns faster
constexpr std::uint32_t kLevels = 24;  // of a size, two an octave
constexpr std::uint32_t kSignLevels = 13;
constexpr int kModelledBits = 3;   // of a mantissa, from the top; the others are taken as even
constexpr int kNodes = 16;         // exponents with decisions of their own
constexpr int kMostValue = 1023;   // neighbours count as no larger
constexpr std::size_t kLargestKernel = 49;
constexpr std::size_t kTaps = 8;   // neighbours that the prediction is made from
constexpr int kMostPull = 1 << 17;

// 256·ln(p / (1 − p)), its inverse, 4096 / (n + 1.5), and the levels of sizes.
struct Tables {
  std::array<std::int16_t, 4096> stretch;
  std::array<std::int32_t, 2 * kMostStretch + 1> squash;
  std::array<std::int32_t, kMostSeen + 1> rate;
  std::array<std::uint8_t, 4096> level;
  Tables();
};
extern const Tables kTables;

// Two estimates of one probability: one that averages, one that follows quickly.
struct Estimate {
  std::uint32_t slow = std::uint32_t{1} << 31;  // 22 bits of probability, 10 of decisions seen
  std::uint32_t fast = 32768;                   // 16 bits of probability

  std::size_t mean() const { return ((slow >> 16) + fast) >> 5; }  // 12 bits

  void learn(int bit) {
    const auto seen = static_cast<int>(slow & kMostSeen);
    const std::int32_t rate = kTables.rate[static_cast<std::size_t>(seen)];
    const std::int32_t slow_error = (-bit & 0x3FFFFF) - static_cast<std::int32_t>(slow >> 10);
    const std::int32_t fast_error = (-bit & 0xFFFF) - static_cast<std::int32_t>(fast);
    const std::int32_t step = (slow_error >> 3) * rate >> 9;
    slow += (static_cast<std::uint32_t>(step) << 10) + (seen < kMostSeen);
    fast += static_cast<std::uint32_t>(fast_error * std::max(rate, kFastRate) >> 12);
  }
};

struct alignas(32) Mixer {
  std::int32_t weights[kInputs];
  std::int32_t seen = 0;
  Mixer() { std::fill_n(weights, kInputs, 65536 / kContexts); }
};

// Where the present contexts of a decision lie, one for each prediction.
using Places = std::array<std::uint32_t, kContexts>;

// Contexts, and the decisions (nodes) that are made in each of them.
class Family {
 public:
  Family(std::size_t contexts, std::size_t nodes)
      : contexts_(contexts), estimates_(contexts * nodes), mixers_(nodes) {}

  template <typename Coder>
  int decide(Coder& coder, std::size_t node, const Places& places, int bit) {
    Estimate* const found = estimates_.data() + node * contexts_;
    Mixer& mixer = mixers_[node];
    std::int32_t inputs[kInputs];
    for (std::size_t i = 0; i < kContexts; ++i) inputs[i] = kTables.stretch[found[places[i]].mean()];
    inputs[kContexts] = kConstant;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < kInputs; ++i) sum += mixer.weights[i] * inputs[i] >> 4;
    const int stretched = std::clamp(sum >> 12, -kMostStretch, kMostStretch);
    const int chance = kTables.squash[static_cast<std::size_t>(stretched + kMostStretch)];
    bit = coder.code(chance, bit);
    const int error = (bit << 16) - chance;
    const int shift = mixer.seen < kEager ? 14 : 16;
    mixer.seen += mixer.seen < kEager;
    for (std::size_t i = 0; i < kInputs; ++i) {
      const std::int32_t moved = mixer.weights[i] + ((inputs[i] * error + (1 << (shift - 1))) >> shift);
      mixer.weights[i] = std::clamp(moved, -kMostWeight, kMostWeight);
    }
    for (std::size_t i = 0; i < kContexts; ++i) found[places[i]].learn(bit);
    return bit;
  }

 private:
  std::size_t contexts_;
  std::vector<Estimate> estimates_;
  std::vector<Mixer> mixers_;
};

inline std::uint32_t level(std::int32_t size) { return kTables.level[static_cast<std::size_t>(std::min(size, 4095))]; }

inline std::uint32_t sign_level(int value) {
  const auto size = static_cast<std::int32_t>(std::min((level(std::abs(value)) + 1) / 3, 6u));
  return static_cast<std::uint32_t>(6 + (value < 0 ? -size : size));
}

inline std::uint32_t sign_of(int value) { return static_cast<std::uint32_t>(1 + (value > 0) - (value < 0)); }

// Running means have 12 fractional bits; their levels count in 1/128.
constexpr int kOne = 12;
inline void follow(std::int32_t& mean, int value, int shift) { mean += ((value << kOne) - mean) >> shift; }
inline std::uint32_t mean_level(std::int32_t mean) { return level(mean >> 5); }

// Walks over the items of an array in order. `Kernels`: a kernel has more than one item.
template <bool Kernels>
class Model {
 public:
  Model(const Geometry& shape, std::size_t count, int most_exponent);

  // Codes the next item as magnitude and sign: told to an encoder, found by a decoder.
  template <typename Coder>
  std::uint64_t next(Coder& coder, std::uint64_t magnitude, int& negative) {
    Places places;
    look(places);
    const std::uint64_t found = code_magnitude(coder, places, magnitude);
    if (found == 0) {
      learn(0, 0);
      return 0;
    }
    const auto size = static_cast<int>(std::min<std::uint64_t>(found, kMostValue));
    look_for_sign(places, size);
    negative = signs_.decide(coder, 0, places, negative);
    learn(size, negative ? -size : size);
    return found;
  }

 private:
  struct Means {
    std::int32_t size = -1;
    std::int32_t drift = 0;
  };

  void look(Places& places) {
    const std::int16_t* const here = values_.data() + place_;
    if (column_ == 0) row_mean_ = mean_;
    const int left = here[-1], left2 = here[-2];
    const int above = has_rows_ ? here[-static_cast<std::ptrdiff_t>(shape_.columns)] : 0;
    const int above2 = has_rows_ ? here[-2 * static_cast<std::ptrdiff_t>(shape_.columns)] : 0;
    Means& channel_means = channels_[channel_];
    std::int32_t& column_mean = Kernels ? column_means_[has_rows_ ? column_ : 0] : channel_means.size;
    if (channel_means.size < 0) channel_means.size = mean_;
    if (column_mean < 0) column_mean = mean_;
    const int beside = std::abs(left) + std::abs(left2), over = std::abs(above) + std::abs(above2);
    const int near = beside + over + std::abs(left) + std::abs(above);
    const std::int32_t means = row_mean_ + column_mean + channel_means.size;
    const std::uint32_t together = level((means + (near << 8)) >> 6);
    std::uint32_t base = 0;
    places[0] = base;
    base += 1;
    places[1] = base + level(2 * near);
    base += kLevels;
    places[2] = base + kLevels * mean_level(row_mean_) + mean_level(column_mean);
    base += kLevels * kLevels;
    places[3] = base + kLevels * level(4 * beside) + level(4 * over);
    base += kLevels * kLevels;
    if constexpr (Kernels) {
      const int channel = here[-static_cast<std::ptrdiff_t>(shape_.kernel)];
      const int higher = in_kernel_ >= shape_.width ? here[-static_cast<std::ptrdiff_t>(shape_.width)] : 0;
      predict(here, above, channel);
      places[4] = base + kLevels * level(8 * std::abs(channel)) + level(8 * std::abs(higher));
      base += kLevels * kLevels;
      places[5] = base + kLevels * level(std::abs(prediction_)) + together;
      base += kLevels * kLevels;
      places[6] = base + kLevels * static_cast<std::uint32_t>(in_kernel_) + mean_level(channel_means.size);
    } else {
      places[4] = base + kLevels * level(8 * std::abs(left)) + mean_level(row_mean_);
      base += kLevels * kLevels;
      places[5] = base + together;
      base += kLevels * kLevels;
      places[6] = base + mean_level(column_mean);
    }
  }

  // The neighbours in the kernel, the item above and the one in the channel before, weighted.
  void predict(const std::int16_t* here, int above, int channel) {
    for (std::size_t i = 0; i + 2 < kTaps; ++i) taps_[i] = i < in_kernel_ ? here[-1 - static_cast<std::ptrdiff_t>(i)] : 0;
    taps_[kTaps - 2] = above;
    taps_[kTaps - 1] = channel;
    const std::array<std::int32_t, kTaps>& pulls = pulls_[in_kernel_];
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < kTaps; ++i) sum += pulls[i] * taps_[i] >> 4;
    prediction_ = sum >> 8;
  }

  void look_for_sign(Places& places, int size) {
    const std::int16_t* const here = values_.data() + place_;
    const int left = here[-1];
    const int above = has_rows_ ? here[-static_cast<std::ptrdiff_t>(shape_.columns)] : 0;
    const int channel = here[-static_cast<std::ptrdiff_t>(shape_.kernel)];
    const bool lower = in_kernel_ >= shape_.width;
    const bool starts = Kernels && in_kernel_ % shape_.width == 0;
    const int higher = lower ? here[-static_cast<std::ptrdiff_t>(shape_.width)] : 0;
    const int beside = starts ? 0 : left;
    const int across = lower && !starts ? here[-1 - static_cast<std::ptrdiff_t>(shape_.width)] : 0;
    const std::int64_t spread = 1 + (static_cast<std::int64_t>(mean_) * mean_ >> 2 * kOne);
    const std::int64_t pull = static_cast<std::int64_t>(prediction_) * size / spread;
    const auto drawn = static_cast<int>(std::clamp<std::int64_t>(pull, -4095, 4095));
    std::uint32_t base = 0;
    places[0] = base;
    base += 1;
    places[1] = base + 3 * sign_of(above) + sign_of(left);
    base += 9;
    places[2] = base + 9 * sign_of(left) + 3 * sign_of(higher) + sign_of(channel);
    base += 27;
    places[3] = base + kSignLevels * sign_level(16 * across) + sign_level(16 * beside);
    base += kSignLevels * kSignLevels;
    places[4] = base + sign_level(drawn);
    base += kSignLevels;
    places[5] = base + kSignLevels * level(16 * size) + sign_level(prediction_);
    base += kSignLevels * kLevels;
    places[6] = base + kSignLevels * static_cast<std::uint32_t>(in_kernel_) + sign_level(channels_[channel_].drift >> 8);
  }

  void learn(int size, int value) {
    values_[place_] = static_cast<std::int16_t>(value);
    if constexpr (Kernels) {
      std::int32_t power = 1 + static_cast<std::int32_t>(static_cast<std::int64_t>(mean_) * mean_ >> 2 * kOne);
      for (const std::int32_t tap : taps_) power += tap * tap;
      const int shift = 32 - __builtin_clz(static_cast<std::uint32_t>(power));
      const std::int32_t error = 16 * value - prediction_;
      const std::int32_t gain = std::clamp(static_cast<std::int32_t>((static_cast<std::int64_t>(error) << 12) >> shift), -(1<<20), 1 << 20);
      std::array<std::int32_t, kTaps>& pulls = pulls_[in_kernel_];
      for (std::size_t i = 0; i < kTaps; ++i) {
        pulls[i] = std::clamp(pulls[i] + (gain * taps_[i] >> 5), -kMostPull, kMostPull);
      }
      follow(column_means_[has_rows_ ? column_ : 0], size, 4);
    }
    follow(row_mean_, size, 5);
    follow(channels_[channel_].size, size, 5);
    follow(channels_[channel_].drift, value, 5);
    follow(mean_, size, 8);
    ++place_;
    if (++column_ == shape_.columns) column_ = 0;
    if (++in_kernel_ == shape_.kernel) {
      in_kernel_ = 0;
      channel_ = has_rows_ && column_ != 0 ? channel_ + 1 : 0;
    }
  }

  template <typename Coder>
  std::uint64_t code_magnitude(Coder& coder, const Places& places, std::uint64_t magnitude) {
    if (!sizes_.decide(coder, 0, places, magnitude != 0)) return 0;
    int exponent = 0;
    while (exponent < most_exponent_) {
      const auto node = static_cast<std::size_t>(1 + std::min(exponent, kNodes - 1));
      if (!sizes_.decide(coder, node, places, magnitude >> exponent > 1)) break;
      ++exponent;
    }
    std::uint64_t found = 1;
    for (int below = exponent - 1; below >= 0; --below) {
      int bit = static_cast<int>(magnitude >> below & 1);
      if (exponent - below <= kModelledBits && exponent < kNodes) {
        bit = sizes_.decide(coder, first_mantissa_ + 8 * static_cast<std::size_t>(exponent) + found, places, bit);
      } else {
        bit = coder.code(32768, bit);
      }
      found = 2 * found + static_cast<std::uint64_t>(bit);
    }
    return found;
  }

  Geometry shape_;
  bool has_rows_;
  int most_exponent_;
  std::size_t first_mantissa_;
  Family sizes_;
  Family signs_;
  std::vector<std::int16_t> values_;  // of all items, behind zeros that stand for what is outside
  std::size_t place_;
  std::size_t column_ = 0;
  std::size_t in_kernel_ = 0;
  std::size_t channel_ = 0;
  std::int32_t mean_ = 1 << kOne;
  std::int32_t row_mean_ = 1 << kOne;
  std::vector<std::int32_t> column_means_;
  std::vector<Means> channels_;
  int prediction_ = 0;
  std::array<std::int32_t, kTaps> taps_{};
  std::vector<std::array<std::int32_t, kTaps>> pulls_;
};

}  // namespace context
}  // namespace laconic::coding
