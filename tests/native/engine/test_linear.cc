// Every form of linear weights against a plain product, in every set of instructions.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>

#include "check.h"
#include "kernels/instructions.h"
#include "kernels/sparse_linear.h"

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

void check_form(Form form, double zeros) {
  in_every_set([&] {
    check::Random random(3);
    for (const int values : {0, 1, 2, 16, 17, 33, 256, 300}) {
      for (int i = 0; i < 4; ++i) {
        const Layer layer = layer_of(random.between(1, 70), random.between(1, 300), zeros, values,
                                     static_cast<unsigned>(values + i));
        check_layer(form, layer, random.between(1, 9), {});
      }
    }
    for (int rows = 1; rows <= 70; ++rows) {
      const Layer layer = layer_of(37, 45, zeros, rows % 2 ? 0 : 20, 9);
      check_layer(form, layer, rows, {true, rows % 2 == 0, rows % 3 == 0, -1.5f, 2.0f});
    }
    const Layer wide = layer_of(19, 70001, zeros, 5, 4);
    check_layer(form, wide, 1, {});
    check_layer(form, wide, 5, {});
  });
}

}  // namespace

TEST("sparse linear weights multiply as the dense ones do") {
  for (const Form form : {sparse_for_one, sparse_for_many}) {
    check_form(form, 0.9);
    check_form(form, 0.3);
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
