#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "check.h"
#include "kernels/binary_conv.h"
#include "kernels/instructions.h"
#include "kernels/sign_inputs.h"
#include "kernels/signs.h"
#include "kernels/xnor_conv.h"
#include "kernels/xnor_lookup.h"

using namespace laconic::kernels;

namespace {

// Memory at an address divisible by 64.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : memory_(bytes + 64) {}
  std::byte* begin() {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (64 - address % 64) % 64;
  }

 private:
  std::vector<std::byte> memory_;
};

std::vector<float> signs(check::Random& random, std::int64_t count, float magnitude) {
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& value : out) value = random.below(2) ? magnitude : -magnitude;
  return out;
}

// Each output has a magnitude of its own, a power of two: products with it are exact.
std::vector<float> binary_weights(check::Random& random, std::int64_t outputs, std::int64_t depth) {
  std::vector<float> out;
  for (std::int64_t o = 0; o < outputs; ++o) {
    const auto row = signs(random, depth, std::ldexp(1.0f, static_cast<int>(o % 5) - 2));
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

void set_output_size(ConvShape& shape, std::int64_t pad_bottom, std::int64_t pad_right) {
  const auto size = [](std::int64_t in, std::int64_t pads, std::int64_t kernel, std::int64_t stride,
                       std::int64_t dilation) {
    return (in + pads - dilation * (kernel - 1) - 1) / stride + 1;
  };
  shape.out_height = size(shape.height, shape.pad_top + pad_bottom, shape.kernel_height,
                          shape.stride_y, shape.dilation_y);
  shape.out_width = size(shape.width, shape.pad_left + pad_right, shape.kernel_width,
                         shape.stride_x, shape.dilation_x);
}

struct Example {
  ConvShape shape;
  std::int64_t images = 1;
};

std::vector<Example> examples() {
  std::vector<Example> out;
  const auto add = [&](std::int64_t images, std::int64_t channels, std::int64_t outputs,
                       std::int64_t groups, std::int64_t height, std::int64_t width,
                       std::int64_t kernel_height, std::int64_t kernel_width, std::int64_t stride,
                       std::int64_t dilation, std::int64_t pad) {
    ConvShape shape;
    shape.channels = channels;
    shape.outputs = outputs;
    shape.groups = groups;
    shape.height = height;
    shape.width = width;
    shape.kernel_height = kernel_height;
    shape.kernel_width = kernel_width;
    shape.stride_y = stride;
    shape.stride_x = stride;
    shape.dilation_y = dilation;
    shape.dilation_x = dilation;
    shape.pad_top = pad;
    shape.pad_left = pad;
    set_output_size(shape, pad, pad);
    out.push_back({shape, images});
  };
  add(1, 64, 8, 1, 14, 14, 3, 3, 1, 1, 1);
  add(2, 33, 5, 1, 7, 9, 3, 3, 1, 1, 1);
  add(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0);
  add(3, 100, 37, 1, 5, 5, 1, 1, 1, 1, 0);
  add(1, 40, 6, 1, 13, 11, 3, 3, 2, 1, 1);
  add(2, 6, 9, 3, 10, 23, 5, 3, 1, 2, 2);
  add(1, 8, 16, 8, 6, 70, 3, 3, 1, 1, 1);
  add(1, 3, 7, 1, 19, 19, 7, 7, 3, 1, 3);
  add(1, 256, 33, 1, 3, 3, 3, 3, 1, 1, 1);
  add(5, 32, 4, 2, 1, 17, 1, 4, 1, 3, 5);
  return out;
}

// The sum of products for one output pixel, in the precision of double.
double product(const ConvShape& s, const float* x, const float* weights, std::int64_t output,
               std::int64_t oy, std::int64_t ox) {
  const std::int64_t channels = s.channels / s.groups;
  const std::int64_t first = output / (s.outputs / s.groups) * channels;
  double sum = 0;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t ky = 0; ky < s.kernel_height; ++ky) {
      for (std::int64_t kx = 0; kx < s.kernel_width; ++kx) {
        const std::int64_t y = oy * s.stride_y - s.pad_top + ky * s.dilation_y;
        const std::int64_t column = ox * s.stride_x - s.pad_left + kx * s.dilation_x;
        if (y < 0 || y >= s.height || column < 0 || column >= s.width) continue;
        const float weight =
            weights[((output * channels + c) * s.kernel_height + ky) * s.kernel_width + kx];
        sum += static_cast<double>(weight) *
               static_cast<double>(x[((first + c) * s.height + y) * s.width + column]);
      }
    }
  }
  return sum;
}

// Plain loops; the sum of products is rounded to a float once, then the epilogue.
std::vector<float> plain(const Example& example, const float* x, const float* weights,
                         const Epilogue& epilogue) {
  const ConvShape& s = example.shape;
  std::vector<float> out;
  for (std::int64_t image = 0; image < example.images; ++image) {
    for (std::int64_t output = 0; output < s.outputs; ++output) {
      for (std::int64_t pixel = 0; pixel < s.out_height * s.out_width; ++pixel) {
        float value =
            static_cast<float>(product(s, x + image * s.channels * s.height * s.width, weights,
                                       output, pixel / s.out_width, pixel % s.out_width));
        if (epilogue.scale) value *= epilogue.scale[output];
        if (epilogue.bias) value += epilogue.bias[output];
        if (epilogue.addend) value += epilogue.addend[out.size()];
        value = std::fmin(epilogue.high, std::fmax(epilogue.low, value));
        out.push_back(value);
      }
    }
  }
  return out;
}

