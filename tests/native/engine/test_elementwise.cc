// Kernels of items against the C library, broadcasting against plain loops.
#include <cmath>
#include <functional>
#include <limits>

#include "check.h"
#include "kernels/elementwise.h"
#include "operate.h"

using namespace check;
using laconic::kernels::Elementwise;
using laconic::kernels::Instructions;

namespace {

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();

const Instructions SETS[] = {Instructions::portable, Instructions::avx2, Instructions::avx512};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }

struct Function {
  const char* name;
  Elementwise::Unary Elementwise::* kernel;
  double (*reference)(double x);
  float p = 0, q = 0;
};

const Function FUNCTIONS[] = {
    {"negative", &Elementwise::negative, [](double x) { return -x; }},
    {"absolute", &Elementwise::absolute, [](double x) { return std::fabs(x); }},
    {"sign", &Elementwise::sign, [](double x) { return x > 0   ? 1.0
                                                       : x < 0 ? -1.0
                                                               : x; }},
    {"reciprocal", &Elementwise::reciprocal, [](double x) { return 1 / x; }},
    {"square", &Elementwise::square, [](double x) { return x * x; }},
    {"cube", &Elementwise::cube, [](double x) { return x * x * x; }},
    {"square root", &Elementwise::square_root, [](double x) { return std::sqrt(x); }},
    {"floor", &Elementwise::floor, [](double x) { return std::floor(x); }},
    {"ceil", &Elementwise::ceil, [](double x) { return std::ceil(x); }},
    {"round", &Elementwise::round, [](double x) { return std::nearbyint(x); }},
    {"affine", &Elementwise::affine, [](double x) { return 3 * x - 2; }, 3, -2},
    {"relu", &Elementwise::relu, [](double x) { return x < 0 ? 0 : x; }},
    {"leaky relu", &Elementwise::leaky_relu, [](double x) { return x < 0 ? x / 4 : x; }, 0.25f},
    {"thresholded relu", &Elementwise::thresholded_relu,
     [](double x) { return x > 1 || x != x ? x : 0; }, 1},
    {"clip", &Elementwise::clip, [](double x) { return x < -1  ? -1
                                                       : x > 2 ? 2
                                                               : x; }, -1, 2},
    {"elu", &Elementwise::elu, [](double x) { return x < 0 ? 2 * std::expm1(x) : x; }, 2},
    {"celu", &Elementwise::celu, [](double x) { return x < 0 ? 2 * std::expm1(x / 2) : x; }, 2},
    {"selu", &Elementwise::selu, [](double x) { return x < 0 ? 6 * std::expm1(x) : 3 * x; }, 2, 3},
    {"softplus", &Elementwise::softplus, softplus},
    {"softsign", &Elementwise::softsign, [](double x) { return x / (1 + std::fabs(x)); }},
    {"mish", &Elementwise::mish, [](double x) { return x * std::tanh(softplus(x)); }},
    {"hard sigmoid", &Elementwise::hard_sigmoid,
     [](double x) { return x < -2  ? 0
                           : x > 2 ? 1
                                   : x / 4 + 0.5; }, 0.25f, 0.5f},
    {"hard swish", &Elementwise::hard_swish,
     [](double x) { return x < -3  ? 0
                           : x > 3 ? x
                                   : x * (x / 6 + 0.5); }},
    {"swish", &Elementwise::swish, [](double x) { return x * logistic(2 * x); }, 2},
    {"gelu", &Elementwise::gelu, [](double x) { return x / 2 * (1 + std::erf(x * M_SQRT1_2)); }},
    {"gelu tanh", &Elementwise::gelu_tanh,
     [](double x) {
       return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     }},
    {"shrink", &Elementwise::shrink,
     [](double x) { return x < -1   ? x + 0.5
                           : x > 1  ? x - 0.5
                           : x != x ? x
                                    : 0; }, 1, 0.5f},
};

