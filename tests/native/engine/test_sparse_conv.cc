// The sparse convolution against a plain loop, for every set of instructions.
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "kernels/instructions.h"
#include "kernels/pool.h"
#include "kernels/sparse_conv.h"
#include "kernels/sparse_tiling.h"

namespace {

using namespace laconic::kernels;

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();

ConvShape sizes(std::int64_t channels, std::int64_t outputs, std::int64_t height,
                std::int64_t width, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                std::int64_t dilation = 1, std::int64_t groups = 1) {
  ConvShape shape;
  shape.channels = channels;
  shape.outputs = outputs;
  shape.groups = groups;
  shape.height = height;
  shape.width = width;
  shape.kernel_height = shape.kernel_width = kernel;
  shape.stride_y = shape.stride_x = stride;
  shape.dilation_y = shape.dilation_x = dilation;
  shape.pad_top = shape.pad_left = pad;
  shape.out_height = (height + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  shape.out_width = (width + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  return shape;
}

struct Extras {
  std::vector<float> scale, bias, addend;
  float low = -INF, high = INF;
  Epilogue epilogue() const {
    const auto pointer = [](const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); };
    return {pointer(scale), pointer(bias), pointer(addend), low, high};
  }
};

std::size_t output_size(const ConvShape& shape, std::int64_t images) {
  return static_cast<std::size_t>(images * shape.outputs * shape.out_height * shape.out_width);
}

std::size_t input_size(const ConvShape& shape, std::int64_t images) {
  return static_cast<std::size_t>(images * shape.channels * shape.height * shape.width);
}

// One output, in double, over the weights that are not zero.
double plain_sum(const ConvShape& s, const std::vector<float>& weights, const std::vector<float>& x,
                 std::int64_t image, std::int64_t output, std::int64_t oy, std::int64_t ox) {
  const std::int64_t channels = s.channels / s.groups;
  const std::int64_t first = output / (s.outputs / s.groups) * channels;
  double sum = 0;
  for (std::int64_t k = 0; k < s.depth(); ++k) {
    const float weight = weights[static_cast<std::size_t>(output * s.depth() + k)];
    const std::int64_t kx = k % s.kernel_width, ky = k / s.kernel_width % s.kernel_height;
    const std::int64_t channel = k / (s.kernel_width * s.kernel_height);
    const std::int64_t iy = oy * s.stride_y + ky * s.dilation_y - s.pad_top;
    const std::int64_t ix = ox * s.stride_x + kx * s.dilation_x - s.pad_left;
    if (weight == 0 || iy < 0 || ix < 0 || iy >= s.height || ix >= s.width) continue;
    const std::int64_t plane = image * s.channels + first + channel;
    sum += static_cast<double>(weight) *
           static_cast<double>(x[static_cast<std::size_t>((plane * s.height + iy) * s.width + ix)]);
  }
  return sum;
}

std::vector<float> plain(const ConvShape& s, const std::vector<float>& weights,
                         const std::vector<float>& x, std::int64_t images, const Extras& extras) {
  std::vector<float> y;
  for (std::int64_t plane = 0; plane < images * s.outputs; ++plane) {
    const auto output = static_cast<std::size_t>(plane % s.outputs);
    for (std::int64_t pixel = 0; pixel < s.out_height * s.out_width; ++pixel) {
      double sum = plain_sum(s, weights, x, plane / s.outputs, plane % s.outputs,
                             pixel / s.out_width, pixel % s.out_width);
      if (!extras.scale.empty()) sum *= static_cast<double>(extras.scale[output]);
      if (!extras.bias.empty()) sum += static_cast<double>(extras.bias[output]);
      if (!extras.addend.empty()) sum += static_cast<double>(extras.addend[y.size()]);
      y.push_back(std::fmin(extras.high, std::fmax(extras.low, static_cast<float>(sum))));
    }
  }
  return y;
}

// The planes with rows of zeros behind each and before the first.
std::vector<float> spread(const std::vector<float>& planes, std::int64_t size, std::int64_t zeros) {
  std::vector<float> out(static_cast<std::size_t>(zeros), 0.0f);
  for (std::size_t i = 0; i < planes.size(); i += static_cast<std::size_t>(size)) {
    const auto from = planes.begin() + static_cast<std::ptrdiff_t>(i);
    out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(size));
    out.insert(out.end(), static_cast<std::size_t>(zeros), 0.0f);
  }
  return out;
}

std::vector<float> sparse(const ConvShape& shape, const std::vector<float>& weights,
                          const std::vector<float>& x, std::int64_t images, const Extras& extras,
                          int threads = 1) {
  const auto form = sparse_conv(weights.data(), shape);
  const auto plan = form->plan(shape);
  Pool pool(threads);
  const std::size_t size = plan->scratch_bytes(images, threads);
  std::vector<std::byte> memory(size + 64, std::byte{0xff});  // floats that are NaN
  std::byte* scratch = memory.data();
  while (reinterpret_cast<std::uintptr_t>(scratch) % 64 != 0) ++scratch;
  // Exactly the size: the sanitizer sees what is read or written outside.
  const std::int64_t plane = shape.out_height * shape.out_width;
  const std::int64_t x_zeros = shape.x_apart * shape.width;
  const std::int64_t y_zeros = shape.y_apart * shape.out_width;
  const auto input = spread(x, shape.height * shape.width, x_zeros);
  const auto addend = spread(extras.addend, plane, shape.addend_apart * shape.out_width);
  std::vector<float> expected(output_size(shape, images), NOT_A_NUMBER);
  std::vector<float> y(spread(expected, plane, y_zeros).size(), NOT_A_NUMBER);
  Epilogue epilogue = extras.epilogue();
  if (epilogue.addend != nullptr) {
    epilogue.addend = addend.data() + shape.addend_apart * shape.out_width;
  }
  plan->run(input.data() + x_zeros, y.data() + y_zeros, images, epilogue, scratch, pool);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    expected[i] =
        y[static_cast<std::size_t>(y_zeros + at / plane * (plane + y_zeros) + at % plane)];
  }
  bool zeros = true;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const bool between = static_cast<std::int64_t>(i) % (plane + y_zeros) < y_zeros;
    zeros = zeros && (!between || y[i] == 0.0f);
  }
  CHECK(zeros);
  return expected;
}

