// Conv along one or two axes.
#include <algorithm>

#include "engine/operators/conv_nd.h"
#include "engine/operators/conv_windows.h"
#include "engine/operators/tables.h"
#include "engine/operators/windows.h"
#include "kernels/best_conv.h"
#include "kernels/conv_dense.h"

namespace laconic::engine {

namespace {

using kernels::ConvPlan;
using kernels::ConvShape;
using kernels::ConvWeights;
using kernels::Epilogue;

struct PreparedConv : Prepared {
  ConvShape shape;
  std::int64_t images = 0;
  std::unique_ptr<ConvPlan> plan;  // null while the weights are known in the run only
};

class Conv : public Operator {
 public:
  explicit Conv(Making& making) : node_(making.node()) {
    const Tensor* weight = making.constant_input(1);
    const Value bias = node_.input(2);
    constant_bias_ = bias == NONE || making.constant(bias) != nullptr;
    if (weight == nullptr) return;
    ConvShape shape = weight_shape(*weight);
    const Tensor* x = making.trial_input(0);
    if (x != nullptr && x->rank() == weight->rank()) {
      try {
        shape = image_shape(shape, *x, *weight);
      } catch (const Mismatch&) {
        // The trial's sizes may not fit where the program leaves them open; those of a run will.
      }
    }
    if (std::min({shape.height, shape.width, shape.out_height, shape.out_width}) < 1) {
      // Nothing is known of the image: the form is chosen for one of ordinary size.
      constexpr std::int64_t SIZE = 16;
      const bool plane = weight->rank() == 4;
      shape.out_height = plane ? SIZE : 1;
      shape.out_width = SIZE;
      shape.height = plane ? SIZE + shape.kernel_height : 1;
      shape.width = SIZE + shape.kernel_width;
    }
    weights_ = kernels::best_conv(weight->as<float>(), shape, making.int8());
    outputs_ = shape.outputs;
    making.consumed(node_.input(1));
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    const Tensor& weight = planning.input(1);
    if (x.type != DType::f32 || weight.type != DType::f32) {
      throw Mismatch("float32 is needed, found " + x.text() + " and " + weight.text());
    }
    if (x.rank() != weight.rank()) {
      throw Mismatch("a weight of " + weight.shape.text() + " for " + x.shape.text());
    }
    auto prepared = std::make_unique<PreparedConv>();
    prepared->shape = image_shape(weight_shape(weight), x, weight);
    prepared->images = x.shape[0];
    Shape made{x.shape[0], weight.shape[0]};
    if (x.rank() == 4) made.push(prepared->shape.out_height);
    made.push(prepared->shape.out_width);
    planning.output(0, DType::f32, made);
    check_epilogue(planning, made);
    if (weights_ != nullptr && made.count() > 0) {
      prepared->plan = weights_->plan(lie_apart(prepared->shape, planning));
      if (x.rank() == 4 && prepared->plan->may_lie_apart()) offer(planning, *prepared->plan);
      planning.scratch(prepared->plan->scratch_bytes(prepared->images, planning.threads()));
    }
    return prepared;
  }

  void run(const Running& running) const override {
    const auto& prepared = running.prepared<PreparedConv>();
    const float* x = running.input(0).as<float>();
    float* y = running.output(0).as<float>();
    Epilogue epilogue;
    if (!node_.fusion.scale.empty()) epilogue.scale = node_.fusion.scale.data();
    if (!node_.fusion.bias.empty()) {
      epilogue.bias = node_.fusion.bias.data();
    } else if (has_bias() && running.has(2)) {
      epilogue.bias = running.input(2).as<float>();
    }
    if (node_.fusion.addend != NONE) {
      epilogue.addend = running.input(running.inputs() - 1).as<float>();
    }
    epilogue.low = node_.fusion.low;
    epilogue.high = node_.fusion.high;
    if (prepared.plan != nullptr) {
      prepared.plan->run(x, y, prepared.images, epilogue, running.scratch(), running.pool());
      return;
    }
    const auto weights = kernels::dense_conv(running.input(1).as<float>(), prepared.shape);
    const auto plan = weights->plan(prepared.shape);
    const Buffer scratch(plan->scratch_bytes(prepared.images, running.pool().threads()));
    plan->run(x, y, prepared.images, epilogue, scratch.data(), running.pool());
  }

