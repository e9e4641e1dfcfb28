// ConvTranspose over any number of spatial axes: a product of the weight and the input, whose
// numbers are then spread over the output.
#include <algorithm>
#include <memory>

#include "engine/operators/copying.h"
#include "engine/operators/spread.h"
#include "engine/operators/tables.h"
#include "engine/operators/windows.h"
#include "kernels/best_conv.h"

namespace laconic::engine {

namespace {

using kernels::ConvPlan;
using kernels::ConvShape;
using kernels::ConvWeights;

// Rows of a product whose numbers stay in the cache until they are spread.
constexpr std::int64_t CHUNK_ROWS = 64;

// Some output channels of one group: their product is a convolution of 1 x 1.
struct Chunk {
  std::int64_t group = 0;
  std::int64_t first = 0, count = 0;  // channels within the group
  std::unique_ptr<ConvWeights> weights;
};

// The weight [channels, outputs / groups, *kernel], in sizes.
struct Sizes {
  Sizes(const Node& node, const Tensor& weight) : groups(node.integer("group", 1)) {
    if (weight.rank() < 3 || weight.count() == 0)
      throw Mismatch("ConvTranspose with a weight of " + weight.text());
    if (groups < 1 || weight.shape[0] % groups != 0) {
      throw Mismatch(std::to_string(groups) + " groups, a weight of " + weight.shape.text());
    }
    depth = weight.shape[0] / groups;
    outputs = weight.shape[1];
    kernel.assign(weight.shape.begin() + 2, weight.shape.end());
    cells = weight.shape.count(2, weight.rank());
    const auto stated = node.integers("kernel_shape");
    if (!stated.empty() && stated != kernel) {
      throw Mismatch("kernel_shape differs from the weight's, " + weight.shape.text());
    }
  }
  std::int64_t groups, depth, outputs, cells;  // depth and outputs of one group
  std::vector<std::int64_t> kernel;
};

ConvShape product_shape(const Sizes& sizes, std::int64_t channels, std::int64_t positions) {
  ConvShape shape;
  shape.channels = sizes.depth;
  shape.outputs = channels * sizes.cells;
  shape.height = shape.out_height = 1;
  shape.width = shape.out_width = positions;
  return shape;
}

// [channels, cells] rows of the weight, turned so that a row has the depth of the product.
std::vector<Chunk> chunks_of(const float* weight, const Sizes& sizes, std::int64_t positions) {
  const std::int64_t most = std::max<std::int64_t>(1, CHUNK_ROWS / sizes.cells);
  const std::int64_t row = sizes.outputs * sizes.cells;
  std::vector<Chunk> chunks;
  for (std::int64_t group = 0; group < sizes.groups; ++group) {
    for (std::int64_t first = 0; first < sizes.outputs; first += most) {
      const std::int64_t count = std::min(most, sizes.outputs - first);
      const std::int64_t rows = count * sizes.cells;
      std::vector<float> turned(static_cast<std::size_t>(rows * sizes.depth));
      const float* from = weight + group * sizes.depth * row + first * sizes.cells;
      for (std::int64_t d = 0; d < sizes.depth; ++d) {
        for (std::int64_t r = 0; r < rows; ++r) {
          turned[static_cast<std::size_t>(r * sizes.depth + d)] = from[d * row + r];
        }
      }
      chunks.push_back({group, first, count,
                        kernels::best_conv(turned.data(), product_shape(sizes, count, positions))});
    }
  }
  return chunks;
}

struct PreparedTranspose : Prepared {
  explicit PreparedTranspose(Spread how) : spread(std::move(how)) {}
  Spread spread;
  std::vector<std::unique_ptr<ConvPlan>> plans;  // of the chunks; none while these are unknown
  std::size_t columns_bytes = 0, product_bytes = 0, desk_bytes = 0;

