// ConvInteger and QLinearConv.
#include <algorithm>
#include <cmath>

#include "engine/operators/codes.h"
#include "engine/operators/conv_windows.h"
#include "engine/operators/tables.h"
#include "kernels/int8_conv.h"
#include "kernels/quantize.h"

namespace laconic::engine {

namespace {

using kernels::ConvShape;
using kernels::Int8Conv;

class Images final : public kernels::Int8Images {
 public:
  Images(const Codes& x, const ConvShape& shape, std::int32_t zero)
      : x_(x), zero_(zero), plane_(shape.height * shape.width), channels_(shape.channels) {}
  std::int32_t zero_point(std::int64_t) const override { return zero_; }
  void pack(std::int64_t image, std::int64_t channel, int channels,
            std::uint32_t* words) const override {
    kernels::quantize().interleave(x_.bytes + (image * channels_ + channel) * plane_, channels,
                                   plane_, x_.flip, words);
  }

 private:
  Codes x_;
  std::int32_t zero_;
  std::int64_t plane_, channels_;
};

class IntegerSums final : public kernels::Int8Sums {
 public:
  explicit IntegerSums(std::int32_t* y) : y_(y) {}
  void take(const std::int32_t* sums, std::int64_t count, std::int32_t offset, std::int64_t,
            std::int64_t, std::int64_t place) const override {
    for (std::int64_t i = 0; i < count; ++i) y_[place + i] = wrapped_sum(sums[i], offset);
  }

 private:
  std::int32_t* y_;
};

class CodeSums final : public kernels::Int8Sums {
 public:
  CodeSums(const Requantize& requantize, const std::int32_t* bias, const Tensor& y)
      : requantize_(requantize), bias_(bias), y_(y) {}
  void take(const std::int32_t* sums, std::int64_t count, std::int32_t offset, std::int64_t,
            std::int64_t output, std::int64_t place) const override {
    if (bias_) offset = wrapped_sum(offset, bias_[output]);
    const double scale = requantize_.scale(0, output);
    for (std::int64_t i = 0; i < count; ++i) {
      requantize_.store(wrapped_sum(sums[i], offset), scale, y_, place + i);
    }
  }

 private:
  const Requantize& requantize_;
  const std::int32_t* bias_;
  const Tensor& y_;
};

struct PreparedConv : Prepared {
  ConvShape shape;
  std::int64_t images = 0;
};

// The inputs of the two operators stand in different places.
struct Places {
  int weight, x_zero, weight_zero;
};

class IntegerConv : public Operator {
 public:
  IntegerConv(Making& making, Places places) : node_(making.node()), places_(places) {
    const auto at = [](int place) { return static_cast<std::size_t>(place); };
    const Tensor* weight = making.constant_input(at(places.weight));
    const Value zero = node_.input(at(places.weight_zero));
    if (weight == nullptr || (zero != NONE && making.constant(zero) == nullptr)) return;
    const Tensor* zeros = zero == NONE ? nullptr : making.constant(zero);
    conv_ = std::make_unique<Int8Conv>(packed(*weight, zeros));
    making.consumed(node_.input(at(places.weight)));
  }

  std::size_t bytes() const override { return conv_ ? conv_->bytes() : 0; }
  std::string form() const override { return conv_ ? "int8" : ""; }

 protected:
  std::unique_ptr<PreparedConv> plan_conv(Planning& planning, DType type) const {
    const Tensor &x = planning.input(0), &weight = planning.input(places_.weight);
    check_codes(x);
    check_codes(weight);
    if (x.rank() != weight.rank() || x.rank() < 3 || x.rank() > 4) {
      throw Mismatch("a weight of " + weight.shape.text() + " for " + x.shape.text());
    }
    auto prepared = std::make_unique<PreparedConv>();
    prepared->shape = shape_of(weight.shape);
    place_windows(node_, x, weight, prepared->shape);
    check_zeros(planning, places_.x_zero, x.type, 1);
    check_zeros(planning, places_.weight_zero, weight.type, weight.shape[0]);
    prepared->images = x.shape[0];
    Shape made{x.shape[0], weight.shape[0]};
    if (x.rank() == 4) made.push(prepared->shape.out_height);
    made.push(prepared->shape.out_width);
    planning.output(0, type, made);
    if (conv_) {
      planning.scratch(conv_->scratch_bytes(prepared->shape, prepared->images, planning.threads()));
    }
    return prepared;
  }

