// Softmax and normalisation against plain loops in double precision.
#include <cmath>
#include <functional>

#include "check.h"
#include "kernels/instructions.h"
#include "operate.h"

using namespace check;
using laconic::kernels::Instructions;

namespace {

const Instructions SETS[] = {Instructions::portable, Instructions::avx2, Instructions::avx512};

using Doubles = std::vector<double>;

// The largest difference from what is expected.
double error(const Constant& found, const Doubles& expected) {
  const auto values = items<float>(found);
  double worst = values.size() == expected.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < values.size() && i < expected.size(); ++i) {
    worst = std::fmax(worst, std::fabs(static_cast<double>(values[i]) - expected[i]));
  }
  return worst;
}

// Items of an array [outer, depth, inner] changed line by line along the depth.
Doubles by_lines(const std::vector<float>& x, std::size_t depth, std::size_t inner,
                 const std::function<void(Doubles&, std::size_t line)>& change) {
  Doubles out(x.begin(), x.end());
  const std::size_t lines = x.size() / depth;
  for (std::size_t line = 0; line < lines; ++line) {
    const std::size_t first = line / inner * depth * inner + line % inner;
    Doubles row(depth);
    for (std::size_t k = 0; k < depth; ++k) row[k] = out[first + k * inner];
    change(row, line);
    for (std::size_t k = 0; k < depth; ++k) out[first + k * inner] = row[k];
  }
  return out;
}

void softmax(Doubles& row) {
  double top = row[0], total = 0;
  for (const double item : row) top = std::fmax(top, item);
  for (double& item : row) total += item = std::exp(item - top);
  for (double& item : row) item /= total;
}

// (x - mean) / sqrt(variance + epsilon).
void standardise(Doubles& row, double epsilon) {
  double mean = 0, variance = 0;
  for (const double item : row) mean += item / static_cast<double>(row.size());
  for (const double item : row) {
    variance += (item - mean) * (item - mean) / static_cast<double>(row.size());
  }
  for (double& item : row) item = (item - mean) / std::sqrt(variance + epsilon);
}

