// Products of 8-bit integers against plain loops, in every set of instructions: exactly equal.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <vector>

#include "check.h"
#include "kernels/instructions.h"
#include "kernels/int8_conv.h"
#include "kernels/int8_grid.h"
#include "kernels/int8_linear.h"
#include "kernels/int8_madd.h"
#include "kernels/int8_vnni.h"
#include "kernels/quantize.h"

using namespace laconic::kernels;

namespace {

using Memory = std::unique_ptr<std::byte, decltype(&std::free)>;

Memory memory(std::size_t bytes) {
  return Memory(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 127) / 64 * 64)),
                &std::free);
}

const Instructions SETS[] = {Instructions::portable, Instructions::avx2, Instructions::avx512};

struct Widest {
  ~Widest() { use_at_most(Instructions::avx512); }
};

std::vector<const Int8Dot*> products() {
  std::vector<const Int8Dot*> out = {&portable::int8_madd};
#if defined(LACONIC_X86)
  if (instructions() >= Instructions::avx2) out.push_back(&avx2::int8_madd);
  if (instructions() >= Instructions::avx512) out.push_back(&avx512::int8_madd);
  out.push_back(&int8_dot());
  use_at_most(Instructions::avx2);
  out.push_back(&int8_dot());
  use_at_most(Instructions::avx512);
#endif
  return out;
}

std::uint32_t random_word(check::Random& random) {
  // Extremes are frequent: 0, 127, 128 and 255 in every byte.
  std::uint32_t word = 0;
  for (int i = 0; i < 4; ++i) {
    const int extremes[] = {0, 127, 128, 255};
    const int item = random.below(2) ? extremes[random.below(4)] : random.below(256);
    word = word << 8 | static_cast<std::uint32_t>(item);
  }
  return word;
}

std::int32_t dot(std::uint32_t unsigned_items, std::uint32_t signed_items) {
  std::int32_t sum = 0;
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<std::int32_t>(unsigned_items >> (8 * i) & 255u) *
           static_cast<std::int8_t>(signed_items >> (8 * i) & 255u);
  }
  return sum;
}

std::vector<std::uint8_t> random_bytes(check::Random& random, std::int64_t count) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(count));
  for (auto& item : out) item = static_cast<std::uint8_t>(random.below(256));
  return out;
}

std::vector<std::int8_t> random_weights(check::Random& random, std::int64_t count, int most = 127) {
  std::vector<std::int8_t> out(static_cast<std::size_t>(count));
  for (auto& item : out) item = static_cast<std::int8_t>(random.between(-most - 1, most));
  return out;
}

std::vector<std::int32_t> random_zeros(check::Random& random, std::int64_t count) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  for (auto& item : out) item = random.between(-128, 127);
  return out;
}

struct Example {
  ConvShape shape;
  std::int64_t images;
};