  void run_conv(const Running& running, const kernels::Int8Sums& y) const {
    const auto& prepared = running.prepared<PreparedConv>();
    const Tensor& x = running.input(0);
    const Images images(codes_of(x), prepared.shape,
                        unsigned_zero(x.type, integer_at(running, places_.x_zero, 0)));
    if (conv_) {
      conv_->run(prepared.shape, images, prepared.images, y, running.scratch(), running.pool());
      return;
    }
    const Tensor* zeros =
        running.has(places_.weight_zero) ? &running.input(places_.weight_zero) : nullptr;
    const Int8Conv conv = packed(running.input(places_.weight), zeros);
    const Buffer scratch(
        conv.scratch_bytes(prepared.shape, prepared.images, running.pool().threads()));
    conv.run(prepared.shape, images, prepared.images, y, scratch.data(), running.pool());
  }

 private:
  // All that follows from the weight [outputs, channels / groups, *kernel] and the attributes.
  ConvShape shape_of(const Shape& weight) const {
    ConvShape shape;
    shape.groups = node_.integer("group", 1);
    if (shape.groups < 1 || weight.count() == 0 || weight[0] % shape.groups != 0) {
      throw Mismatch(std::to_string(shape.groups) + " groups, a weight of " + weight.text());
    }
    shape.outputs = weight[0];
    shape.channels = weight[1] * shape.groups;
    shape.kernel_height = weight.rank() == 4 ? weight[2] : 1;
    shape.kernel_width = weight[weight.rank() - 1];
    return shape;
  }

  Int8Conv packed(const Tensor& weight, const Tensor* zeros) const {
    check_codes(weight);
    if (weight.rank() != 3 && weight.rank() != 4) {
      throw Unsupported("a weight of " + weight.text() + ": there are one and two spatial axes");
    }
    const ConvShape shape = shape_of(weight.shape);
    const std::vector<std::int8_t> items = signed_codes(weight);
    const std::vector<std::int32_t> zero_points = signed_zeros(weight.type, zeros, shape.outputs);
    return Int8Conv(items.data(), zero_points.data(), shape);
  }

  const Node& node_;
  Places places_;
  std::unique_ptr<Int8Conv> conv_;
};

class ConvInteger final : public IntegerConv {
 public:
  explicit ConvInteger(Making& making) : IntegerConv(making, {1, 2, 3}) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    return plan_conv(planning, DType::i32);
  }
  void run(const Running& running) const override {
    run_conv(running, IntegerSums(running.output(0).as<std::int32_t>()));
  }
};

class QLinearConv final : public IntegerConv {
 public:
  explicit QLinearConv(Making& making) : IntegerConv(making, {3, 2, 5}) {}
  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& zero = planning.input(7);
    check_codes(zero);
    auto prepared = plan_conv(planning, zero.type);
    check_scale(planning.input(1), 1);
    check_scale(planning.input(4), prepared->shape.outputs);
    check_scale(planning.input(6), 1);
    check_zeros(planning, 7, zero.type, 1);
    if (planning.has(8)) {
      const Tensor& bias = planning.input(8);
      if (bias.type != DType::i32 || bias.count() != prepared->shape.outputs) {
        throw Mismatch("a bias of " + bias.text());
      }
    }
    return prepared;
  }
  void run(const Running& running) const override {
    const Requantize requantize(running.input(1), running.input(4), running.input(6),
                                integer_at(running, 7, 0));
    run_conv(running,
             CodeSums(requantize, running.has(8) ? running.input(8).as<std::int32_t>() : nullptr,
                      running.output(0)));
  }
};

}  // namespace

std::vector<Entry> integer_conv_operators() {
  const std::vector<const char*> attributes = {"auto_pad",     "dilations", "group",
                                               "kernel_shape", "pads",      "strides"};
  return {{"ConvInteger", make<ConvInteger>, attributes, 4},
          {"QLinearConv", make<QLinearConv>, attributes, 9}};
}

}  // namespace laconic::engine