template <typename Body>
void in_every_set(const Body& body) {
  for (const Instructions set : SETS) {
    laconic::kernels::use_at_most(set);
    body();
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

}  // namespace

TEST("Softmax and its logarithm sum to one along rows and columns of odd sizes") {
  in_every_set([] {
    Random random(1);
    for (std::int64_t depth : {1, 2, 3, 10, 17, 64, 100, 1500}) {
      for (std::int64_t inner : {1, 2, 5, 33}) {
        if (depth * inner > 5000) continue;
        const auto x = random.floats(static_cast<std::size_t>(3 * depth * inner));
        const Constant given = array<float>({3, depth, inner}, x);
        const auto expected =
            by_lines(x, static_cast<std::size_t>(depth), static_cast<std::size_t>(inner),
                     [](Doubles& row, std::size_t) { softmax(row); });
        const Attributes axis = {{"axis", std::int64_t{1}}};
        CHECK(error(operate("Softmax", {given}, axis)[0], expected) < 3e-7);
        Doubles logarithms = expected;
        for (double& item : logarithms) item = std::log(item);
        CHECK(error(operate("LogSoftmax", {given}, axis)[0], logarithms) < 3e-6);
      }
    }
  });
}

TEST("Softmax keeps far items, infinities and NaN where they belong") {
  in_every_set([] {
    const Constant far = array<float>({1, 3}, {1000, 1001, -1e30f});
    CHECK(error(operate("Softmax", {far})[0], {0.26894142137, 0.73105857863, 0}) < 1e-7);
    const auto found =
        items<float>(operate("Softmax", {array<float>({2, 2}, {NAN, 1, 0, -INFINITY})})[0]);
    CHECK(std::isnan(found[0]) && std::isnan(found[1]) && found[2] == 1 && found[3] == 0);
  });
}

TEST("LayerNormalization standardises rows of any length and gives its statistics") {
  in_every_set([] {
    Random random(2);
    for (std::size_t depth : {1u, 2u, 7u, 16u, 33u, 100u, 2050u}) {
      const auto size = static_cast<std::int64_t>(depth);
      std::vector<float> x = random.floats(3 * depth);
      for (float& item : x) item += 20;  // a mean far from zero
      const auto scale = random.floats(depth), bias = random.floats(depth);
      const auto expected = by_lines(x, depth, 1, [&](Doubles& row, std::size_t) {
        standardise(row, 1e-5);
        for (std::size_t k = 0; k < depth; ++k) {
          row[k] = row[k] * static_cast<double>(scale[k]) + static_cast<double>(bias[k]);
        }
      });
      const auto found = operate(
          "LayerNormalization",
          {array<float>({3, size}, x), array<float>({size}, scale), array<float>({size}, bias)}, {},
          3);
      CHECK(error(found[0], expected) < 2e-5);
      CHECK(found[1].tensor.shape == (Shape{3, 1}) && found[2].tensor.shape == (Shape{3, 1}));
    }
  });
}

TEST("a scale and a bias of LayerNormalization are broadcast, whatever their shapes") {
  Random random(3);
  const auto x = random.floats(2 * 3 * 4);
  for (const Shape& shape : {Shape{}, Shape{4}, Shape{3, 4}, Shape{1, 3, 1}, Shape{2, 1, 4},
                             Shape{2, 3, 4}, Shape{3, 1}}) {
    const auto scale = random.floats(static_cast<std::size_t>(shape.count()));
    const Constant given = array<float>({2, 3, 4}, x), factors = array<float>(shape, scale);
    const Attributes axis = {{"axis", std::int64_t{1}}};
    const Constant plain =
        operate("LayerNormalization", {given, array<float>({1}, {1.0f})}, axis)[0];
    const auto expected = items<float>(operate("Mul", {plain, factors})[0]);
    const Constant zero = array<float>({1}, {0.0f});
    CHECK(items<float>(operate("LayerNormalization", {given, factors}, axis)[0]) == expected);
    const Constant shifted =
        operate("LayerNormalization", {given, array<float>({1}, {1.0f}), factors}, axis)[0];
    CHECK(items<float>(shifted) == items<float>(operate("Add", {plain, factors})[0]));
  }
}

TEST("group, instance and batch normalisation agree with plain loops") {
  in_every_set([] {
    Random random(4);
    for (std::int64_t area : {1, 5, 49, 300}) {
      const auto x = random.floats(static_cast<std::size_t>(2 * 6 * area));
      const Constant given = array<float>({2, 6, area}, x);
      const auto scale = random.floats(6), bias = random.floats(6);
      const std::vector<Constant> inputs = {given, array<float>({6}, scale),
                                            array<float>({6}, bias)};
      for (std::size_t groups : {1u, 2u, 6u}) {
        const std::size_t row = 6 / groups * static_cast<std::size_t>(area);
        const auto expected = by_lines(x, row, 1, [&](Doubles& items, std::size_t line) {
          standardise(items, 1e-5);
          for (std::size_t k = 0; k < row; ++k) {
            const std::size_t c = line % groups * (6 / groups) + k / static_cast<std::size_t>(area);
            items[k] = items[k] * static_cast<double>(scale[c]) + static_cast<double>(bias[c]);
          }
        });
        const Attributes attributes = {{"num_groups", static_cast<std::int64_t>(groups)}};
        CHECK(error(operate("GroupNormalization", inputs, attributes)[0], expected) < 2e-5);
        if (groups == 6) CHECK(error(operate("InstanceNormalization", inputs)[0], expected) < 2e-5);
      }
      const auto mean = random.floats(6);
      std::vector<float> variance = random.floats(6);
      for (float& item : variance) item = item * item + 0.1f;
      Doubles expected(x.begin(), x.end());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t c = i / static_cast<std::size_t>(area) % 6;
        const double deviation = std::sqrt(static_cast<double>(variance[c]) + 1e-5);
        expected[i] = (expected[i] - static_cast<double>(mean[c])) / deviation *
                          static_cast<double>(scale[c]) +
                      static_cast<double>(bias[c]);
      }
      CHECK(
          error(operate("BatchNormalization", {given, inputs[1], inputs[2], array<float>({6}, mean),
                                               array<float>({6}, variance)})[0],
                expected) < 2e-5);
    }
  });
}

TEST("LRN sums the squares of the channels around each one, as many as there are") {
  in_every_set([] {
    Random random(5);
    for (std::size_t size : {1u, 2u, 3u, 5u}) {
      const std::size_t channels = 7, area = 37;
      const auto x = random.floats(2 * channels * area);
      const auto expected = by_lines(x, channels, area, [&](Doubles& row, std::size_t) {
        const Doubles given = row;
        for (std::size_t c = 0; c < channels; ++c) {
          double squares = 0;
          for (std::size_t k = 0; k < channels; ++k) {
            if (k + (size - 1) / 2 >= c && k <= c + size / 2) squares += given[k] * given[k];
          }
          row[c] *= std::pow(2 + 0.5 / static_cast<double>(size) * squares, -0.75);
        }
      });
      const Attributes attributes = {
          {"size", static_cast<std::int64_t>(size)}, {"alpha", 0.5}, {"bias", 2.0}};
      CHECK(error(operate("LRN", {array<float>({2, 7, 37}, x)}, attributes)[0], expected) < 2e-6);
    }
  });
}

TEST("a line of zeros has the Lp norm zero and stays zeros") {
  const Constant x = array<float>({2, 2}, {0, 0, 3, 4});
  CHECK(error(operate("LpNormalization", {x})[0], {0, 0, 0.6, 0.8}) < 1e-7);
  CHECK(
      error(operate("LpNormalization", {x}, {{"p", std::int64_t{1}}, {"axis", std::int64_t{0}}})[0],
            {0, 0, 1, 1}) < 1e-7);
}
