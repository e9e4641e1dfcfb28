// Every form of linear weights against a plain product, in every set of instructions.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>

#include "check.h"
#include "kernels/best_linear.h"
#include "kernels/codebook_linear.h"
#include "kernels/instructions.h"
#include "kernels/sparse_linear.h"
#include "kernels/tile_plan.h"

namespace {

using laconic::kernels::Epilogue;
using laconic::kernels::Instructions;
using laconic::kernels::LinearWeights;
using laconic::kernels::Pool;

struct Layer {
  std::int64_t outputs, depth;
  std::vector<float> weights;
};

using Form = std::unique_ptr<LinearWeights> (*)(const float*, std::int64_t, std::int64_t);

std::unique_ptr<LinearWeights> sparse_for_one(const float* weights, std::int64_t outputs,
                                              std::int64_t depth) {
  return laconic::kernels::sparse_linear(weights, outputs, depth, 1);
}
std::unique_ptr<LinearWeights> sparse_for_many(const float* weights, std::int64_t outputs,
                                               std::int64_t depth) {
  return laconic::kernels::sparse_linear(weights, outputs, depth, 1000);
}

std::unique_ptr<LinearWeights> codebook(const float* weights, std::int64_t outputs,
                                        std::int64_t depth) {
  const auto survey = laconic::kernels::survey_linear(weights, outputs, depth);
  CHECK(laconic::kernels::fits_codebook(survey));
  return laconic::kernels::codebook_linear(weights, survey);
}
std::unique_ptr<LinearWeights> half(const float* weights, std::int64_t outputs,
                                    std::int64_t depth) {
  const auto survey = laconic::kernels::survey_linear(weights, outputs, depth);
  CHECK(survey.half || survey.bfloat16);
  return laconic::kernels::half_linear(weights, survey);
}

struct Extra {
  bool scale = false, bias = false, addend = false;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// Runs a layer with strides wider than its sizes; what lies between the rows must stay.
class Product {
 public:
  Product(const Layer& layer, std::int64_t rows, const Extra& extra, unsigned seed)
      : layer_(layer), rows_(rows), x_stride_(layer.depth + 3), y_stride_(layer.outputs + 5) {
    check::Random random(seed);
    x_ = random.floats(static_cast<std::size_t>(rows * x_stride_));
    addend_ = random.floats(static_cast<std::size_t>(rows * y_stride_));
    scale_ = random.floats(static_cast<std::size_t>(layer.outputs));
    bias_ = random.floats(static_cast<std::size_t>(layer.outputs));
    epilogue_.scale = extra.scale ? scale_.data() : nullptr;
    epilogue_.bias = extra.bias ? bias_.data() : nullptr;
    epilogue_.addend = extra.addend ? addend_.data() : nullptr;
    epilogue_.low = extra.low;
    epilogue_.high = extra.high;
  }

  std::vector<float> expected() const {
    std::vector<float> y(static_cast<std::size_t>(rows_ * y_stride_), 7.0f);
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t o = 0; o < layer_.outputs; ++o) {
        double sum = 0;
        for (std::int64_t k = 0; k < layer_.depth; ++k) {
          const float weight = layer_.weights[static_cast<std::size_t>(o * layer_.depth + k)];
          if (weight != 0) sum += double(weight) * x_[static_cast<std::size_t>(r * x_stride_ + k)];
        }
        const auto place = static_cast<std::size_t>(r * y_stride_ + o);
        if (epilogue_.scale) sum *= scale_[static_cast<std::size_t>(o)];
        if (epilogue_.bias) sum += bias_[static_cast<std::size_t>(o)];
        if (epilogue_.addend) sum += addend_[place];
        if (sum < epilogue_.low) sum = epilogue_.low;
        if (sum > epilogue_.high) sum = epilogue_.high;
        y[place] = static_cast<float>(sum);
      }
    }
    return y;
  }

  std::vector<float> found(const LinearWeights& weights, int threads) const {
    Pool pool(threads);
    std::vector<float> y(static_cast<std::size_t>(rows_ * y_stride_), 7.0f);
    const std::size_t bytes = weights.scratch_bytes(rows_, threads);
    CHECK(bytes % 64 == 0);
    // Exactly as long as was asked for, so that a sanitizer sees what is written beyond.
    std::unique_ptr<std::byte, decltype(&std::free)> scratch(
        static_cast<std::byte*>(std::aligned_alloc(64, bytes + 64)), &std::free);
    weights.run(x_.data(), x_stride_, y.data(), y_stride_, rows_, epilogue_, scratch.get(), pool);
    return y;
  }

 private:
  const Layer& layer_;
  std::int64_t rows_, x_stride_, y_stride_;
  std::vector<float> x_, addend_, scale_, bias_;
  Epilogue epilogue_;
};