  std::size_t scratch_bytes(int threads) const {
    return columns_bytes + product_bytes + desk_bytes * static_cast<std::size_t>(threads);
  }
};

std::size_t rounded(std::int64_t floats) {
  return (static_cast<std::size_t>(floats) * sizeof(float) + 63) / 64 * 64;
}

void plan_chunks(PreparedTranspose& prepared, const std::vector<Chunk>& chunks, const Sizes& sizes,
                 int threads) {
  const std::int64_t positions = prepared.spread.positions();
  for (const Chunk& chunk : chunks) {
    const ConvShape shape = product_shape(sizes, chunk.count, positions);
    prepared.plans.push_back(chunk.weights->plan(shape));
    prepared.columns_bytes = std::max(prepared.columns_bytes, rounded(shape.outputs * positions));
    prepared.product_bytes =
        std::max(prepared.product_bytes, prepared.plans.back()->scratch_bytes(1, threads));
  }
  prepared.desk_bytes = rounded(prepared.spread.desk_items());
}

class ConvTranspose final : public Operator {
 public:
  explicit ConvTranspose(Making& making) : node_(making.node()) {
    const Tensor* weight = making.constant_input(1);
    if (weight == nullptr) return;
    const Sizes sizes(node_, *weight);
    const Tensor* x = making.trial_input(0);
    const bool known = x != nullptr && x->rank() == weight->rank();
    const std::int64_t positions = known ? x->shape.count(2, x->rank()) : 0;
    chunks_ = chunks_of(weight->as<float>(), sizes, std::max<std::int64_t>(positions, 1));
    making.consumed(node_.input(1));
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor &x = planning.input(0), &weight = planning.input(1);
    const Sizes sizes(node_, weight);
    if (x.type != DType::f32 || weight.type != DType::f32 || x.rank() != weight.rank() ||
        x.shape[1] != sizes.depth * sizes.groups) {
      throw Mismatch("a weight of " + weight.text() + " for " + x.text());
    }
    const std::int64_t outputs = sizes.outputs * sizes.groups;
    if (planning.has(2) &&
        (planning.input(2).type != DType::f32 || planning.input(2).shape != Shape{outputs})) {
      throw Mismatch("a bias of " + planning.input(2).text() + " for " + std::to_string(outputs) +
                     " outputs");
    }
    const std::vector<SpreadAxis> axes = axes_for(x, sizes);
    Shape shape{x.shape[0], outputs};
    for (const SpreadAxis& axis : axes) shape.push(axis.out_size);
    planning.output(0, DType::f32, shape);
    if (shape.count() == 0) return nullptr;
    auto prepared = std::make_unique<PreparedTranspose>(Spread(axes));
    if (!chunks_.empty()) plan_chunks(*prepared, chunks_, sizes, planning.threads());
    planning.scratch(prepared->scratch_bytes(planning.threads()));
    return prepared;
  }

  void run(const Running& running) const override {
    if (running.output(0).count() == 0) return;
    const auto& prepared = running.prepared<PreparedTranspose>();
    const Sizes sizes(node_, running.input(1));
    if (!chunks_.empty()) {
      run_chunks(running, prepared, chunks_, sizes, running.scratch());
      return;
    }
    PreparedTranspose now(prepared.spread);
    const auto chunks = chunks_of(running.input(1).as<float>(), sizes, prepared.spread.positions());
    plan_chunks(now, chunks, sizes, running.pool().threads());
    const Buffer scratch(now.scratch_bytes(running.pool().threads()));
    run_chunks(running, now, chunks, sizes, scratch.data());
  }

  std::size_t bytes() const override {
    std::size_t total = 0;
    for (const Chunk& chunk : chunks_) total += chunk.weights->bytes();
    return total;
  }
  std::string form() const override { return chunks_.empty() ? "" : chunks_[0].weights->form(); }

