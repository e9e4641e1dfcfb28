#include <cstring>

#include "check.h"
#include "kernels/dense_linear.h"
#include "kernels/gemm.h"
#include "kernels/instructions.h"

using namespace laconic::kernels;
using check::Scratch;

namespace {

std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

// Two matrices, either of them transposed or a part of wider rows.
struct Case {
  GemmShape shape;
  std::vector<float> a_values, b_values, scale, bias, addend;
  Matrix a, b;
  std::int64_t y_row;
  float alpha = 1;
  Epilogue epilogue;

  Case(const GemmShape& shape_, bool a_turned, bool b_turned, int gap, bool full,
       check::Random& random)
      : shape(shape_), y_row(shape_.n + gap) {
    a_values = random.floats(size((shape.m + gap) * (shape.k + gap)));
    b_values = random.floats(size((shape.k + gap) * (shape.n + gap)));
    a = a_turned ? Matrix{a_values.data(), 1, shape.m + gap}
                 : Matrix{a_values.data(), shape.k + gap, 1};
    b = b_turned ? Matrix{b_values.data(), 1, shape.k + gap}
                 : Matrix{b_values.data(), shape.n + gap, 1};
    if (!full) return;
    alpha = 0.5f;
    scale = random.floats(size(shape.n));
    bias = random.floats(size(shape.n));
    addend = random.floats(size(shape.m * y_row));
    const float spread = std::sqrt(static_cast<float>(shape.k) + 1);
    epilogue = {scale.data(), bias.data(), addend.data(), -0.5f * spread, spread};
  }

  // Gaps between the rows of y stay as they were: 7.
  std::vector<float> expected() const {
    std::vector<float> y(size(shape.m * y_row), 7.0f);
    for (std::int64_t i = 0; i < shape.m; ++i) {
      for (std::int64_t j = 0; j < shape.n; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < shape.k; ++k) {
          sum += static_cast<double>(a.values[i * a.row_step + k * a.column_step]) *
                 b.values[k * b.row_step + j * b.column_step];
        }
        sum *= alpha;
        if (!scale.empty())
          sum = sum * scale[size(j)] + bias[size(j)] + addend[size(i * y_row + j)];
        y[size(i * y_row + j)] =
            static_cast<float>(std::fmin(epilogue.high, std::fmax(epilogue.low, sum)));
      }
    }
    return y;
  }

  // With the instructions in use now.
  std::vector<float> product(int threads) const {
    const GemmShape now{shape.m, shape.n, shape.k};
    std::vector<float> y(size(shape.m * y_row), 7.0f);
    Pool pool(threads);
    CHECK(gemm_scratch_bytes(now, threads) % 64 == 0);
    Scratch scratch(gemm_scratch_bytes(now, threads));
    gemm(now, a, b, y.data(), y_row, alpha, epilogue, scratch.data(), pool);
    return y;
  }

  // The same through weights [n, k] that are packed once; alpha is 1.
  std::vector<float> linear(const LinearWeights& weights, int threads) const {
    std::vector<float> y(size(shape.m * y_row), 7.0f);
    Pool pool(threads);
    Scratch scratch(weights.scratch_bytes(shape.m, threads));
    weights.run(a.values, a.row_step, y.data(), y_row, shape.m, epilogue, scratch.data(), pool);
    return y;
  }

  double bound() const { return 1e-6 * std::sqrt(100.0 + static_cast<double>(shape.k)); }
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <typename Compute>
void check_case(const Case& one, const Compute& compute) {
  const std::vector<float> expected = one.expected();
  for (Instructions set : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    use_at_most(set);
    const std::vector<float> alone = compute(1);
    const double deviation = check::deviation(alone, expected);
    CHECK(deviation < one.bound());
    for (int threads : {2, 3}) CHECK(same(compute(threads), alone));
    use_at_most(Instructions::avx512);
    if (!(deviation < one.bound())) {
      std::printf("  %g %s: m %d, n %d, k %d\n", deviation, name_of(set),
                  static_cast<int>(one.shape.m), static_cast<int>(one.shape.n),
                  static_cast<int>(one.shape.k));
    }
  }
}

const GemmShape SHAPES[] = {
    {1, 1, 1},    {1, 1, 0},    {5, 3, 0},     {1, 100, 33},   {33, 1, 70},   {7, 49, 16},
    {8, 48, 300}, {9, 47, 257}, {20, 130, 64}, {100, 17, 513}, {1, 10, 1000}, {530, 30, 20},
    {2, 97, 40},  {3, 24, 8},   {4, 25, 9},    {5, 23, 600},   {6, 16, 31},   {13, 200, 5}};

}  // namespace

TEST("a product equals plain loops, transposed or not, on every set of instructions") {
  check::Random random(1);
  for (const GemmShape& shape : SHAPES) {
    for (int form = 0; form < 8; ++form) {
      const Case one(shape, form & 1, form & 2, form & 4 ? 5 : 0, form % 3 == 0, random);
      check_case(one, [&](int threads) { return one.product(threads); });
    }
  }
}

TEST("a dense linear layer equals plain loops, on every set of instructions") {
  check::Random random(2);
  for (const GemmShape& shape : SHAPES) {
    for (int form = 0; form < 2; ++form) {
      Case one(shape, false, false, form * 3, form == 1, random);
      one.alpha = 1;
      std::vector<float> weights;
      for (std::int64_t j = 0; j < shape.n; ++j) {
        for (std::int64_t k = 0; k < shape.k; ++k) {
          weights.push_back(one.b.values[k * one.b.row_step + j * one.b.column_step]);
        }
      }
      check_case(one, [&](int threads) {
        const auto prepared = dense_linear(weights.data(), shape.n, shape.k);
        return one.linear(*prepared, threads);
      });
    }
  }
}

TEST("the addend of a product may be where the result goes") {
  check::Random random(3);
  Case one({40, 60, 700}, false, false, 0, true, random);
  const std::vector<float> apart = one.product(1);
  std::vector<float> y(one.addend);
  one.epilogue.addend = y.data();
  Pool pool(2);
  Scratch scratch(gemm_scratch_bytes(one.shape, 2));
  gemm(one.shape, one.a, one.b, y.data(), one.y_row, one.alpha, one.epilogue, scratch.data(), pool);
  CHECK(same(y, apart));
}

TEST("a product whose scratch was measured keeps its instructions") {
  check::Random random(4);
  for (Instructions before : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    use_at_most(before);
    const Case one({100, 130, 513}, false, false, 0, false, random);
    const GemmShape shape{100, 130, 513};
    const std::vector<float> expected = one.product(1);
    const std::size_t bytes = gemm_scratch_bytes(shape, 1);
    for (Instructions after : {Instructions::portable, Instructions::avx512}) {
      use_at_most(after);
      CHECK(gemm_scratch_bytes(shape, 1) == bytes);
      std::vector<float> y(expected.size());
      Scratch scratch(bytes);
      Pool pool(1);
      gemm(shape, one.a, one.b, y.data(), one.y_row, 1, one.epilogue, scratch.data(), pool);
      CHECK(same(y, expected));
    }
  }
  use_at_most(Instructions::avx512);
}