Example example(std::int64_t images, std::int64_t channels, std::int64_t outputs,
                std::int64_t groups, std::int64_t height, std::int64_t width, std::int64_t kernel,
                std::int64_t stride, std::int64_t dilation, std::int64_t pad) {
  ConvShape s;
  s.channels = channels;
  s.outputs = outputs;
  s.groups = groups;
  s.height = height;
  s.width = width;
  s.kernel_height = s.kernel_width = kernel;
  s.stride_y = s.stride_x = stride;
  s.dilation_y = s.dilation_x = dilation;
  s.pad_top = s.pad_left = pad;
  s.out_height = (height + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  s.out_width = (width + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  return {s, images};
}

std::vector<Example> examples() {
  return {example(1, 64, 30, 1, 14, 14, 3, 1, 1, 1), example(2, 5, 7, 1, 9, 11, 3, 2, 1, 1),
          example(1, 1, 1, 1, 1, 1, 1, 1, 1, 0),     example(3, 12, 27, 3, 8, 17, 5, 1, 2, 4),
          example(1, 6, 12, 6, 20, 20, 3, 1, 1, 1),  example(2, 33, 50, 1, 5, 40, 1, 1, 1, 0),
          example(1, 3, 4, 1, 23, 23, 7, 3, 1, 3)};
}

class Bytes final : public Int8Images {
 public:
  Bytes(const std::uint8_t* x, const ConvShape& shape) : x_(x), shape_(shape) {}
  std::int32_t zero_point(std::int64_t image) const override {
    return static_cast<std::int32_t>(image * 100 + 17);
  }
  void pack(std::int64_t image, std::int64_t channel, int channels,
            std::uint32_t* words) const override {
    const std::int64_t plane = shape_.height * shape_.width;
    quantize().interleave(x_ + (image * shape_.channels + channel) * plane, channels, plane, 0,
                          words);
  }

 private:
  const std::uint8_t* x_;
  const ConvShape& shape_;
};

class Kept final : public Int8Sums {
 public:
  explicit Kept(std::size_t size) : sums(size, INT32_MIN) {}
  void take(const std::int32_t* found, std::int64_t count, std::int32_t offset, std::int64_t,
            std::int64_t, std::int64_t place) const override {
    for (std::int64_t i = 0; i < count; ++i) {
      sums[static_cast<std::size_t>(place + i)] = found[i] + offset;
    }
  }
  mutable std::vector<std::int32_t> sums;
};

// Of (x - zero) * (weight - zero); outside the image x is its zero point.
template <typename X, typename Zero>
std::vector<std::int32_t> plain(const Example& e, const X& x, const Zero& zero,
                                const std::vector<std::int8_t>& weights,
                                const std::vector<std::int32_t>& zeros) {
  const ConvShape& s = e.shape;
  const std::int64_t channels = s.channels / s.groups;
  std::vector<std::int32_t> out;
  for (std::int64_t n = 0; n < e.images; ++n) {
    for (std::int64_t o = 0; o < s.outputs; ++o) {
      for (std::int64_t pixel = 0; pixel < s.out_height * s.out_width; ++pixel) {
        std::int32_t sum = 0;
        for (std::int64_t k = 0; k < s.depth(); ++k) {
          const std::int64_t c = k / (s.kernel_height * s.kernel_width);
          const std::int64_t ky = k / s.kernel_width % s.kernel_height, kx = k % s.kernel_width;
          const std::int64_t iy = pixel / s.out_width * s.stride_y - s.pad_top + ky * s.dilation_y;
          const std::int64_t ix = pixel % s.out_width * s.stride_x - s.pad_left + kx * s.dilation_x;
          if (iy < 0 || iy >= s.height || ix < 0 || ix >= s.width) continue;
          const std::int64_t channel = o / (s.outputs / s.groups) * channels + c;
          const std::int64_t at = ((n * s.channels + channel) * s.height + iy) * s.width + ix;
          sum += (x[static_cast<std::size_t>(at)] - zero(n)) *
                 (weights[static_cast<std::size_t>(o * s.depth() + k)] -
                  zeros[static_cast<std::size_t>(o)]);
        }
        out.push_back(sum);
      }
    }
  }
  return out;
}

}  // namespace

TEST("products of bytes are summed without saturation") {
  check::Random random(1);
  for (const Int8Dot* kernels : products()) {
    for (std::int64_t words : {1, 2, 37}) {
      for (int vectors = 1; vectors <= kernels->vectors; ++vectors) {
        for (std::int64_t count : {1, 2, 3, 7, 13}) {
          const std::int64_t width = kernels->lanes * vectors;
          std::vector<std::uint32_t> panel(static_cast<std::size_t>(words * width));
          std::vector<std::uint32_t> rows(static_cast<std::size_t>(words * count));
          for (auto& word : panel) word = random_word(random);
          for (auto& word : rows) word = random_word(random);
          std::vector<std::int32_t> sums(static_cast<std::size_t>(count * width));
          for (bool unsigned_panel : {false, true}) {
            const Int8Tile tile{panel.data(), words, vectors,    rows.data(),
                                words,        count, sums.data()};
            (unsigned_panel ? kernels->unsigned_panel : kernels->signed_panel)(tile);
            bool equal = true;
            for (std::int64_t r = 0; r < count; ++r) {
              for (std::int64_t i = 0; i < width; ++i) {
                std::int32_t sum = 0;
                for (std::int64_t k = 0; k < words; ++k) {
                  const std::uint32_t a = panel[static_cast<std::size_t>(k * width + i)];
                  const std::uint32_t b = rows[static_cast<std::size_t>(r * words + k)];
                  sum += unsigned_panel ? dot(a, b) : dot(b, a);
                }
                equal = equal && sums[static_cast<std::size_t>(r * width + i)] == sum;
              }
            }
            CHECK(equal);
          }
        }
      }
    }
  }
}

TEST("a convolution of bytes with zero points is that of plain loops") {
  const Widest restored;
  check::Random random(2);
  for (const Example& e : examples()) {
    const ConvShape& s = e.shape;
    const auto x = random_bytes(random, e.images * s.channels * s.height * s.width);
    const auto weights = random_weights(random, s.outputs * s.depth());
    for (bool with_zeros : {false, true}) {
      auto zeros = random_zeros(random, s.outputs);
      if (!with_zeros) zeros.assign(zeros.size(), 0);
      const auto zero = [](std::int64_t image) {
        return static_cast<std::int32_t>(image * 100 + 17);
      };
      const auto expected = plain(e, x, zero, weights, zeros);
      for (Instructions set : SETS) {
        use_at_most(set);
        const Int8Conv conv(weights.data(), with_zeros ? zeros.data() : nullptr, s);
        for (int threads : {1, 2, 3}) {
          Pool pool(threads);
          const Memory scratch = memory(conv.scratch_bytes(s, e.images, threads));
          const Kept kept(expected.size());
          conv.run(s, Bytes(x.data(), s), e.images, kept, scratch.get(), pool);
          CHECK(kept.sums == expected);
        }
      }
    }
  }
}

TEST("a matrix product of bytes with zero points is that of plain loops") {
  struct Rows final : Int8RowSums {
    void take(const std::int32_t* found, std::int64_t row, std::int64_t output,
              std::int64_t count) const override {
      for (std::int64_t i = 0; i < count; ++i) {
        sums[static_cast<std::size_t>(row * outputs + output + i)] = found[i];
      }
    }
    std::int64_t outputs = 0;
    mutable std::vector<std::int32_t> sums;
  };
  const Widest restored;
  check::Random random(3);
  for (const auto& [rows, outputs, depth] : std::vector<std::tuple<int, int, int>>{
           {1, 1, 1}, {1, 70, 33}, {5, 16, 128}, {50, 131, 10}}) {
    const auto weights = random_weights(random, std::int64_t{outputs} * depth);
    for (bool with_zeros : {false, true}) {
      const auto zeros = random_zeros(random, outputs), x_zeros = random_zeros(random, rows);
      for (Instructions set : SETS) {
        use_at_most(set);
        // The weights are [depth, outputs] here: as MatMulInteger has them.
        const Int8Linear linear(weights.data(), 1, outputs, with_zeros ? zeros.data() : nullptr,
                                outputs, depth);
        const std::int64_t step = linear.row_bytes();
        const auto x = random_bytes(random, rows * step);
        std::vector<std::int32_t> expected;
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t o = 0; o < outputs; ++o) {
            std::int32_t sum = 0;
            for (std::int64_t k = 0; k < depth; ++k) {
              const auto at = [](std::int64_t place) { return static_cast<std::size_t>(place); };
              sum += (x[at(r * step + k)] - (with_zeros ? x_zeros[at(r)] : 0)) *
                     (weights[at(k * outputs + o)] - (with_zeros ? zeros[at(o)] : 0));
            }
            expected.push_back(sum);
          }
        }
        for (int threads : {1, 2}) {
          Pool pool(threads);
          const Memory scratch = memory(linear.scratch_bytes(threads));
          const Memory items = memory(x.size());
          std::copy(x.begin(), x.end(), reinterpret_cast<std::uint8_t*>(items.get()));
          Rows found;
          found.outputs = outputs;
          found.sums.resize(expected.size());
          linear.run(reinterpret_cast<std::uint8_t*>(items.get()),
                     with_zeros ? x_zeros.data() : nullptr, rows, found, scratch.get(), pool);
          CHECK(found.sums == expected);
        }
      }
    }
  }
}