// Calls `body` with each set of instructions that this processor has.
template <typename Body>
void with_every_set(const Body& body) {
  use_at_most(Instructions::avx512);
  const Instructions widest = instructions();
  for (const Instructions set :
       {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    if (set > widest) continue;
    use_at_most(set);
    body();
  }
  use_at_most(Instructions::avx512);
}

void compare(const ConvShape& shape, std::int64_t images, double zeros, unsigned seed,
             Extras extras = {}) {
  check::Random random(seed);
  const auto weights =
      random.floats(static_cast<std::size_t>(shape.outputs * shape.depth()), zeros);
  const auto x = random.floats(input_size(shape, images));
  const auto expected = plain(shape, weights, x, images, extras);
  with_every_set([&] {
    const auto found = sparse(shape, weights, x, images, extras);
    const double worst = check::deviation(found, expected);
    if (worst > 2e-6) {
      std::printf(
          "%s: %g: channels %ld outputs %ld groups %ld %ldx%ld kernel %ldx%ld stride %ld "
          "pad %ld dilation %ld images %ld\n",
          name_of(instructions()), worst, shape.channels, shape.outputs, shape.groups, shape.height,
          shape.width, shape.kernel_height, shape.kernel_width, shape.stride_y, shape.pad_top,
          shape.dilation_y, images);
    }
    CHECK(worst <= 2e-6);
    CHECK(found == sparse(shape, weights, x, images, extras, 2));
    CHECK(found == sparse(shape, weights, x, images, extras, 3));
  });
}

}  // namespace

TEST("a sparse convolution equals the plain loop at every kernel, stride, padding and dilation") {
  unsigned seed = 1;
  for (const std::int64_t kernel : {1, 2, 3, 5, 7, 11}) {
    for (const std::int64_t stride : {1, 2, 3, 4}) {
      for (const std::int64_t pad : {std::int64_t{0}, kernel / 2, kernel - 1}) {
        for (const std::int64_t dilation : {1, 2}) {
          if (dilation * (kernel - 1) + 1 > 13 + 2 * pad) continue;
          compare(sizes(3, 4, 13, 17, kernel, stride, pad, dilation), 2, 0.7, ++seed);
        }
      }
    }
  }
}

TEST("a sparse convolution equals the plain loop at sizes drawn at random") {
  check::Random random(7);
  for (unsigned draw = 0; draw < 120; ++draw) {
    ConvShape shape;
    shape.groups = random.below(3) == 0 ? random.between(1, 4) : 1;
    shape.channels = shape.groups * random.between(1, 6);
    shape.outputs = shape.groups * random.between(1, 5);
    shape.height = random.between(1, 24);
    shape.width = random.between(1, 40);
    shape.kernel_height = random.between(1, 5);
    shape.kernel_width = random.between(1, 5);
    shape.stride_y = random.between(1, 3);
    shape.stride_x = random.between(1, 3);
    shape.dilation_y = random.between(1, 3);
    shape.dilation_x = random.between(1, 3);
    shape.pad_top = random.between(0, 6);
    shape.pad_left = random.between(0, 6);
    shape.out_height = random.between(1, 20);
    shape.out_width = random.between(1, 40);
    compare(shape, random.between(1, 3), 0.1 * random.below(11), 1000 + draw);
  }
}