 private:
  // Output sizes and pads, as ONNX derives the one from the other.
  std::vector<SpreadAxis> axes_for(const Tensor& x, const Sizes& sizes) const {
    const std::size_t count = sizes.kernel.size();
    const auto strides = by_axis(node_, "strides", count, 1, 1);
    const auto dilations = by_axis(node_, "dilations", count, 1, 1);
    const auto pads = by_axis(node_, "pads", 2 * count, 0, 0);
    const auto extra = by_axis(node_, "output_padding", count, 0, 0);
    const auto wanted = by_axis(node_, "output_shape", count, 0, 1);
    const std::string automatic = node_.text("auto_pad", "NOTSET");
    const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
    if (!same && automatic != "NOTSET" && automatic != "VALID") {
      throw Mismatch("auto_pad is " + automatic);
    }
    std::vector<SpreadAxis> axes(count);
    for (std::size_t i = 0; i < count; ++i) {
      SpreadAxis& axis = axes[i];
      axis.size = x.shape[static_cast<int>(i) + 2];
      axis.kernel = sizes.kernel[i];
      axis.stride = strides[i];
      axis.dilation = dilations[i];
      const std::int64_t full =
          axis.stride * (axis.size - 1) + extra[i] + (axis.kernel - 1) * axis.dilation + 1;
      if (wanted[i] > 0 || same) {
        axis.out_size = wanted[i] > 0 ? wanted[i] : axis.size * axis.stride;
        const std::int64_t total = std::max<std::int64_t>(0, full - axis.out_size);
        axis.pad = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      } else {
        axis.pad = automatic == "VALID" ? 0 : pads[i];
        axis.out_size = full - axis.pad - (automatic == "VALID" ? 0 : pads[i + count]);
      }
      if (axis.size < 1 || axis.out_size < 1) {
        throw Mismatch(x.text() + " would give " + std::to_string(axis.out_size) +
                       " items along a spatial axis");
      }
    }
    return axes;
  }

  static void run_chunks(const Running& running, const PreparedTranspose& prepared,
                         const std::vector<Chunk>& chunks, const Sizes& sizes, std::byte* scratch) {
    const Spread& spread = prepared.spread;
    const Tensor& x = running.input(0);
    const float* bias = running.has(2) ? running.input(2).as<float>() : nullptr;
    float* columns = reinterpret_cast<float*>(scratch);
    std::byte* desks = scratch + prepared.columns_bytes + prepared.product_bytes;
    for (std::int64_t image = 0; image < x.shape[0]; ++image) {
      for (std::size_t c = 0; c < chunks.size(); ++c) {
        const Chunk& chunk = chunks[c];
        const std::int64_t group = image * sizes.groups + chunk.group;
        prepared.plans[c]->run(x.as<float>() + group * sizes.depth * spread.positions(), columns, 1,
                               {}, scratch + prepared.columns_bytes, running.pool());
        const std::int64_t channel = chunk.group * sizes.outputs + chunk.first;
        const float* biases = bias == nullptr ? nullptr : bias + channel;
        float* y = running.output(0).as<float>() +
                   (group * sizes.outputs + chunk.first) * spread.rows() * spread.row_items();
        share(running.pool(), chunk.count * sizes.cells * spread.positions(),
              chunk.count * spread.rows(), [&](std::int64_t begin, std::int64_t end, int worker) {
                float* desk = reinterpret_cast<float*>(desks + static_cast<std::size_t>(worker) *
                                                                   prepared.desk_bytes);
                for (std::int64_t i = begin; i < end; ++i) {
                  const std::int64_t k = i / spread.rows();
                  spread.row(columns + k * sizes.cells * spread.positions(), i % spread.rows(),
                             biases == nullptr ? 0 : biases[k], y + i * spread.row_items(), desk);
                }
              });
      }
    }
  }

  const Node& node_;
  std::vector<Chunk> chunks_;
};

}  // namespace

std::vector<Entry> conv_transpose_operators() {
  return {{"ConvTranspose",
           make<ConvTranspose>,
           {"auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape",
            "pads", "strides"},
           3}};
}

}  // namespace laconic::engine
