// Reductions against plain loops over axes.
#include <cmath>
#include <functional>
#include <limits>

#include "check.h"
#include "kernels/instructions.h"
#include "operate.h"

using namespace check;
using laconic::kernels::Instructions;

namespace {

constexpr double INF = std::numeric_limits<double>::infinity();

const Instructions SETS[] = {Instructions::portable, Instructions::avx2, Instructions::avx512};

struct Reduction {
  const char* name;
  double start;
  double (*join)(double total, double x);
  double (*finish)(double total, double count);
};

double plus(double a, double b) { return a + b; }
double whole(double total, double) { return total; }

const Reduction REDUCTIONS[] = {
    {"ReduceSum", 0, plus, whole},
    {"ReduceMean", 0, plus, [](double total, double count) { return total / count; }},
    {"ReduceL1", 0, [](double a, double b) { return a + std::fabs(b); }, whole},
    {"ReduceL2", 0, [](double a, double b) { return a + b * b; },
     [](double total, double) { return std::sqrt(total); }},
    {"ReduceSumSquare", 0, [](double a, double b) { return a + b * b; }, whole},
    {"ReduceLogSum", 0, plus, [](double total, double) { return std::log(total); }},
    {"ReduceLogSumExp", 0, [](double a, double b) { return a + std::exp(b); },
     [](double total, double) { return std::log(total); }},
    {"ReduceProd", 1, [](double a, double b) { return a * b; }, whole},
    {"ReduceMax", -INF, [](double a, double b) { return std::fmax(a, b); }, whole},
    {"ReduceMin", INF, [](double a, double b) { return std::fmin(a, b); }, whole},
};

// The reduction of x over the axes of which the truths hold.
std::vector<double> reduced(const Reduction& how, const Shape& shape, const std::vector<double>& x,
                            const std::vector<bool>& gone) {
  std::int64_t kept = 1, count = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    (gone[static_cast<std::size_t>(axis)] ? count : kept) *= shape[axis];
  }
  std::vector<double> out(static_cast<std::size_t>(kept), how.start);
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t to = 0, stride = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (!gone[static_cast<std::size_t>(axis)]) {
        to += rest % shape[axis] * stride;
        stride *= shape[axis];
      }
      rest /= shape[axis];
    }
    double& total = out[static_cast<std::size_t>(to)];
    total = how.join(total, x[i]);
  }
  for (double& total : out) total = how.finish(total, static_cast<double>(count));
  return out;
}

template <typename T>
bool reduces(const Reduction& how, const Shape& shape, Random& random, int threads = 1) {
  std::vector<bool> gone;
  std::vector<std::int64_t> axes;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    gone.push_back(random.below(2) == 0);
    if (gone.back()) axes.push_back(random.below(2) == 0 ? axis : axis - shape.rank());
  }
  std::vector<T> given(static_cast<std::size_t>(shape.count()));
  for (T& item : given) item = static_cast<T>(random.between(1, 4)) / (sizeof(T) == 1 ? 2 : 1);
  const std::vector<double> wide(given.begin(), given.end());
  const std::vector<double> expected = reduced(how, shape, wide, gone);
  const auto found = items<T>(operate(how.name, {array<T>(shape, given), integers(axes)},
                                      {{"noop_with_empty_axes", std::int64_t{1}}}, 1, threads)[0]);
  if (found.size() != expected.size()) return false;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const T rounded = static_cast<T>(expected[i]);
    if (found[i] == rounded) continue;
    const auto value = static_cast<double>(rounded);
    if (!(std::fabs(static_cast<double>(found[i]) - value) <= 1e-5 * std::fabs(value))) {
      return false;
    }
  }
  return true;
}

std::vector<std::int64_t> places(const std::string& operation, const std::vector<float>& row,
                                 bool last = false, bool column = false) {
  const auto size = static_cast<std::int64_t>(row.size());
  const Shape shape = column ? Shape{size, 2} : Shape{1, size};
  std::vector<float> given;
  for (const float item : row) given.insert(given.end(), column ? 2 : 1, item);
  return items<std::int64_t>(operate(
      operation, {array<float>(shape, given)},
      {{"axis", std::int64_t{column ? 0 : 1}}, {"select_last_index", std::int64_t{last}}})[0]);
}

}  // namespace