TEST("a sparse convolution equals the plain loop at the widths of common networks") {
  for (const std::int64_t width : {1, 4, 7, 8, 14, 16, 28, 32, 33, 56, 64, 112}) {
    compare(sizes(5, 3, 9, width, 3, 1, 1), 1, 0.8, static_cast<unsigned>(width));
  }
  compare(sizes(3, 2, 3, 700, 3, 1, 1), 1, 0.5, 40);
  compare(sizes(3, 2, 5, 300, 5, 2, 2), 1, 0.5, 41);
}

TEST("a sparse convolution of one pixel's kernel equals the plain loop") {
  for (const std::int64_t width : {1, 3, 7, 14, 20, 56}) {
    compare(sizes(24, 5, width, width, 1, 1, 0), 2, 0.85, static_cast<unsigned>(width));
  }
}

TEST("a sparse convolution with many channels is summed block by block") {
  compare(sizes(600, 3, 12, 12, 3, 1, 1), 1, 0.95, 50);
  compare(sizes(1500, 3, 20, 20, 1, 1, 0), 1, 0.95, 51);
}

TEST("a sparse convolution reads positions beyond 16 bits") {
  compare(sizes(8000, 2, 3, 3, 3, 1, 1), 1, 0.99, 52);
}

TEST("a sparse convolution shifts by more than a vector where the dilation is large") {
  compare(sizes(3, 2, 40, 40, 3, 1, 18, 18), 1, 0.3, 60);
  compare(sizes(3, 2, 70, 70, 3, 1, 33, 33), 1, 0.3, 61);
}

TEST("a sparse convolution works in groups and on each channel alone") {
  compare(sizes(8, 12, 10, 10, 3, 1, 1, 1, 4), 2, 0.5, 70);
  compare(sizes(9, 9, 15, 15, 3, 2, 1, 1, 9), 2, 0.3, 71);
}

TEST("the epilogue of a sparse convolution scales, adds and clips") {
  for (const std::int64_t width : {7, 8, 16, 20, 32}) {
    const ConvShape shape = sizes(4, 5, width, width, 3, 1, 1);
    check::Random random(80);
    Extras extras;
    extras.scale = random.floats(5);
    compare(shape, 2, 0.6, 81, extras);
    extras.bias = random.floats(5);
    compare(shape, 2, 0.6, 82, extras);
    extras.addend = random.floats(output_size(shape, 2));
    compare(shape, 2, 0.6, 83, extras);
    extras.low = -0.5f;
    extras.high = 1.5f;
    compare(shape, 2, 0.6, 84, extras);
  }
}

TEST("rows of zeros may lie between the planes of input, output and addend") {
  unsigned seed = 60;
  check::Random random(61);
  for (const std::int64_t width : {5, 8, 16, 32, 48}) {
    for (const std::int64_t kernel : {1, 3, 5}) {
      for (const std::int64_t stride : {1, 2}) {
        for (const std::int64_t apart : {0, 1, 2}) {
          ConvShape shape = sizes(6, 5, 12, width, kernel, stride, kernel / 2);
          const auto plain_plan =
              sparse_conv(std::vector<float>(5 * 6 * 25).data(), shape)->plan(shape);
          if (!plain_plan->may_lie_apart()) continue;
          shape.x_apart = apart;
          shape.y_apart = (apart + 1) % 3;
          shape.addend_apart = (apart + 2) % 3;
          Extras extras;
          extras.addend = random.floats(output_size(shape, 2));
          compare(shape, 2, 0.8, ++seed, extras);
        }
      }
    }
  }
}

TEST("rows of zeros may lie behind images of one row") {
  for (const std::int64_t kernel : {1, 3}) {
    ConvShape shape = sizes(16, 5, 1, 32, kernel, 1, kernel / 2);
    shape.x_apart = 1;
    shape.y_apart = 2;
    compare(shape, 2, 0.8, 62);
  }
}