const Instructions SETS[] = {Instructions::portable, Instructions::avx2, Instructions::avx512};

struct Widest {
  ~Widest() { use_at_most(Instructions::avx512); }
};

}  // namespace

TEST("weights of one magnitude in each output are binary, others are not") {
  check::Random random(1);
  std::vector<float> weights = binary_weights(random, 7, 30);
  CHECK(is_binary(weights.data(), 7, 30));
  CHECK(!is_binary(weights.data(), 1, 210));
  weights[77] = 0.0f;
  CHECK(!is_binary(weights.data(), 7, 30));
  const float zeros[] = {0.0f, -0.0f}, infinite[] = {INFINITY, -INFINITY}, nan[] = {NAN, NAN};
  CHECK(!is_binary(zeros, 1, 2));
  CHECK(!is_binary(infinite, 1, 2));
  CHECK(!is_binary(nan, 1, 2));
}

TEST("a convolution of signs with signs is exact in every set of instructions") {
  const Widest restored;
  check::Random random(2);
  for (const Example& example : examples()) {
    const ConvShape& s = example.shape;
    const auto weights = binary_weights(random, s.outputs, s.depth());
    const auto x = signs(random, example.images * s.channels * s.height * s.width, 0.5f);
    const auto scale = signs(random, s.outputs, 2.0f), bias = signs(random, s.outputs, 3.0f);
    const std::size_t size =
        static_cast<std::size_t>(example.images * s.outputs * s.out_height * s.out_width);
    const auto addend = signs(random, static_cast<std::int64_t>(size), 5.0f);
    Epilogue full;
    full.scale = scale.data();
    full.bias = bias.data();
    full.addend = addend.data();
    full.low = -20.0f;
    full.high = 30.0f;
    for (const Epilogue& epilogue : {Epilogue{}, full}) {
      const auto expected = plain(example, x.data(), weights.data(), epilogue);
      for (Instructions set : SETS) {
        use_at_most(set);
        const XnorConv conv(weights.data(), s);
        const auto plan = conv.plan(s);
        for (int threads : {1, 2, 3}) {
          Pool pool(threads);
          Scratch scratch(plan->scratch_bytes(example.images, threads));
          std::vector<float> y(size, NAN);
          CHECK(plan->run(x.data(), y.data(), example.images, epilogue, scratch.begin(), pool));
          CHECK(y == expected);
        }
      }
    }
  }
}

TEST("signs that differ everywhere are all counted") {
  const Widest restored;
  ConvShape shape;
  shape.channels = 512;
  shape.outputs = 5;
  shape.height = shape.out_height = 3;
  shape.width = shape.out_width = 40;
  const std::vector<float> x(512 * 120, 1.0f), weights(5 * 512, -1.0f);
  for (Instructions set : SETS) {
    use_at_most(set);
    const XnorConv conv(weights.data(), shape);
    const auto plan = conv.plan(shape);
    Pool pool(1);
    Scratch scratch(plan->scratch_bytes(1, 1));
    std::vector<float> y(5 * 120);
    CHECK(plan->run(x.data(), y.data(), 1, Epilogue{}, scratch.begin(), pool));
    CHECK(y == std::vector<float>(5 * 120, -512.0f));
  }
}

TEST("inputs that are not of one magnitude are refused, wherever they stand") {
  const Widest restored;
  check::Random random(3);
  for (const Example& example : examples()) {
    const ConvShape& s = example.shape;
    const auto weights = binary_weights(random, s.outputs, s.depth());
    auto x = signs(random, example.images * s.channels * s.height * s.width, 1.0f);
    for (Instructions set : SETS) {
      use_at_most(set);
      const XnorConv conv(weights.data(), s);
      const auto plan = conv.plan(s);
      Pool pool(2);
      Scratch scratch(plan->scratch_bytes(example.images, 2));
      std::vector<float> y(
          static_cast<std::size_t>(example.images * s.outputs * s.out_height * s.out_width));
      const auto run = [&] {
        return plan->run(x.data(), y.data(), example.images, Epilogue{}, scratch.begin(), pool);
      };
      for (float odd : {0.0f, NAN, INFINITY, 1.0000001f, 0.5f}) {
        const std::size_t place =
            static_cast<std::size_t>(random.below(static_cast<int>(x.size())));
        const float kept = x[place];
        x[place] = odd;
        CHECK(!run() || (x.size() == 1 && odd == 1.0000001f) || (x.size() == 1 && odd == 0.5f));
        x[place] = kept;
        CHECK(run());
      }
    }
  }
}