TEST("reductions over any axes give what plain loops give") {
  Random random(1);
  for (const Instructions set : SETS) {
    laconic::kernels::use_at_most(set);
    for (const Reduction& how : REDUCTIONS) {
      const bool reals = std::string(how.name).find("Log") != std::string::npos;
      for (int round = 0; round < 60; ++round) {
        Shape shape;
        for (int rank = random.below(5), axis = 0; axis < rank; ++axis) {
          shape.push(random.between(1, random.below(4) == 0 ? 40 : 5));
        }
        CHECK(reduces<float>(how, shape, random));
        CHECK(reduces<double>(how, shape, random));
        if (!reals && shape.count() < 200 && how.start == 0) {
          CHECK(reduces<std::int32_t>(how, shape, random));
        }
      }
    }
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("the number of threads changes no bit of a reduction") {
  Random random(2);
  const Shape shape = {3, 70, 401};
  const Constant x = array<float>(shape, random.floats(3 * 70 * 401));
  for (const Reduction& how : REDUCTIONS) {
    for (const auto& axes : std::vector<std::vector<std::int64_t>>{{0, 1, 2}, {1}, {0, 2}, {2}}) {
      const auto one = items<float>(operate(how.name, {x, integers(axes)}, {}, 1, 1)[0]);
      for (int threads : {2, 3}) {
        const auto more = items<float>(operate(how.name, {x, integers(axes)}, {}, 1, threads)[0]);
        CHECK(std::memcmp(one.data(), more.data(), one.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST("a sum of a million items loses nothing to rounding") {
  const std::vector<float> x(1 << 20, 0.1f);
  const auto found = items<float>(operate("ReduceSum", {array<float>({1 << 20}, x)})[0]);
  CHECK(std::fabs(found[0] / (0.1f * (1 << 20)) - 1) < 1e-6f);
}

TEST("reductions of nothing give what every item would change") {
  const Constant none = counted<float>({2, 0, 3}), integers_none = counted<std::int8_t>({0});
  const auto all = [&](const char* name) {
    return items<float>(operate(name, {none, integers({1})})[0]);
  };
  CHECK(all("ReduceSum") == std::vector<float>(6, 0.0f));
  CHECK(all("ReduceProd") == std::vector<float>(6, 1.0f));
  CHECK(all("ReduceMax") == std::vector<float>(6, -std::numeric_limits<float>::infinity()));
  CHECK(std::isnan(all("ReduceMean")[0]));
  CHECK(items<std::int8_t>(operate("ReduceMax", {integers_none})[0])[0] == -128);
  CHECK(operate("ReduceSum", {none, integers({0})})[0].tensor.count() == 0);
}

TEST("a NaN stays in the largest and the smallest item") {
  for (const Instructions set : SETS) {
    laconic::kernels::use_at_most(set);
    for (std::size_t at = 0; at < 150; at += 7) {
      std::vector<float> x(150, 1.0f);
      x[at] = NAN;
      const Constant row = array<float>({150}, x), column = array<float>({75, 2}, x);
      CHECK(std::isnan(items<float>(operate("ReduceMax", {row})[0])[0]));
      CHECK(std::isnan(items<float>(operate("ReduceMin", {row})[0])[0]));
      const auto columns = items<float>(operate("ReduceMax", {column, integers({0})})[0]);
      CHECK(std::isnan(columns[at % 2]) && columns[1 - at % 2] == 1);
    }
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("ArgMax and ArgMin give the first or the last of equals, and a NaN before all") {
  using Places = std::vector<std::int64_t>;
  for (const bool column : {false, true}) {
    const std::size_t size = column ? 2 : 1;
    CHECK(places("ArgMax", {1, 3, 2, 3}, false, column) == Places(size, 1));
    CHECK(places("ArgMax", {1, 3, 2, 3}, true, column) == Places(size, 3));
    CHECK(places("ArgMin", {1, 3, 1, 3}, false, column) == Places(size, 0));
    CHECK(places("ArgMin", {1, 3, 1, 3}, true, column) == Places(size, 2));
    CHECK(places("ArgMax", {1, NAN, 5, NAN}, false, column) == Places(size, 1));
    CHECK(places("ArgMin", {1, NAN, 5, NAN}, true, column) == Places(size, 3));
  }
}

TEST("TopK gives the best items in order, of equals the first") {
  const Constant x = array<float>({2, 5}, {3, 1, 3, 2, 0, 5, 4, 5, NAN, 1});
  const auto found = operate("TopK", {x, integers({3})}, {}, 2);
  CHECK(items<std::int64_t>(found[1]) == (std::vector<std::int64_t>{0, 2, 3, 3, 0, 2}));
  CHECK(items<float>(found[0])[2] == 2 && std::isnan(items<float>(found[0])[3]));
  const auto least = operate("TopK", {x, integers({1})},
                             {{"axis", std::int64_t{0}}, {"largest", std::int64_t{0}}}, 2);
  CHECK(items<std::int64_t>(least[1]) == (std::vector<std::int64_t>{0, 0, 0, 1, 0}));
}

TEST("CumSum and CumProd run along an axis, either way, with or without the item itself") {
  const Constant x = array<std::int32_t>({2, 3}, {1, 2, 3, 4, 5, 6});
  using Ints = std::vector<std::int32_t>;
  const std::int64_t yes = 1;
  const auto run = [&](const char* name, std::int64_t axis, const Attributes& attributes) {
    return items<std::int32_t>(operate(name, {x, array<std::int64_t>({}, {axis})}, attributes)[0]);
  };
  CHECK(run("CumSum", 1, {}) == (Ints{1, 3, 6, 4, 9, 15}));
  CHECK(run("CumSum", -1, {{"exclusive", yes}, {"reverse", yes}}) == (Ints{5, 3, 0, 11, 6, 0}));
  CHECK(run("CumSum", 0, {{"reverse", yes}}) == (Ints{5, 7, 9, 4, 5, 6}));
  CHECK(run("CumProd", 1, {{"exclusive", yes}}) == (Ints{1, 1, 2, 1, 4, 20}));
}
