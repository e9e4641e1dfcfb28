// y = x W^T with binary weights against plain loops, in every set of instructions.
#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "check.h"
#include "kernels/binary_linear.h"
#include "kernels/signs.h"

using namespace laconic::kernels;

namespace {

struct Layer {
  std::int64_t outputs, depth, rows;
  std::int64_t x_stride() const { return depth + 3; }
  std::int64_t y_stride() const { return outputs + 5; }
};

std::vector<float> binary_weights(check::Random& random, const Layer& layer) {
  std::vector<float> out;
  for (std::int64_t o = 0; o < layer.outputs; ++o) {
    const float alpha = std::fabs(random.normal()) + 0.01f;
    for (std::int64_t k = 0; k < layer.depth; ++k) out.push_back(random.below(2) ? alpha : -alpha);
  }
  return out;
}

// What stands between the rows of y stays 7.
std::vector<float> plain(const Layer& layer, const std::vector<float>& weights, const float* x,
                         const Epilogue& epilogue) {
  std::vector<float> y(static_cast<std::size_t>(layer.rows * layer.y_stride()), 7.0f);
  for (std::int64_t r = 0; r < layer.rows; ++r) {
    for (std::int64_t o = 0; o < layer.outputs; ++o) {
      double sum = 0;
      for (std::int64_t k = 0; k < layer.depth; ++k) {
        sum += static_cast<double>(weights[static_cast<std::size_t>(o * layer.depth + k)]) *
               static_cast<double>(x[r * layer.x_stride() + k]);
      }
      const std::int64_t place = r * layer.y_stride() + o;
      float value = static_cast<float>(sum);
      if (epilogue.scale) value *= epilogue.scale[o];
      if (epilogue.bias) value += epilogue.bias[o];
      if (epilogue.addend) value += epilogue.addend[place];
      value = std::fmin(epilogue.high, std::fmax(epilogue.low, value));
      y[static_cast<std::size_t>(place)] = value;
    }
  }
  return y;
}

std::vector<float> run(const LinearWeights& weights, const Layer& layer, const float* x,
                       const Epilogue& epilogue, int threads) {
  Pool pool(threads);
  std::vector<float> y(static_cast<std::size_t>(layer.rows * layer.y_stride()), 7.0f);
  const std::size_t bytes = weights.scratch_bytes(layer.rows, threads);
  const std::unique_ptr<std::byte, decltype(&std::free)> scratch(
      static_cast<std::byte*>(std::aligned_alloc(64, bytes)), &std::free);
  weights.run(x, layer.x_stride(), y.data(), layer.y_stride(), layer.rows, epilogue, scratch.get(),
              pool);
  return y;
}

void compare(const Layer& layer, const std::vector<float>& weights, const float* x,
             const Epilogue& epilogue) {
  const auto expected = plain(layer, weights, x, epilogue);
  for (Instructions set : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    use_at_most(set);
    const auto binary = binary_linear(weights.data(), layer.outputs, layer.depth);
    const auto found = run(*binary, layer, x, epilogue, 1);
    CHECK(check::deviation(found, expected) < 2e-6);
    for (int threads : {2, 3}) CHECK(run(*binary, layer, x, epilogue, threads) == found);
  }
  use_at_most(Instructions::avx512);
}

}  // namespace

TEST("a linear layer with binary weights is that of plain loops") {
  check::Random random(1);
  for (const Layer& layer : {Layer{1, 1, 1}, Layer{16, 32, 1}, Layer{7, 31, 2}, Layer{65, 100, 3},
                             Layer{130, 257, 4}, Layer{40, 64, 11}, Layer{3, 1000, 5}}) {
    const auto weights = binary_weights(random, layer);
    CHECK(is_binary(weights.data(), layer.outputs, layer.depth));
    const auto x = random.floats(static_cast<std::size_t>(layer.rows * layer.x_stride()));
    const auto scale = random.floats(static_cast<std::size_t>(layer.outputs));
    const auto bias = random.floats(static_cast<std::size_t>(layer.outputs));
    const auto addend = random.floats(static_cast<std::size_t>(layer.rows * layer.y_stride()));
    Epilogue full;
    full.scale = scale.data();
    full.bias = bias.data();
    full.addend = addend.data();
    full.low = -30.0f;
    full.high = 20.0f;
    compare(layer, weights, x.data(), Epilogue{});
    compare(layer, weights, x.data(), full);
  }
}

TEST("binary weights take a bit each") {
  check::Random random(2);
  const Layer layer{256, 960, 1};
  const auto weights = binary_weights(random, layer);
  const auto binary = binary_linear(weights.data(), layer.outputs, layer.depth);
  CHECK(binary->bytes() == 256 * (960 / 8 + 4));
  CHECK(std::string(binary->form()) == "binary");
}
