#include "engine/operators/conv_nd.h"

#include <algorithm>

#include "engine/operators/windows.h"
#include "kernels/gemm.h"

namespace laconic::engine {

namespace {

struct PreparedConvNd : Prepared {
  std::vector<WindowAxis> axes;
  std::int64_t images = 0, channels = 0, outputs = 0;
  kernels::GemmShape product;     // of one image and group
  std::size_t columns_bytes = 0;  // of its unrolled windows
};

std::size_t rounded(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

class ConvNd : public Operator {
 public:
  explicit ConvNd(Making& making)
      : node_(making.node()), groups_(making.node().integer("group", 1)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor &x = planning.input(0), &weight = planning.input(1);
    const bool fits = x.rank() == weight.rank() && x.rank() > 2 && weight.count() > 0 &&
                      groups_ > 0 && weight.shape[0] % groups_ == 0 &&
                      x.shape[1] == weight.shape[1] * groups_;
    if (!fits || x.type != DType::f32 || weight.type != DType::f32) {
      throw Mismatch("a weight of " + weight.text() + " in " + std::to_string(groups_) +
                     " groups for " + x.text());
    }
    if (planning.has(2) && (planning.input(2).type != DType::f32 ||
                            planning.input(2).shape != Shape{weight.shape[0]})) {
      throw Mismatch("a bias of " + planning.input(2).text() + " for " +
                     std::to_string(weight.shape[0]) + " outputs");
    }
    auto prepared = std::make_unique<PreparedConvNd>();
    const std::vector<std::int64_t> sizes(x.shape.begin() + 2, x.shape.end());
    const std::vector<std::int64_t> kernel(weight.shape.begin() + 2, weight.shape.end());
    prepared->axes = windows_of(node_, sizes, kernel);
    prepared->images = x.shape[0];
    prepared->channels = x.shape[1] / groups_;
    prepared->outputs = weight.shape[0] / groups_;
    Shape made{x.shape[0], weight.shape[0]};
    for (const WindowAxis& axis : prepared->axes) made.push(axis.count);
    planning.output(0, DType::f32, made);
    kernels::GemmShape& product = prepared->product;
    product = {prepared->outputs, made.count(2, made.rank()), weight.shape.count(1, weight.rank())};
    prepared->columns_bytes =
        rounded(static_cast<std::size_t>(engine::product(product.k, product.n)) * sizeof(float));
    planning.scratch(prepared->columns_bytes +
                     kernels::gemm_scratch_bytes(product, planning.threads()));
    return prepared;
  }

  void run(const Running& running) const override {
    const auto& prepared = running.prepared<PreparedConvNd>();
    const kernels::GemmShape& product = prepared.product;
    float* columns = reinterpret_cast<float*>(running.scratch());
    const float* bias = running.has(2) ? running.input(2).as<float>() : nullptr;
    std::int64_t plane = prepared.channels;
    for (const WindowAxis& axis : prepared.axes) plane *= axis.size;
    for (std::int64_t i = 0; i < prepared.images * groups_; ++i) {
      const std::int64_t group = i % groups_;
      unroll(prepared, running.input(0).as<float>() + i * plane, columns);
      float* y = running.output(0).as<float>() + i * product.m * product.n;
      kernels::Epilogue epilogue;
      if (bias != nullptr) {
        for (std::int64_t o = 0; o < product.m; ++o) {
          std::fill_n(y + o * product.n, product.n, bias[group * product.m + o]);
        }
        epilogue.addend = y;
      }
      const float* weight = running.input(1).as<float>() + group * product.m * product.k;
      kernels::gemm(product, {weight, product.k, 1}, {columns, product.n, 1}, y, product.n, 1.0f,
                    epilogue, running.scratch() + prepared.columns_bytes, running.pool());
    }
  }

 private:
  // columns[channel and kernel place][window], zeros in the padding.
  static void unroll(const PreparedConvNd& prepared, const float* x, float* columns) {
    const auto& axes = prepared.axes;
    std::vector<std::int64_t> at(2 * axes.size(), 0);  // kernel places, then windows
    for (std::int64_t channel = 0; channel < prepared.channels; ++channel) {
      std::fill(at.begin(), at.end(), 0);
      std::int64_t left = prepared.product.n;
      for (const WindowAxis& axis : axes) left *= axis.kernel;
      for (; left > 0; --left, ++columns) {
        *columns = item(axes, at, x);
        for (std::size_t i = at.size(); i-- > 0;) {
          const WindowAxis& axis = axes[i % axes.size()];
          if (++at[i] < (i < axes.size() ? axis.kernel : axis.count)) break;
          at[i] = 0;
        }
      }
      std::int64_t plane = 1;
      for (const WindowAxis& axis : axes) plane *= axis.size;
      x += plane;
    }
  }

  static float item(const std::vector<WindowAxis>& axes, const std::vector<std::int64_t>& at,
                    const float* plane) {
    std::int64_t place = 0;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const WindowAxis& axis = axes[i];
      const std::int64_t along =
          at[axes.size() + i] * axis.stride + at[i] * axis.dilation - axis.pad_begin;
      if (along < 0 || along >= axis.size) return 0.0f;
      place = place * axis.size + along;
    }
    return plane[place];
  }

  const Node& node_;
  std::int64_t groups_;
};

}  // namespace

std::unique_ptr<Operator> make_conv_nd(Making& making) { return std::make_unique<ConvNd>(making); }

}  // namespace laconic::engine