Layer layer_of(std::int64_t outputs, std::int64_t depth, double zeros, int values, unsigned seed) {
  check::Random random(seed);
  Layer layer{outputs, depth, random.floats(static_cast<std::size_t>(outputs * depth), zeros)};
  if (values > 0) {
    const std::vector<float> table = random.floats(static_cast<std::size_t>(values));
    for (float& weight : layer.weights) {
      if (weight != 0) weight = table[static_cast<std::size_t>(random.below(values))];
    }
  }
  return layer;
}

void check_layer(Form form, const Layer& layer, std::int64_t rows, const Extra& extra) {
  const Product product(layer, rows, extra, 5);
  const auto weights = form(layer.weights.data(), layer.outputs, layer.depth);
  const std::vector<float> found = product.found(*weights, 1);
  // Rounding grows with the root of the number of terms.
  const double bound = 2e-6 * std::sqrt(1 + static_cast<double>(layer.depth) / 1000);
  CHECK(check::deviation(found, product.expected()) < bound);
  const std::vector<float> shared = product.found(*weights, 2);
  CHECK(std::memcmp(found.data(), shared.data(), found.size() * sizeof(float)) == 0);
}

void in_every_set(const std::function<void()>& body) {
  for (const Instructions set :
       {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    laconic::kernels::use_at_most(set);
    body();
  }
  laconic::kernels::use_at_most(Instructions::avx512);
}

// Layers of random sizes, every number of rows up to 70.
void check_form(Form form, const std::function<Layer(std::int64_t, std::int64_t, unsigned)>& make) {
  in_every_set([&] {
    check::Random random(3);
    for (unsigned seed = 0; seed < 6; ++seed) {
      const Layer layer = make(random.between(1, 110), random.between(1, 300), seed);
      check_layer(form, layer, random.between(1, 9), {});
    }
    const Layer layer = make(37, 45, 9);
    for (int rows = 1; rows <= 70; ++rows) {
      check_layer(form, layer, rows, {true, rows % 2 == 0, rows % 3 == 0, -1.5f, 2.0f});
    }
  });
}

}  // namespace

TEST("sparse linear weights multiply as the dense ones do") {
  for (const Form form : {sparse_for_one, sparse_for_many}) {
    for (const int values : {0, 1, 31, 200, 256}) {
      for (const double zeros : {0.9, 0.3}) {
        check_form(form, [&](std::int64_t outputs, std::int64_t depth, unsigned seed) {
          return layer_of(outputs, depth, zeros, values, seed);
        });
      }
    }
  }
}

TEST("sparse linear weights crowded in rows, columns or blocks multiply as the dense ones do") {
  const auto crowded = [](const std::function<bool(std::int64_t, std::int64_t)>& where) {
    Layer layer = layer_of(90, 410, 0.9, 0, 2);
    const Layer full = layer_of(90, 410, 0.0, 0, 3);
    for (std::size_t i = 0; i < layer.weights.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      if (where(place / 410, place % 410)) layer.weights[i] = full.weights[i];
    }
    return layer;
  };
  const Layer layers[] = {
      crowded([](std::int64_t row, std::int64_t) { return row % 7 == 3; }),
      crowded([](std::int64_t, std::int64_t column) { return column < 20 || column > 380; }),
      crowded(
          [](std::int64_t row, std::int64_t column) { return (row / 16 + column / 40) % 4 == 0; }),
      crowded([](std::int64_t row, std::int64_t column) { return row == 89 && column % 50 < 40; })};
  in_every_set([&] {
    int tiled = 0;
    for (const Layer& layer : layers) {
      for (const int rows : {1, 2, 3, 6}) check_layer(sparse_for_one, layer, rows, {});
      const auto plan =
          laconic::kernels::plan_tiles(layer.weights.data(), layer.outputs, layer.depth, 0);
      if (plan.choice < 0) continue;
      ++tiled;
      const auto survey =
          laconic::kernels::survey_linear(layer.weights.data(), layer.outputs, layer.depth);
      const auto tiles = laconic::kernels::tiled_linear(layer.weights.data(), survey, plan);
      const Product product(layer, 2, {}, 5);
      CHECK(check::deviation(product.found(*tiles, 1), product.expected()) < 2e-6);
    }
    const bool lanes = laconic::kernels::instructions() == Instructions::avx512;
    CHECK(tiled == (lanes ? 3 : 0));
  });
}

TEST("linear weights may be deeper than 65,536") {
  in_every_set([] {
    const Layer layer = layer_of(19, 70001, 0.6, 5, 4);
    for (const Form form : {sparse_for_one, sparse_for_many, codebook}) {
      check_layer(form, layer, 1, {});
      check_layer(form, layer, 5, {});
    }
  });
}

TEST("codebook linear weights multiply as the dense ones do") {
  for (const int values : {1, 2, 15, 16, 17, 32, 33, 255, 256}) {
    for (const double zeros : {0.0, 0.3}) {
      if (zeros > 0 && values == 256) continue;
      check_form(codebook, [&](std::int64_t outputs, std::int64_t depth, unsigned seed) {
        return layer_of(outputs, depth, zeros, values, seed);
      });
    }
  }
}

