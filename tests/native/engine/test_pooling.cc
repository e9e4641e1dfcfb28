#include <limits>

#include "check.h"
#include "kernels/instructions.h"
#include "operate.h"

using namespace check;
using laconic::kernels::Instructions;
using Integers = std::vector<std::int64_t>;

namespace {

struct Axis2 {
  std::int64_t size, kernel, stride, dilation, begin, end, count;
};

// Sizes that do not divide a vector; the window always meets the input.
Axis2 random_axis(Random& random, bool ceil) {
  Axis2 axis{random.between(1, 40),
             random.between(1, 4),
             random.between(1, 3),
             random.between(1, 2),
             0,
             0,
             0};
  axis.begin = random.below(static_cast<int>(axis.kernel));
  axis.end = random.below(static_cast<int>(axis.kernel));
  const std::int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
  axis.size = std::max(axis.size, extent);
  const std::int64_t room = axis.size + axis.begin + axis.end - extent;
  axis.count = (room + (ceil ? axis.stride - 1 : 0)) / axis.stride + 1;
  if (ceil && (axis.count - 1) * axis.stride >= axis.size + axis.begin) --axis.count;
  return axis;
}

struct Pooled {
  std::vector<float> largest, mean;
  Integers places;
};

// Window by window, cell by cell.
Pooled pooled(const float* x, std::int64_t planes, const Axis2& v, const Axis2& h, bool pads) {
  Pooled out;
  for (std::int64_t i = 0; i < planes * v.count * h.count; ++i) {
    const std::int64_t plane = i / (v.count * h.count);
    double total = 0;
    float best = -std::numeric_limits<float>::infinity();
    std::int64_t place = -1, cells = 0;
    for (std::int64_t k = 0; k < v.kernel * h.kernel; ++k) {
      const std::int64_t row =
          i / h.count % v.count * v.stride - v.begin + k / h.kernel * v.dilation;
      const std::int64_t column = i % h.count * h.stride - h.begin + k % h.kernel * h.dilation;
      const bool inside = row >= 0 && row < v.size && column >= 0 && column < h.size;
      if (inside || (pads && row < v.size + v.end && column < h.size + h.end)) ++cells;
      if (!inside) continue;
      const std::int64_t at = (plane * v.size + row) * h.size + column;
      total += x[at];
      if (place < 0 || x[at] > best) best = x[at], place = at;
    }
    out.largest.push_back(best);
    out.places.push_back(place);
    out.mean.push_back(static_cast<float>(total / static_cast<double>(cells)));
  }
  return out;
}

void check_pools(unsigned seed, int threads) {
  Random random(seed);
  const bool ceil = random.below(2) == 1, pads = random.below(2) == 1;
  const Axis2 v = random_axis(random, ceil), h = random_axis(random, ceil);
  const std::int64_t images = random.between(1, 3), channels = random.between(1, 5);
  const std::int64_t planes = images * channels;
  const Constant x = array({images, channels, v.size, h.size},
                           random.floats(static_cast<std::size_t>(planes * v.size * h.size)));
  Attributes attributes{{"kernel_shape", Integers{v.kernel, h.kernel}},
                        {"strides", Integers{v.stride, h.stride}},
                        {"dilations", Integers{v.dilation, h.dilation}},
                        {"pads", Integers{v.begin, h.begin, v.end, h.end}},
                        {"ceil_mode", std::int64_t{ceil}}};
  const Pooled expected = pooled(x.tensor.as<float>(), planes, v, h, pads);
  CHECK(items<float>(operate("MaxPool", {x}, attributes, 1, threads)[0]) == expected.largest);
  const auto both = operate("MaxPool", {x}, attributes, 2, threads);
  CHECK(items<float>(both[0]) == expected.largest);
  CHECK(items<std::int64_t>(both[1]) == expected.places);
  attributes["count_include_pad"] = std::int64_t{pads};
  const Constant mean = operate("AveragePool", {x}, attributes, 1, threads)[0];
  CHECK(mean.tensor.shape == (Shape{images, channels, v.count, h.count}));
  CHECK(deviation(items<float>(mean), expected.mean) < 1e-6);
}

}  // namespace

TEST("pools equal a walk over every window, with each set of instructions") {
  for (const Instructions set :
       {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    laconic::kernels::use_at_most(set);
    for (unsigned seed = 0; seed < 300; ++seed) check_pools(seed, seed % 5 == 0 ? 3 : 1);
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("pools over one and three axes equal pools over two") {
  Random random(3);
  const std::vector<float> values = random.floats(2 * 3 * 7 * 19);
  const Constant flat = array<float>({2, 3, 7, 19}, values);
  const Constant deep = array<float>({2, 3, 1, 7, 19}, values);
  for (const char* operation : {"MaxPool", "AveragePool"}) {
    const Constant two = operate(operation, {flat}, {{"kernel_shape", Integers{3, 2}}})[0];
    const Constant three = operate(operation, {deep}, {{"kernel_shape", Integers{1, 3, 2}}})[0];
    CHECK(items<float>(two) == items<float>(three));
    const Constant row = array<float>({42, 1, 19}, values);
    const Constant one = operate(operation, {row}, {{"kernel_shape", Integers{2}}})[0];
    const Constant thin = operate(operation, {flat}, {{"kernel_shape", Integers{1, 2}}})[0];
    CHECK(items<float>(one) == items<float>(thin));
  }
}

TEST("a pool of three axes sees every cell") {
  const Constant x = counted<float>({1, 1, 4, 4, 4});
  const Attributes cube{{"kernel_shape", Integers{2, 2, 2}}, {"strides", Integers{2, 2, 2}}};
  CHECK(items<float>(operate("MaxPool", {x}, cube)[0]) ==
        (std::vector<float>{21, 23, 29, 31, 53, 55, 61, 63}));
  CHECK(items<float>(operate("AveragePool", {x}, cube)[0]) ==
        (std::vector<float>{10.5f, 12.5f, 18.5f, 20.5f, 42.5f, 44.5f, 50.5f, 52.5f}));
}

TEST("a NaN in a window stays one, and integers have a largest item") {
  std::vector<float> values(40, 1.0f);
  values[20] = NAN;
  const Attributes three{{"kernel_shape", Integers{3}}};
  const Constant found = operate("MaxPool", {array<float>({1, 1, 40}, values)}, three)[0];
  for (std::size_t i = 0; i < 38; ++i) {
    CHECK(std::isnan(found.tensor.as<float>()[i]) == (i >= 18 && i <= 20));
  }
  const Constant bytes = array<std::int8_t>({1, 1, 4}, {-5, -3, -9, -4});
  CHECK(items<std::int8_t>(operate("MaxPool", {bytes}, three)[0]) ==
        (std::vector<std::int8_t>{-3, -3}));
}

TEST("global pools take whole planes") {
  const Constant x = counted<float>({2, 2, 3, 7});
  const Constant mean = operate("GlobalAveragePool", {x})[0];
  CHECK(mean.tensor.shape == (Shape{2, 2, 1, 1}));
  CHECK(items<float>(mean) == (std::vector<float>{10, 31, 52, 73}));
  CHECK(items<float>(operate("GlobalMaxPool", {x})[0]) == (std::vector<float>{20, 41, 62, 83}));
}
