#include <cstring>

#include "check.h"
#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/conv_winograd.h"
#include "kernels/instructions.h"

using namespace laconic::kernels;
using check::Scratch;

namespace {

std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

ConvShape shape_of(int channels, int outputs, int groups, int height, int width, int kernel_y,
                   int kernel_x, int stride_y, int stride_x, int dilation, int pad_y, int pad_x) {
  ConvShape shape;
  shape.channels = channels;
  shape.outputs = outputs;
  shape.groups = groups;
  shape.height = height;
  shape.width = width;
  shape.kernel_height = kernel_y;
  shape.kernel_width = kernel_x;
  shape.stride_y = stride_y;
  shape.stride_x = stride_x;
  shape.dilation_y = shape.dilation_x = dilation;
  shape.pad_top = pad_y;
  shape.pad_left = pad_x;
  shape.out_height = (height + 2 * pad_y - dilation * (kernel_y - 1) - 1) / stride_y + 1;
  shape.out_width = (width + 2 * pad_x - dilation * (kernel_x - 1) - 1) / stride_x + 1;
  return shape;
}

struct Case {
  ConvShape shape;
  int images;
  std::vector<float> x, weights, scale, bias, addend;
  Epilogue epilogue;

  Case(const ConvShape& shape_, int images_, bool full_epilogue, check::Random& random)
      : shape(shape_), images(images_) {
    x = random.floats(size(images * shape.channels * shape.height * shape.width));
    weights = random.floats(size(shape.outputs * shape.depth()));
    if (!full_epilogue) return;
    scale = random.floats(size(shape.outputs));
    bias = random.floats(size(shape.outputs));
    addend = random.floats(outputs());
    const float spread = std::sqrt(static_cast<float>(shape.depth()));
    epilogue = {scale.data(), bias.data(), addend.data(), -0.5f * spread, spread};
  }

  std::size_t outputs() const {
    return size(images * shape.outputs * shape.out_height * shape.out_width);
  }

  float expected_at(std::int64_t image, std::int64_t o, std::int64_t oy, std::int64_t ox) const {
    const std::int64_t channels = shape.channels / shape.groups;
    const std::int64_t group = o / (shape.outputs / shape.groups);
    double sum = 0;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t dy = 0; dy < shape.kernel_height; ++dy) {
        for (std::int64_t dx = 0; dx < shape.kernel_width; ++dx) {
          const std::int64_t iy = oy * shape.stride_y + dy * shape.dilation_y - shape.pad_top;
          const std::int64_t ix = ox * shape.stride_x + dx * shape.dilation_x - shape.pad_left;
          if (iy < 0 || iy >= shape.height || ix < 0 || ix >= shape.width) continue;
          const std::int64_t channel = image * shape.channels + group * channels + c;
          const std::int64_t weight =
              ((o * channels + c) * shape.kernel_height + dy) * shape.kernel_width + dx;
          sum += static_cast<double>(x[size((channel * shape.height + iy) * shape.width + ix)]) *
                 weights[size(weight)];
        }
      }
    }
    const std::int64_t place =
        ((image * shape.outputs + o) * shape.out_height + oy) * shape.out_width + ox;
    if (!scale.empty()) sum = sum * scale[size(o)] + bias[size(o)] + addend[size(place)];
    return static_cast<float>(std::fmin(epilogue.high, std::fmax(epilogue.low, sum)));
  }

  std::vector<float> expected() const {
    std::vector<float> out;
    for (std::int64_t image = 0; image < images; ++image) {
      for (std::int64_t o = 0; o < shape.outputs; ++o) {
        for (std::int64_t oy = 0; oy < shape.out_height; ++oy) {
          for (std::int64_t ox = 0; ox < shape.out_width; ++ox) {
            out.push_back(expected_at(image, o, oy, ox));
          }
        }
      }
    }
    return out;
  }

  std::vector<float> found(const ConvWeights& prepared, int threads) const {
    // Copies of the exact size, so that a sanitizer sees what is read or written beyond.
    const std::vector<float> input(x);
    std::vector<float> y(outputs(), NAN);
    Pool pool(threads);
    const auto plan = prepared.plan(shape);
    CHECK(plan->scratch_bytes(images, threads) % 64 == 0);
    Scratch scratch(plan->scratch_bytes(images, threads));
    plan->run(input.data(), y.data(), images, epilogue, scratch.data(), pool);
    return y;
  }
};