TEST("codebook linear weights on a uniform grid multiply as the dense ones do") {
  for (const float scale : {0.0037f, 3.1e-5f, 0.0078125f}) {
    for (const int low : {-128, 0, 7, -255}) {
      check_form(codebook, [&](std::int64_t outputs, std::int64_t depth, unsigned seed) {
        check::Random random(seed);
        Layer layer{outputs, depth, {}};
        for (std::int64_t i = 0; i < outputs * depth; ++i) {
          layer.weights.push_back(scale * static_cast<float>(random.below(256) + low));
        }
        return layer;
      });
    }
  }
}

TEST("linear weights of 16 bits multiply as the dense ones do") {
  for (const std::uint32_t kept : {0xffffe000u, 0xffff0000u}) {
    check_form(half, [&](std::int64_t outputs, std::int64_t depth, unsigned seed) {
      Layer layer = layer_of(outputs, depth, 0.1, 0, seed);
      for (float& weight : layer.weights) {
        // A tenth is too small for a normal binary16 number; it is kept in units of 2^-24.
        if (kept == 0xffffe000u && weight > 1.28f) {
          weight = std::ldexp(std::round(weight * 8), -24);
          continue;
        }
        std::uint32_t bits;
        std::memcpy(&bits, &weight, sizeof bits);
        bits &= std::fabs(weight) < 1e-4f ? 0 : kept;
        std::memcpy(&weight, &bits, sizeof bits);
      }
      return layer;
    });
  }
}

TEST("a float is kept as binary16 where that is exact") {
  const struct {
    float value;
    int half;
  } cases[] = {{0.0f, 0},
               {-0.0f, 0x8000},
               {1.0f, 0x3c00},
               {-65504.0f, 0xfbff},
               {65536.0f, -1},
               {std::ldexp(1.0f, -24), 1},
               {std::ldexp(1.0f, -25), -1},
               {std::ldexp(1023.0f, -24), 0x3ff},
               {std::ldexp(1.0f, -14), 0x400},
               {1.0f + std::ldexp(1.0f, -10), 0x3c01},
               {1.0f + std::ldexp(1.0f, -11), -1},
               {std::numeric_limits<float>::infinity(), 0x7c00}};
  for (const auto& one : cases) {
    std::uint16_t found = 0;
    CHECK(laconic::kernels::exact_half(one.value, found) == (one.half >= 0));
    if (one.half >= 0) CHECK(found == one.half);
  }
}

TEST("sparse linear weights without a non-zero leave the bias") {
  in_every_set([] {
    const Layer layer = layer_of(33, 20, 1.0, 0, 1);
    for (const int rows : {1, 2, 17}) {
      check_layer(sparse_for_one, layer, rows, {false, true, true});
    }
  });
}

TEST("sparse linear weights keep a NaN and drop a negative zero") {
  in_every_set([] {
    Layer layer = layer_of(3, 40, 0.5, 0, 1);
    for (std::size_t i = 0; i < 40; ++i) layer.weights[i] = -0.0f;
    layer.weights[50] = std::numeric_limits<float>::quiet_NaN();
    const auto weights = laconic::kernels::sparse_linear(layer.weights.data(), 3, 40);
    for (const int rows : {1, 20}) {
      const std::vector<float> y = Product(layer, rows, {}, 2).found(*weights, 1);
      CHECK(y[0] == 0);
      CHECK(std::isnan(y[1]));
      CHECK(!std::isnan(y[2]));
    }
  });
}

TEST("sparse linear weights of few values take 3.2 bytes a non-zero, others 6.6") {
  in_every_set([] {
    Layer layer = layer_of(300, 900, 0.9, 31, 1);
    double count = 0;
    for (const float weight : layer.weights) count += weight != 0;
    using laconic::kernels::sparse_linear;
    CHECK(static_cast<double>(sparse_linear(layer.weights.data(), 300, 900)->bytes()) <=
          3.2 * count);
    layer = layer_of(300, 900, 0.9, 0, 1);
    count = 0;
    for (const float weight : layer.weights) count += weight != 0;
    CHECK(static_cast<double>(sparse_linear(layer.weights.data(), 300, 900)->bytes()) <=
          6.6 * count);
  });
}

TEST("the best form of linear weights is sparse for many zeros and dense for none") {
  in_every_set([] {
    const auto form_of = [](const Layer& layer, std::int64_t rows) {
      return std::string(
          laconic::kernels::best_linear(layer.weights.data(), layer.outputs, layer.depth, rows)
              ->form());
    };
    for (const std::int64_t rows : {1, 40}) {
      CHECK(form_of(layer_of(400, 600, 0.97, 0, 1), rows) == "sparse");
      CHECK(form_of(layer_of(400, 600, 0.0, 0, 1), rows) == "dense");
    }
  });
  CHECK(laconic::kernels::instructions() != Instructions::avx512 ||
        std::string(laconic::kernels::best_linear(layer_of(400, 600, 0.0, 16, 1).weights.data(),
                                                  400, 600, 1)
                        ->form()) == "codebook");
}