TEST("terms far from each other are taken in blocks") {
  // The tiling alone is made.
  ConvShape shape = sizes(64, 4, 3008, 3008, 1, 1, 0);
  with_every_set([&] {
    const SparseConvKernels& kernels = sparse_conv_kernels();
    const SparseMachine machine{kernels.lanes, kernels.vectors};
    for (const ConvShape& of : {flattened(shape), sizes(36, 36, 16, 32, 3, 1, 3000, 3000)}) {
      const SparseTiling tiling = choose_tiling(of, 200, machine);
      CHECK(tiling.channel_block * tiling.channel_floats <= 65535 * tiling.unit);
      CHECK(tiling.channel_block > 0);
    }
    CHECK(sparse_conv_cost(sizes(36, 36, 16, 32, 3, 1, 300000, 300000), 200) == INF);
  });
}

TEST("a sparse convolution wants rows of zeros where each row begins with a vector") {
  const auto wanted = [](const ConvShape& shape) {
    const std::vector<float> weights(static_cast<std::size_t>(shape.outputs * shape.depth()), 1.0f);
    return sparse_conv(weights.data(), shape)->plan(shape)->wanted_apart();
  };
  with_every_set([&] {
    CHECK(wanted(sizes(16, 16, 16, 16, 3, 1, 1)) == 1);
    CHECK(wanted(sizes(16, 16, 16, 16, 5, 1, 2)) == 2);
    CHECK(wanted(sizes(16, 16, 16, 16, 3, 2, 1)) == 0);
    CHECK(wanted(sizes(16, 16, 15, 15, 3, 1, 1)) == 0);
    CHECK(wanted(sizes(16, 16, 16, 16, 1, 1, 0)) == 0);
  });
}

TEST("an output without weights is its bias") {
  const ConvShape shape = sizes(3, 2, 8, 8, 3, 1, 1);
  const std::vector<float> weights(2 * 27, 0.0f), x(3 * 64, 1.0f);
  Extras extras;
  extras.bias = {2.5f, -1.0f};
  with_every_set([&] {
    const auto y = sparse(shape, weights, x, 1, extras);
    CHECK(y[0] == 2.5f && y[63] == 2.5f && y[64] == -1.0f && y[127] == -1.0f);
  });
}

TEST("infinities and NaN reach only the outputs that have a weight for them") {
  const ConvShape shape = sizes(2, 2, 9, 9, 3, 1, 1);
  std::vector<float> weights(2 * 18, 0.0f);
  weights[4] = 2.0f;       // output 0 is twice channel 0
  weights[18 + 9] = 1.0f;  // output 1 is channel 1, moved down and to the right
  std::vector<float> x(2 * 81, 1.0f);
  x[40] = INF;
  x[8] = NOT_A_NUMBER;
  x[81 + 8] = NOT_A_NUMBER;  // the last column: moved out of the image
  with_every_set([&] {
    const auto y = sparse(shape, weights, x, 1, {});
    for (std::size_t i = 0; i < 81; ++i) {
      const bool good = i == 8 ? std::isnan(y[i]) : i == 40 ? y[i] == INF : y[i] == 2.0f;
      CHECK(good);
      CHECK(y[81 + i] == (i < 9 || i % 9 == 0 ? 0.0f : 1.0f));
    }
  });
}

TEST("each image of a batch has the outputs that it has alone") {
  const ConvShape shape = sizes(6, 5, 8, 8, 3, 1, 1);
  check::Random random(90);
  const auto weights = random.floats(static_cast<std::size_t>(5 * shape.depth()), 0.8);
  const auto x = random.floats(input_size(shape, 9));
  with_every_set([&] {
    const auto together = sparse(shape, weights, x, 9, {});
    for (std::size_t image = 0; image < 9; ++image) {
      const std::size_t size = input_size(shape, 1), from = image * size;
      const std::vector<float> one(x.begin() + static_cast<std::ptrdiff_t>(from),
                                   x.begin() + static_cast<std::ptrdiff_t>(from + size));
      const auto alone = sparse(shape, weights, one, 1, {});
      bool equal = true;
      for (std::size_t i = 0; i < alone.size(); ++i) {
        equal = equal && alone[i] == together[image * alone.size() + i];
      }
      CHECK(equal);
    }
  });
}

TEST("sparse weights take six bytes a non-zero and a start for each output") {
  const ConvShape shape = sizes(4, 2, 8, 8, 3, 1, 1);
  std::vector<float> weights(2 * 36, 0.0f);
  weights[3] = weights[40] = weights[71] = 1.0f;
  const auto form = sparse_conv(weights.data(), shape);
  CHECK(std::string(form->form()) == "sparse");
  CHECK(form->bytes() == 3 * 6 + 3 * 4);
}
