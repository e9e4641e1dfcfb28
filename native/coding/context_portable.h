// The arithmetic of a decision and of the prediction, one number at a time.
#pragma once

#include "coding/context_tables.h"

namespace laconic::coding::context::portable {

// A decision: the estimates found in its contexts, mixed.
class Decision {
 public:
  Decision(Estimate* estimates, const Places& places) : estimates_(estimates), places_(places) {
    for (std::size_t i = 0; i < kContexts; ++i) inputs_[i] = estimates[places[i]].stretched;
    inputs_[kContexts] = kConstant;
  }

  int mixed(const Mixer& mixer) const {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < kInputs; ++i) sum += mixer.weights[i] * inputs_[i] >> 4;
    return sum >> 12;
  }

  void learn(Mixer& mixer, int error, int shift, int bit) const {
    for (std::size_t i = 0; i < kInputs; ++i) {
      const std::int32_t step = (inputs_[i] * error + (1 << (shift - 1))) >> shift;
      mixer.weights[i] = std::clamp(mixer.weights[i] + step, -kMostWeight, kMostWeight);
    }
    for (const std::uint32_t place : places_) {
      Estimate& estimate = estimates_[place];
      const std::uint32_t slow = estimate.slow ^ kSlowHalf, fast = estimate.fast ^ kFastHalf;
      const auto seen = static_cast<int>(slow & kMostSeen);
      const std::int32_t rate = kTables.rate[static_cast<std::size_t>(seen)];
      const std::int32_t slow_error = (-bit & 0x3FFFFF) - static_cast<std::int32_t>(slow >> 10);
      const std::int32_t fast_error = (-bit & 0xFFFF) - static_cast<std::int32_t>(fast);
      const std::int32_t step = (slow_error >> 3) * rate >> 9;
      const std::int32_t fast_step = fast_error * std::max(rate, kFastRate) >> 12;
      const std::uint32_t new_slow =
          slow + (static_cast<std::uint32_t>(step) << 10) + (seen < kMostSeen);
      const std::uint32_t new_fast = fast + static_cast<std::uint32_t>(fast_step);
      estimate.slow = new_slow ^ kSlowHalf;
      estimate.fast = static_cast<std::uint16_t>(new_fast ^ kFastHalf);
      estimate.stretched = kTables.stretch[((new_slow >> 16) + new_fast) >> 5];
    }
  }

 private:
  Estimate* estimates_;
  const Places& places_;
  std::int32_t inputs_[kInputs];
};

// The last items, where the model keeps them.
struct Recent {
  const std::int16_t* end;
  explicit Recent(const std::int16_t* first) : end(first) {}
  void push(int) { ++end; }
};

// `inside` of the last items belong to the same kernel; the nearest come first.
inline void gather(Taps& taps, const Recent& recent, std::size_t inside, int above, int channel) {
  for (std::size_t i = 0; i + 2 < kTaps; ++i) {
    taps.items[i] = i < inside ? recent.end[-1 - static_cast<std::ptrdiff_t>(i)] : 0;
  }
  taps.items[kTaps - 2] = above;
  taps.items[kTaps - 1] = channel;
}

inline std::int32_t weigh(const Taps& pulls, const Taps& taps) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < kTaps; ++i) sum += pulls.items[i] * taps.items[i] >> 4;
  return sum;
}

inline std::int32_t power(const Taps& taps) {
  std::int32_t sum = 0;
  for (const std::int32_t tap : taps.items) sum += tap * tap;
  return sum;
}

inline void move(Taps& pulls, const Taps& taps, std::int32_t gain) {
  for (std::size_t i = 0; i < kTaps; ++i) {
    pulls.items[i] =
        std::clamp(pulls.items[i] + (gain * taps.items[i] >> 5), -kMostPull, kMostPull);
  }
}

}  // namespace laconic::coding::context::portable