using Factory = std::unique_ptr<ConvWeights> (*)(const float*, const ConvShape&);

// Every set of instructions against plain loops; every number of threads against one thread.
void check_case(const Case& one, Factory factory) {
  const std::vector<float> expected = one.expected();
  for (Instructions set : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    use_at_most(set);
    const auto prepared = factory(one.weights.data(), one.shape);
    use_at_most(Instructions::avx512);
    const std::vector<float> alone = one.found(*prepared, 1);
    const double deviation = check::deviation(alone, expected);
    // Rounding errors of a chain of sums grow with its length.
    const double bound = 1e-6 * std::sqrt(100.0 + static_cast<double>(one.shape.depth()));
    CHECK(deviation < bound);
    for (int threads : {2, 3}) {
      const std::vector<float> shared = one.found(*prepared, threads);
      CHECK(std::memcmp(alone.data(), shared.data(), alone.size() * sizeof(float)) == 0);
    }
    if (!(deviation < bound)) {
      const ConvShape& s = one.shape;
      std::printf(
          "  %g %s: %d images, %d>%d/%d, %dx%d, kernel %dx%d, stride %dx%d, dilation %d, "
          "padding %dx%d\n",
          deviation, name_of(set), one.images, static_cast<int>(s.channels),
          static_cast<int>(s.outputs), static_cast<int>(s.groups), static_cast<int>(s.height),
          static_cast<int>(s.width), static_cast<int>(s.kernel_height),
          static_cast<int>(s.kernel_width), static_cast<int>(s.stride_y),
          static_cast<int>(s.stride_x), static_cast<int>(s.dilation_y), static_cast<int>(s.pad_top),
          static_cast<int>(s.pad_left));
    }
  }
}

}  // namespace

TEST("a dense convolution of any size equals plain loops, on every set of instructions") {
  check::Random random(1);
  for (int round = 0; round < 150; ++round) {
    const int groups = random.below(3) == 0 ? random.between(2, 4) : 1;
    const int kernel_y = random.between(1, 5), kernel_x = random.between(1, 5);
    const int dilation = random.between(1, 2);
    const ConvShape shape = shape_of(groups * random.between(1, 7), groups * random.between(1, 19),
                                     groups, random.between(1, 20) + dilation * (kernel_y - 1),
                                     random.between(1, 40) + dilation * (kernel_x - 1), kernel_y,
                                     kernel_x, random.between(1, 3), random.between(1, 3), dilation,
                                     random.below(kernel_y + 1), random.below(kernel_x + 1));
    check_case(Case(shape, random.between(1, 3), round % 2 == 0, random), dense_conv);
  }
}

TEST("a dense convolution equals plain loops on the usual layers") {
  check::Random random(2);
  for (const ConvShape& shape : {shape_of(3, 16, 1, 32, 32, 3, 3, 1, 1, 1, 1, 1),
                                 shape_of(16, 16, 1, 32, 32, 3, 3, 1, 1, 1, 1, 1),
                                 shape_of(16, 32, 1, 32, 32, 3, 3, 2, 2, 1, 1, 1),
                                 shape_of(16, 32, 1, 32, 32, 1, 1, 2, 2, 1, 0, 0),
                                 shape_of(64, 64, 1, 8, 8, 3, 3, 1, 1, 1, 1, 1),
                                 shape_of(3, 20, 1, 37, 35, 7, 7, 2, 2, 1, 3, 3),
                                 shape_of(30, 24, 1, 7, 7, 1, 1, 1, 1, 1, 0, 0),
                                 shape_of(5, 6, 1, 1, 50, 1, 5, 1, 1, 3, 0, 6),
                                 shape_of(3, 4, 1, 20, 20, 11, 11, 4, 4, 1, 2, 2)}) {
    check_case(Case(shape, 2, true, random), dense_conv);
  }
}