TEST("the grid of weights is found exactly, or is not there") {
  check::Random random(4);
  for (int most : {1, 2, 7, 127}) {
    for (int trial = 0; trial < 20; ++trial) {
      const int outputs = 5, depth = 40;
      std::vector<float> weights;
      for (int o = 0; o < outputs; ++o) {
        const float scale = std::fabs(random.normal()) * 0.01f + 1e-6f;
        for (int k = 0; k < depth; ++k) {
          weights.push_back(static_cast<float>(random.between(-most, most)) * scale);
        }
      }
      for (int k = 0; k < depth; ++k) weights[static_cast<std::size_t>(k)] = 0.0f;
      Int8Weights found;
      CHECK(int8_grid(weights.data(), outputs, depth, found));
      for (int i = 0; i < outputs * depth; ++i) {
        const auto at = static_cast<std::size_t>(i);
        CHECK(static_cast<float>(found.items[at]) *
                  found.scales[static_cast<std::size_t>(i / depth)] ==
              weights[at]);
      }
      weights[57] = weights[56] * 1.0001f;
      if (weights[57] != 0.0f) CHECK(!int8_grid(weights.data(), outputs, depth, found));
      weights[57] = NAN;
      CHECK(!int8_grid(weights.data(), outputs, depth, found));
    }
  }
}