TEST("a convolution of floats with binary weights is that of plain loops") {
  const Widest restored;
  check::Random random(5);
  for (const Example& example : examples()) {
    const ConvShape& s = example.shape;
    const auto weights = binary_weights(random, s.outputs, s.depth());
    const auto x =
        random.floats(static_cast<std::size_t>(example.images * s.channels * s.height * s.width));
    const auto scale = random.floats(static_cast<std::size_t>(s.outputs));
    const auto bias = random.floats(static_cast<std::size_t>(s.outputs));
    const std::size_t size =
        static_cast<std::size_t>(example.images * s.outputs * s.out_height * s.out_width);
    const auto addend = random.floats(size);
    Epilogue full;
    full.scale = scale.data();
    full.bias = bias.data();
    full.addend = addend.data();
    full.low = -30.0f;
    full.high = 40.0f;
    for (const Epilogue& epilogue : {Epilogue{}, full}) {
      const auto expected = plain(example, x.data(), weights.data(), epilogue);
      std::vector<float> first;  // every set adds in one order
      for (Instructions set : SETS) {
        use_at_most(set);
        const auto conv = binary_conv(weights.data(), s);
        const auto plan = conv->plan(s);
        for (int threads : {1, 2, 3}) {
          Pool pool(threads);
          Scratch scratch(plan->scratch_bytes(example.images, threads));
          std::vector<float> y(size, NAN);
          plan->run(x.data(), y.data(), example.images, epilogue, scratch.begin(), pool);
          CHECK(check::deviation(y, expected) < 3e-6);
          if (first.empty()) first = y;
          CHECK(y == first);
        }
      }
    }
  }
}

TEST("a binary convolution takes signs and other inputs in turn") {
  check::Random random(6);
  for (const Example& example : examples()) {
    const ConvShape& s = example.shape;
    const auto weights = binary_weights(random, s.outputs, s.depth());
    const auto conv = with_sign_inputs(binary_conv(weights.data(), s), weights.data(), s);
    CHECK(std::string(conv->form()) == "binary");
    const auto plan = conv->plan(s);
    const std::int64_t size = example.images * s.channels * s.height * s.width;
    auto x = signs(random, size, 1.0f);
    for (int turn = 0; turn < 3; ++turn) {
      Pool pool(2);
      Scratch scratch(plan->scratch_bytes(example.images, 2));
      const auto expected = plain(example, x.data(), weights.data(), Epilogue{});
      std::vector<float> y(expected.size(), NAN);
      plan->run(x.data(), y.data(), example.images, Epilogue{}, scratch.begin(), pool);
      CHECK(check::deviation(y, expected) < 3e-6);
      x.back() = 0.25f;  // in the second turn; then all are other numbers
      if (turn == 1) x = random.floats(x.size());
    }
  }
}

#if defined(LACONIC_X86)
TEST("looking counts up gives what counting bits gives") {
  check::Random random(4);
  const Instructions widest = instructions();
  for (std::int64_t words : {1, 3, 7, 8, 30}) {
    for (int outputs : {1, 4, 7}) {
      for (bool padded : {false, true}) {
        std::vector<const XnorKernels*> found;
        if (widest >= Instructions::avx2) found.push_back(&avx2::xnor_lookup);
        if (widest >= Instructions::avx512) found.push_back(&avx512::xnor_lookup);
        for (const XnorKernels* kernels : found) {
          const std::int64_t taps = 3, width = 2 * kernels->lanes;
          const auto word = [&] {
            return static_cast<std::uint32_t>(random.below(1 << 30)) * 4u +
                   static_cast<std::uint32_t>(random.below(4));
          };
          std::vector<std::uint32_t> columns(static_cast<std::size_t>(taps * words * width));
          std::vector<std::uint32_t> inside(static_cast<std::size_t>(taps * width));
          std::vector<std::uint32_t> weights(static_cast<std::size_t>(outputs * taps * words));
          for (auto& item : columns) item = word();
          for (auto& item : inside) item = random.below(2) ? ~0u : 0u;
          for (auto& item : weights) item = word();
          std::vector<std::int32_t> most(static_cast<std::size_t>(width));
          for (auto& item : most) item = random.below(1000);
          std::vector<std::int32_t> sums(static_cast<std::size_t>(outputs * width)), expected;
          for (int o = 0; o < outputs; ++o) {
            for (std::int64_t i = 0; i < width; ++i) {
              std::int32_t sum = most[static_cast<std::size_t>(i)];
              for (std::int64_t k = 0; k < taps * words; ++k) {
                const std::uint32_t valid =
                    padded ? inside[static_cast<std::size_t>(k / words * width + i)] : ~0u;
                sum -= 2 * __builtin_popcount(
                               (columns[static_cast<std::size_t>(k * width + i)] ^
                                weights[static_cast<std::size_t>(o * taps * words + k)]) &
                               valid);
              }
              expected.push_back(sum);
            }
          }
          Scratch panel(columns.size() * kernels->panel_bytes);
          const XnorTile tile{columns.data(), padded ? inside.data() : nullptr,
                              most.data(),    taps,
                              words,          2,
                              panel.begin(),  weights.data(),
                              outputs,        sums.data()};
          kernels->arrange(tile);
          kernels->multiply(tile);
          CHECK(sums == expected);
        }
      }
    }
  }
}
#endif