TEST("a dense convolution whose inputs exceed the cache is summed in several parts") {
  check::Random random(3);
  check_case(Case(shape_of(300, 9, 1, 15, 50, 3, 3, 1, 1, 1, 1, 1), 1, true, random), dense_conv);
  check_case(Case(shape_of(3000, 5, 1, 9, 9, 1, 1, 1, 1, 1, 0, 0), 2, true, random), dense_conv);
}

TEST("a plan for another size of image uses the same weights") {
  check::Random random(4);
  const ConvShape shape = shape_of(4, 9, 1, 9, 9, 3, 3, 2, 2, 1, 1, 1);
  Case small(shape, 1, false, random);
  const auto prepared = dense_conv(small.weights.data(), shape);
  Case large(shape_of(4, 9, 1, 30, 17, 3, 3, 2, 2, 1, 1, 1), 2, false, random);
  large.weights = small.weights;
  CHECK(check::deviation(large.found(*prepared, 1), large.expected()) < 1e-5);
}

TEST("a depthwise convolution equals plain loops, on every set of instructions") {
  check::Random random(5);
  for (int round = 0; round < 100; ++round) {
    const int channels = random.between(1, 6);
    const int kernel_y = random.between(1, 7), kernel_x = random.between(1, 5);
    const int dilation = random.between(1, 2);
    const ConvShape shape = shape_of(channels, channels * random.between(1, 2), channels,
                                     random.between(1, 25) + dilation * (kernel_y - 1),
                                     random.between(1, 40) + dilation * (kernel_x - 1), kernel_y,
                                     kernel_x, random.between(1, 3), random.between(1, 3), dilation,
                                     random.below(kernel_y + 1), random.below(kernel_x + 1));
    check_case(Case(shape, random.between(1, 3), round % 2 == 0, random), depthwise_conv);
  }
}

TEST("a depthwise convolution read where it lies equals plain loops, whatever the width") {
  check::Random random(8);
  for (const int taps : {3, 5}) {
    for (int stride = 1; stride <= 2; ++stride) {
      for (int width = taps; width <= 75; width += width < 40 ? 1 : 7) {
        const int channels = random.between(1, 3);
        const ConvShape shape =
            shape_of(channels, channels * random.between(1, 2), channels, random.between(taps, 20),
                     width - random.below(taps - 1), taps, taps, stride, stride, 1, taps - 1,
                     taps - 1 - random.below(taps / 2));
        check_case(Case(shape, random.between(1, 2), width % 2 == 0, random), depthwise_rows_conv);
      }
    }
  }
}

TEST("a depthwise convolution without padding equals plain loops") {
  check::Random random(10);
  for (const int taps : {3, 5}) {
    for (int width = taps; width < 40; ++width) {
      const int stride = 1 + width % 2;
      const ConvShape shape =
          shape_of(2, 2, 2, random.between(taps, 12), width, taps, taps, stride, stride, 1, 0, 0);
      check_case(Case(shape, 1, width % 3 == 0, random), depthwise_rows_conv);
    }
  }
}

TEST("a depthwise convolution of a plane beyond the caches equals plain loops") {
  check::Random random(9);
  check_case(Case(shape_of(2, 2, 2, 190, 201, 3, 3, 1, 1, 1, 1, 1), 1, true, random),
             depthwise_conv);
  check_case(Case(shape_of(1, 1, 1, 403, 401, 3, 3, 2, 2, 1, 1, 1), 1, true, random),
             depthwise_conv);
}

TEST("a convolution in Winograd's tiles equals plain loops, on every set of instructions") {
  check::Random random(6);
  for (int round = 0; round < 80; ++round) {
    const int pad_y = random.below(3), pad_x = random.below(3);
    const ConvShape shape =
        shape_of(random.between(1, 40), random.between(1, 70), 1, random.between(3, 20),
                 random.between(3, 40), 3, 3, 1, 1, 1, pad_y, pad_x);
    check_case(Case(shape, random.between(1, 3), round % 2 == 0, random), winograd_conv);
  }
  check_case(Case(shape_of(200, 70, 1, 50, 50, 3, 3, 1, 1, 1, 1, 1), 1, true, random),
             winograd_conv);
}