bool agrees(float found, double expected) {
  if (std::isnan(expected)) return std::isnan(found);
  if (std::isinf(static_cast<float>(expected))) return found == static_cast<float>(expected);
  return std::fabs(found - expected) <= 2e-6 * std::fmax(1, std::fabs(expected));
}

// Calls body(index) for each index of the shape, in C order.
void each_index(const Shape& shape, const std::function<void(const Shape&)>& body) {
  Shape index;
  for (int axis = 0; axis < shape.rank(); ++axis) index.push(0);
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    body(index);
    for (int axis = shape.rank() - 1; axis >= 0 && ++index[axis] == shape[axis]; --axis) {
      index[axis] = 0;
    }
  }
}

// The place in an array of this shape of the item that is broadcast to an index.
std::size_t place(const Shape& shape, const Shape& index) {
  std::int64_t out = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t i = index[index.rank() - shape.rank() + axis];
    out = out * shape[axis] + (shape[axis] == 1 ? 0 : i);
  }
  return static_cast<std::size_t>(out);
}

// An operand of a broadcast: leading axes missing, others 1.
Shape operand(const Shape& out, Random& random) {
  Shape shape;
  for (int axis = random.below(out.rank() + 1); axis < out.rank(); ++axis) {
    shape.push(random.below(3) == 0 ? 1 : out[axis]);
  }
  return shape;
}

// What the two shapes make together.
Shape met(const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() > b.rank() ? a : b;
  Shape out = longer;
  const Shape& other = a.rank() > b.rank() ? b : a;
  for (int axis = 0; axis < other.rank(); ++axis) {
    std::int64_t& size = out[out.rank() - other.rank() + axis];
    size = std::max(size, other[axis]);
  }
  return out;
}

template <typename T>
Constant numbers(const Shape& shape, Random& random) {
  std::vector<T> out(static_cast<std::size_t>(shape.count()));
  for (T& item : out) item = static_cast<T>(random.between(0, 100));
  return array<T>(shape, out);
}

template <typename T>
int wrong_sums(const Shape& whole, Random& random, int threads) {
  const Shape a_shape = operand(whole, random), b_shape = operand(whole, random);
  const Constant a = numbers<T>(a_shape, random), b = numbers<T>(b_shape, random);
  const Constant found = operate("Sub", {a, b}, {}, 1, threads)[0];
  const Shape out = met(a_shape, b_shape);
  int wrong = found.tensor.shape != out;
  std::size_t at = 0;
  const auto left = items<T>(a), right = items<T>(b), results = items<T>(found);
  each_index(out, [&](const Shape& index) {
    const T expected = static_cast<T>(left[place(a_shape, index)] - right[place(b_shape, index)]);
    wrong += results[at++] != expected;
  });
  return wrong;
}

}  // namespace