  std::size_t bytes() const override { return weights_ == nullptr ? 0 : weights_->bytes(); }
  std::string form() const override { return weights_ == nullptr ? "" : weights_->form(); }
  std::int64_t fusable_outputs() const override { return constant_bias_ ? outputs_ : 0; }

 private:
  bool has_bias() const { return node_.input(2) != NONE && node_.input(2) != node_.fusion.addend; }

  // All that follows from the weight [outputs, channels / groups, *kernel] and the attributes.
  ConvShape weight_shape(const Tensor& weight) const {
    if (weight.rank() != 3 && weight.rank() != 4) {
      throw Unsupported("Conv with a weight of " + weight.text() +
                        ": the engine has one and two "
                        "spatial axes");
    }
    if (weight.count() == 0) throw Mismatch("a weight without items, " + weight.text());
    const std::int64_t groups = node_.integer("group", 1);
    if (groups < 1 || weight.shape[0] % groups != 0) {
      throw Mismatch(std::to_string(groups) + " groups, a weight of " + weight.shape.text());
    }
    const auto stated = node_.integers("kernel_shape");
    const bool same =
        std::equal(stated.begin(), stated.end(), weight.shape.begin() + 2, weight.shape.end());
    if (!stated.empty() && !same) {
      throw Mismatch("kernel_shape differs from the weight's, " + weight.shape.text());
    }
    ConvShape shape;
    shape.groups = groups;
    shape.outputs = weight.shape[0];
    shape.channels = weight.shape[1] * groups;
    shape.kernel_height = weight.rank() == 4 ? weight.shape[2] : 1;
    shape.kernel_width = weight.shape[weight.rank() - 1];
    const std::size_t axes = static_cast<std::size_t>(weight.rank()) - 2;
    const auto strides = by_axis(node_, "strides", axes, 1, 1);
    const auto dilations = by_axis(node_, "dilations", axes, 1, 1);
    shape.stride_x = strides.back();
    shape.dilation_x = dilations.back();
    shape.stride_y = axes == 2 ? strides[0] : 1;
    shape.dilation_y = axes == 2 ? dilations[0] : 1;
    return shape;
  }

  ConvShape image_shape(ConvShape shape, const Tensor& x, const Tensor& weight) const {
    place_windows(node_, x, weight, shape);
    return shape;
  }

  ConvShape lie_apart(ConvShape shape, const Planning& planning) const {
    shape.x_apart = planning.input(0).apart;
    shape.y_apart = planning.made_apart();
    if (node_.fusion.addend != NONE) {
      shape.addend_apart = planning.input(planning.inputs() - 1).apart;
    }
    return shape;
  }

  void offer(Planning& planning, const ConvPlan& plan) const {
    planning.may_be_apart(0, plan.wanted_apart());
    if (node_.fusion.addend != NONE) planning.may_be_apart(planning.inputs() - 1, 0);
    planning.may_make_apart();
  }

  void check_epilogue(const Planning& planning, const Shape& made) const {
    if (has_bias() && planning.has(2)) {
      const Tensor& bias = planning.input(2);
      if (bias.type != DType::f32 || bias.shape != Shape{made[1]}) {
        throw Mismatch("a bias of " + bias.text() + " for " + std::to_string(made[1]) + " outputs");
      }
    }
    if (node_.fusion.addend != NONE && planning.input(planning.inputs() - 1).shape != made) {
      throw Mismatch("what is added has the shape " +
                     planning.input(planning.inputs() - 1).shape.text() + ", not " + made.text());
    }
  }

  const Node& node_;
  bool constant_bias_ = false;
  std::int64_t outputs_ = 0;
  std::unique_ptr<ConvWeights> weights_;
};

std::unique_ptr<Operator> make_conv(Making& making) {
  const Tensor* weight = making.constant_input(1);
  if (weight == nullptr) weight = making.trial_input(1);
  if (weight != nullptr && weight->rank() > 4) return make_conv_nd(making);
  return std::make_unique<Conv>(making);
}

}  // namespace

std::vector<Entry> convolution_operators() {
  return {{"Conv",
           make_conv,
           {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"},
           3}};
}

}  // namespace laconic::engine