TEST("floats are rounded to bytes as ONNX says, NaN and infinities too") {
  const Widest restored;
  check::Random random(5);
  std::vector<float> x = random.floats(101);
  x[3] = INFINITY;
  x[40] = -INFINITY;
  x[70] = NAN;
  for (int i = 0; i < 20; ++i) x[static_cast<std::size_t>(80 + i)] = 0.05f * (float(i) - 9.5f);
  const Grid8 grid{0.05f, 100};
  std::vector<std::uint8_t> expected;
  for (float item : x) {
    const float q = std::nearbyint(item / grid.scale) + 100.0f;
    expected.push_back(std::isnan(q) ? 0
                                     : static_cast<std::uint8_t>(std::fmin(255, std::fmax(0, q))));
  }
  for (Instructions set : SETS) {
    use_at_most(set);
    std::vector<std::uint8_t> q(x.size());
    quantize().bytes(x.data(), static_cast<std::int64_t>(x.size()), grid, q.data());
    CHECK(q == expected);
    float low = 0.0f, high = 0.0f;
    quantize().range(x.data() + 41, 29, &low, &high);
    CHECK(low == *std::min_element(x.begin() + 41, x.begin() + 70));
    CHECK(high == *std::max_element(x.begin() + 41, x.begin() + 70));
    low = high = 0.0f;
    quantize().range(x.data() + 60, 41, &low, &high);  // a NaN among them
    CHECK(std::isfinite(low) && std::isfinite(high) && low < 0 && high > 0);
  }
}