TEST("functions of an item agree with the C library in every set of instructions") {
  std::vector<float> x = {0.0f,  -0.0f, 0.5f,   1.5f, 2.5f,        -0.5f,
                          -1.5f, 1e-6f, -1e-6f, 0.3f, 8388607.5f,  -4194303.5f,
                          1e9f,  -1e9f, INF,    -INF, NOT_A_NUMBER};
  for (int i = -300; i < 300; ++i) x.push_back(static_cast<float>(i) * 0.0371f);
  for (const Instructions set : SETS) {
    laconic::kernels::use_at_most(set);
    for (const Function& function : FUNCTIONS) {
      std::vector<float> y(x.size());
      const auto kernel = laconic::kernels::elementwise().*function.kernel;
      kernel(x.data(), y.data(), static_cast<std::int64_t>(x.size()), function.p, function.q);
      int wrong = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double expected = function.reference(static_cast<double>(x[i]));
        // -inf times 0 has no value; some of these functions have the limit 0 there.
        if (std::isnan(expected) && !std::isnan(x[i])) continue;
        if (agrees(y[i], expected) || (x[i] == -INF && std::isnan(y[i]))) continue;
        if (++wrong == 1) {
          std::printf("%s %s(%.9g) is %.9g\n", laconic::kernels::name_of(set), function.name,
                      static_cast<double>(x[i]), static_cast<double>(y[i]));
        }
      }
      CHECK(wrong == 0);
      // Any number of items, in place, nothing beyond them.
      for (std::size_t count = 0; count < 40; ++count) {
        std::vector<float> part(x.begin(), x.begin() + 41);
        kernel(part.data(), part.data(), static_cast<std::int64_t>(count), function.p, function.q);
        bool same = true;
        for (std::size_t i = 0; i < count; ++i) {
          same = same && (part[i] == y[i] || (std::isnan(part[i]) && std::isnan(y[i])));
        }
        CHECK(same);
        CHECK(std::memcmp(&part[count], &x[count], sizeof(float)) == 0);
      }
    }
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("operands of any shapes that broadcast give what plain loops give") {
  Random random(1);
  for (int round = 0; round < 400; ++round) {
    Shape whole;
    for (int rank = random.below(6), axis = 0; axis < rank; ++axis) {
      whole.push(random.between(1, random.below(3) == 0 ? 40 : 4));
    }
    if (whole.count() > 20000) continue;
    CHECK(wrong_sums<float>(whole, random, 1) == 0);
    CHECK(wrong_sums<std::int64_t>(whole, random, 1) == 0);
  }
}

TEST("several threads share a broadcast") {
  Random random(2);
  for (int round = 0; round < 20; ++round) {
    CHECK(wrong_sums<float>({7, 3, 50, 41}, random, 3) == 0);
    CHECK(wrong_sums<float>({9000, 5}, random, 2) == 0);
    CHECK(wrong_sums<std::uint8_t>({7, 3, 50, 41}, random, 3) == 0);
  }
}

TEST("every set of instructions combines scalars, rows and whole arrays of odd sizes") {
  Random random(3);
  for (const Instructions set : SETS) {
    laconic::kernels::use_at_most(set);
    for (std::int64_t size = 1; size < 70; ++size) {
      CHECK(wrong_sums<float>({size}, random, 1) == 0);
      CHECK(wrong_sums<float>({3, size}, random, 1) == 0);
    }
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("Where chooses along three broadcast operands") {
  Random random(4);
  for (int round = 0; round < 200; ++round) {
    const Shape whole = {random.between(1, 5), random.between(1, 30), random.between(1, 5)};
    const Shape shapes[3] = {operand(whole, random), operand(whole, random),
                             operand(whole, random)};
    std::vector<bool> truths(static_cast<std::size_t>(shapes[0].count()));
    for (std::size_t i = 0; i < truths.size(); ++i) truths[i] = random.below(2) == 0;
    const Constant condition = array<bool>(shapes[0], truths);
    const Constant a = numbers<float>(shapes[1], random), b = numbers<float>(shapes[2], random);
    const Constant found = operate("Where", {condition, a, b})[0];
    const auto yes = items<float>(a), no = items<float>(b), results = items<float>(found);
    std::size_t at = 0;
    each_index(met(met(shapes[0], shapes[1]), shapes[2]), [&](const Shape& index) {
      const float expected = truths[place(shapes[0], index)] ? yes[place(shapes[1], index)]
                                                             : no[place(shapes[2], index)];
      CHECK(results[at++] == expected);
    });
  }
}

TEST("integers divide towards zero, wrap around, and survive a division by zero") {
  using Ints = std::vector<std::int32_t>;
  constexpr std::int32_t LEAST = std::numeric_limits<std::int32_t>::min();
  const Constant a = array<std::int32_t>({5}, {-7, 7, LEAST, 5, LEAST});
  const Constant b = array<std::int32_t>({5}, {2, -2, -1, 0, 1});
  CHECK(items<std::int32_t>(operate("Div", {a, b})[0]) == (Ints{-3, -3, LEAST, 0, LEAST}));
  CHECK(items<std::int32_t>(operate("Mod", {a, b})[0]) == (Ints{1, -1, 0, 0, 0}));
  CHECK(items<std::int32_t>(operate("Mod", {a, b}, {{"fmod", std::int64_t{1}}})[0]) ==
        (Ints{-1, 1, 0, 0, 0}));
  CHECK(items<std::int32_t>(operate("Sub", {a, b})[0])[4] == std::numeric_limits<int>::max());
  CHECK(items<std::int32_t>(operate("Abs", {a})[0]) == (Ints{7, 7, LEAST, 5, LEAST}));
}

TEST("powers of integers are exact, and of reals take any exponent") {
  const Constant base = array<std::int64_t>({4}, {3, -2, 10, 7});
  const Constant exponent = array<std::int64_t>({4}, {39, 3, 0, -1});
  CHECK(items<std::int64_t>(operate("Pow", {base, exponent})[0]) ==
        (std::vector<std::int64_t>{4052555153018976267, -8, 1, 0}));
  const Constant reals = array<float>({3}, {4, 9, 0.25f});
  for (const float power : {2.0f, 3.0f, 0.5f, -1.0f, 1.5f}) {
    const auto found = items<float>(operate("Pow", {reals, array<float>({}, {power})})[0]);
    const auto given = items<float>(reals);
    for (std::size_t i = 0; i < 3; ++i) CHECK(agrees(found[i], std::pow(given[i], power)));
  }
}

TEST("Max and Min of several arrays keep a NaN of any of them") {
  const Constant a = array<float>({4}, {1, NOT_A_NUMBER, 3, 4});
  const Constant b = array<float>({4}, {2, 1, NOT_A_NUMBER, 1});
  const Constant c = array<float>({}, {2.5f});
  for (const Instructions set : SETS) {
    laconic::kernels::use_at_most(set);
    const auto largest = items<float>(operate("Max", {a, b, c})[0]);
    const auto least = items<float>(operate("Min", {a, b, c})[0]);
    CHECK(largest[0] == 2.5f && std::isnan(largest[1]) && std::isnan(largest[2]));
    CHECK(least[0] == 1 && std::isnan(least[1]) && std::isnan(least[2]) && least[3] == 1);
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

TEST("a sum of several arrays broadcasts where the first two are small") {
  const Constant one = array<float>({}, {1}), two = array<float>({1}, {2});
  const auto found = items<float>(operate("Sum", {one, two, counted<float>({2, 20})})[0]);
  CHECK(found.size() == 40);
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == 3 + static_cast<float>(i));
  CHECK(items<float>(operate("Mean", {one, two, array<float>({1}, {6})})[0])[0] == 3);
}

TEST("arrays that do not fit are refused with what was found") {
  const auto message = [](const std::string& operation, const std::vector<Constant>& inputs) {
    try {
      operate(operation, inputs);
    } catch (const Mismatch& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message("Add", {counted<float>({2, 3}), counted<float>({4})}) ==
        "shapes [2, 3] and [4] do not broadcast: 3 and 4 meet");
  CHECK(message("Add", {counted<float>({2}), counted<double>({2})}) ==
        "Add takes inputs of one type, found float32[2] and float64[2]");
  CHECK(message("Exp", {counted<std::int32_t>({2})}) ==
        "Exp takes float32 or float64, found int32[2]");
  CHECK(message("And", {counted<float>({2}), counted<float>({2})}) ==
        "And does not take float32[2]");
  CHECK(message("Where", {counted<float>({2}), counted<float>({2}), counted<float>({2})}) ==
        "Where takes a bool condition, found float32[2]");
  CHECK(message("Clip", {counted<float>({2}), counted<float>({2})}) ==
        "Clip takes one item of float32 as a bound, found float32[2]");
}
