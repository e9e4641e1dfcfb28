#include "check.h"
#include "kernels/instructions.h"
#include "operate.h"

using namespace check;
using laconic::kernels::Instructions;
using Integers = std::vector<std::int64_t>;

namespace {

struct Case {
  std::int64_t images, depth, outputs, groups;  // depth and outputs of one group
  Integers sizes, kernel, strides, dilations, begins, ends, extra, made;
  std::vector<float> x, weight, bias;
};

Case random_case(Random& random) {
  Case out;
  out.images = random.between(1, 2);
  out.depth = random.between(1, 9);
  out.outputs = random.between(1, 20);
  out.groups = random.between(1, 3);
  const int axes = random.between(1, 3);
  std::int64_t positions = 1, cells = 1;
  for (int i = 0; i < axes; ++i) {
    const std::int64_t size = random.between(1, axes == 1 ? 40 : 9), kernel = random.between(1, 4);
    const std::int64_t stride = random.between(1, 3), dilation = random.between(1, 2);
    const std::int64_t extra = random.below(static_cast<int>(stride));
    const std::int64_t full = stride * (size - 1) + extra + (kernel - 1) * dilation + 1;
    const std::int64_t begin = std::min<std::int64_t>(random.below(3), full - 1);
    const std::int64_t end = std::min<std::int64_t>(random.below(3), full - 1 - begin);
    out.sizes.push_back(size);
    out.kernel.push_back(kernel);
    out.strides.push_back(stride);
    out.dilations.push_back(dilation);
    out.extra.push_back(extra);
    out.begins.push_back(begin);
    out.ends.push_back(end);
    out.made.push_back(full - begin - end);
    positions *= size;
    cells *= kernel;
  }
  const std::int64_t channels = out.depth * out.groups;
  out.x = random.floats(static_cast<std::size_t>(out.images * channels * positions));
  out.weight = random.floats(static_cast<std::size_t>(channels * out.outputs * cells), 0.5);
  out.bias = random.floats(static_cast<std::size_t>(out.outputs * out.groups));
  return out;
}

std::int64_t product(const Integers& sizes) {
  std::int64_t out = 1;
  for (std::int64_t size : sizes) out *= size;
  return out;
}

// Where item `at` and cell `cell` fall in an output plane, or -1.
std::int64_t place_of(const Case& c, std::int64_t at, std::int64_t cell) {
  std::int64_t place = 0, step = 1;
  for (std::size_t i = c.sizes.size(); i-- > 0;) {
    const std::int64_t along =
        at % c.sizes[i] * c.strides[i] - c.begins[i] + cell % c.kernel[i] * c.dilations[i];
    if (along < 0 || along >= c.made[i]) return -1;
    place += along * step;
    step *= c.made[i];
    at /= c.sizes[i];
    cell /= c.kernel[i];
  }
  return place;
}

// Item by item, each times the whole kernel.
std::vector<float> expected(const Case& c) {
  const std::int64_t positions = product(c.sizes), cells = product(c.kernel);
  const std::int64_t area = product(c.made), outputs = c.outputs * c.groups;
  std::vector<double> y(static_cast<std::size_t>(c.images * outputs * area));
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = c.bias[i / static_cast<std::size_t>(area) % c.bias.size()];
  }
  for (std::int64_t plane = 0; plane < c.images * c.groups * c.depth; ++plane) {
    const std::int64_t channel = plane % (c.groups * c.depth);
    for (std::int64_t i = 0; i < positions * c.outputs * cells; ++i) {
      const std::int64_t at = i % positions, cell = i / positions % cells;
      const std::int64_t output = i / positions / cells;
      const std::int64_t place = place_of(c, at, cell);
      if (place < 0) continue;
      const std::int64_t target =
          plane / (c.groups * c.depth) * outputs + channel / c.depth * c.outputs + output;
      y[static_cast<std::size_t>(target * area + place)] +=
          static_cast<double>(c.x[static_cast<std::size_t>(plane * positions + at)]) *
          c.weight[static_cast<std::size_t>((channel * c.outputs + output) * cells + cell)];
    }
  }
  return std::vector<float>(y.begin(), y.end());
}

Constant with_sizes(std::int64_t first, std::int64_t second, const Integers& rest,
                    const std::vector<float>& values) {
  Shape shape{first, second};
  for (std::int64_t size : rest) shape.push(size);
  return array<float>(shape, values);
}

void check_case(unsigned seed) {
  Random random(seed);
  const Case c = random_case(random);
  Integers pads = c.begins;
  pads.insert(pads.end(), c.ends.begin(), c.ends.end());
  const Attributes attributes{{"group", c.groups},
                              {"strides", c.strides},
                              {"dilations", c.dilations},
                              {"pads", pads},
                              {"output_padding", c.extra}};
  const std::vector<Constant> inputs{with_sizes(c.images, c.depth * c.groups, c.sizes, c.x),
                                     with_sizes(c.depth * c.groups, c.outputs, c.kernel, c.weight),
                                     array<float>({c.outputs * c.groups}, c.bias)};
  const std::vector<float> wanted = expected(c);
  const int threads = seed % 4 == 0 ? 3 : 1;
  const auto packed = operate("ConvTranspose", inputs, attributes, 1, threads, 2);
  CHECK(deviation(items<float>(packed[0]), wanted) < 1e-5);
  const auto unpacked = operate("ConvTranspose", inputs, attributes, 1, threads);
  CHECK(deviation(items<float>(unpacked[0]), wanted) < 1e-5);
}

}  // namespace

TEST("ConvTranspose equals a walk over items and cells, with each set of instructions") {
  for (const Instructions set :
       {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    laconic::kernels::use_at_most(set);
    for (unsigned seed = 0; seed < 100; ++seed) check_case(seed);
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("ConvTranspose gives the same on several threads") {
  Random random(5);
  const std::vector<Constant> inputs{array<float>({1, 40, 30, 31}, random.floats(40 * 30 * 31)),
                                     array<float>({40, 12, 3, 3}, random.floats(40 * 12 * 9))};
  const Attributes attributes{{"strides", Integers{2, 2}}};
  CHECK(items<float>(operate("ConvTranspose", inputs, attributes, 1, 1, 1)[0]) ==
        items<float>(operate("ConvTranspose", inputs, attributes, 1, 3, 1)[0]));
}