TEST("an int8 convolution of floats rounds each image to its grid") {
  const Widest restored;
  check::Random random(6);
  for (const Example& e : examples()) {
    const ConvShape& s = e.shape;
    const auto x =
        random.floats(static_cast<std::size_t>(e.images * s.channels * s.height * s.width));
    auto items = random_weights(random, s.outputs * s.depth(), 126);
    Int8Weights weights;
    weights.items = items;
    weights.scales = random.floats(static_cast<std::size_t>(s.outputs));
    const std::int64_t size = s.channels * s.height * s.width;
    std::vector<Grid8> grids;
    std::vector<std::int32_t> rounded;
    for (std::int64_t n = 0; n < e.images; ++n) {
      float low = 0, high = 0;
      for (std::int64_t i = 0; i < size; ++i) {
        low = std::fmin(low, x[static_cast<std::size_t>(n * size + i)]);
        high = std::fmax(high, x[static_cast<std::size_t>(n * size + i)]);
      }
      grids.push_back(dynamic_grid(low, high));
      for (std::int64_t i = 0; i < size; ++i) {
        const float q =
            std::nearbyint(x[static_cast<std::size_t>(n * size + i)] / grids.back().scale);
        rounded.push_back(static_cast<std::int32_t>(q) + grids.back().zero_point);
        CHECK(rounded.back() >= 0 && rounded.back() <= 255);
      }
    }
    const auto sums = plain(
        e, rounded,
        [&](std::int64_t image) { return grids[static_cast<std::size_t>(image)].zero_point; },
        items, std::vector<std::int32_t>(static_cast<std::size_t>(s.outputs)));
    std::vector<float> expected;
    const std::int64_t pixels = s.out_height * s.out_width;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(sums.size()); ++i) {
      const auto output = static_cast<std::size_t>(i / pixels % s.outputs);
      const float scale =
          weights.scales[output] * grids[static_cast<std::size_t>(i / pixels / s.outputs)].scale;
      expected.push_back(static_cast<float>(sums[static_cast<std::size_t>(i)]) * scale);
    }
    for (Instructions set : SETS) {
      use_at_most(set);
      const auto conv = int8_conv(weights, s);
      const auto plan = conv->plan(s);
      Pool pool(2);
      const Memory scratch = memory(plan->scratch_bytes(e.images, 2));
      std::vector<float> y(expected.size());
      plan->run(x.data(), y.data(), e.images, Epilogue{}, scratch.get(), pool);
      CHECK(y == expected);
    }
  }
}

TEST("an int8 linear layer of floats rounds each row to its grid") {
  const Widest restored;
  check::Random random(7);
  const std::int64_t rows = 3, outputs = 77, depth = 50, step = 53;
  const auto x = random.floats(static_cast<std::size_t>(rows * step));
  Int8Weights weights;
  weights.items = random_weights(random, outputs * depth, 126);
  weights.scales = random.floats(static_cast<std::size_t>(outputs));
  const auto bias = random.floats(static_cast<std::size_t>(outputs));
  Epilogue epilogue;
  epilogue.bias = bias.data();
  epilogue.low = 0.0f;
  std::vector<float> expected;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * step;
    const Grid8 grid =
        dynamic_grid(*std::min_element(row, row + depth), *std::max_element(row, row + depth));
    for (std::int64_t o = 0; o < outputs; ++o) {
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < depth; ++k) {
        sum += static_cast<std::int32_t>(std::nearbyint(row[k] / grid.scale)) *
               weights.items[static_cast<std::size_t>(o * depth + k)];
      }
      const auto at = static_cast<std::size_t>(o);
      const float value = static_cast<float>(sum) * (grid.scale * weights.scales[at]) + bias[at];
      expected.push_back(std::fmax(value, 0.0f));
    }
  }
  for (Instructions set : SETS) {
    use_at_most(set);
    const auto linear = int8_linear(weights, outputs, depth);
    for (int threads : {1, 2}) {
      Pool pool(threads);
      const Memory scratch = memory(linear->scratch_bytes(rows, threads));
      std::vector<float> y(expected.size());
      linear->run(x.data(), step, y.data(), outputs, rows, epilogue, scratch.get(), pool);
      CHECK(y == expected);
    }
  }
}
