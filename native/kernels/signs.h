// Weights that are +alpha or -alpha: one number for each output and one bit for each weight.
#pragma once

#include <cstdint>
#include <vector>

namespace laconic::kernels {

// Whether every output's `depth` weights have one magnitude, finite and not zero.
bool is_binary(const float* weights, std::int64_t outputs, std::int64_t depth);

// Negative signs of convolution weights [outputs, channels, taps], 32 channels to a word, channel
// 32 j + i in bit i: [outputs][taps][words], 0 in the bits of channels that do not exist.
std::vector<std::uint32_t> signs_of_channels(const float* weights, std::int64_t outputs,
                                             std::int64_t channels, std::int64_t taps);

// The magnitude of each output's weights.
std::vector<float> magnitudes(const float* weights, std::int64_t outputs, std::int64_t depth);

}  // namespace laconic::kernels
