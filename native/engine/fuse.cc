#include "engine/fuse.h"

#include <algorithm>
#include <cmath>

namespace laconic::engine {

namespace {

class Fuser {
 public:
  Fuser(Graph& graph, int index, std::int64_t outputs, int rank, const Tensor* bias,
        const Surroundings& around)
      : graph_(graph),
        index_(index),
        outputs_(outputs),
        rank_(rank),
        made_(node().outputs[0]),
        bias_(bias),
        around_(around) {}

  bool run() {
    bool any = false;
    while (fuse_one()) any = true;
    return any;
  }

 private:
  Node& node() { return graph_.nodes[static_cast<std::size_t>(index_)]; }

  // The only reader of the node's output, or null.
  Node* reader() {
    const Value out = node().outputs[0];
    if (std::count(graph_.outputs.begin(), graph_.outputs.end(), out) > 0) return nullptr;
    Node* found = nullptr;
    for (Node& other : graph_.nodes) {
      const auto reads = std::count(other.inputs.begin(), other.inputs.end(), out);
      if (reads == 0) continue;
      if (reads > 1 || found != nullptr) return nullptr;
      found = &other;
    }
    return found;
  }

  bool fuse_one() {
    Node* next = reader();
    if (next == nullptr || bounded_) return false;
    const auto& made = next->outputs;
    if (std::count(made.begin(), made.end(), NONE) + 1 != static_cast<std::ptrdiff_t>(made.size()))
      return false;
    const bool fused = next->operation == "BatchNormalization" ? normalisation(*next)
                       : next->operation == "Relu"             ? relu()
                       : next->operation == "Clip"             ? clip(*next)
                                                               : arithmetic(*next);
    if (!fused) return false;
    node().outputs[0] = next->outputs[0];
    *next = Node();
    next->operation = NOTHING;
    return true;
  }

  // y = factor * y + shift for one channel; the node's own bias comes first.
  void rescale(std::size_t channel, double factor, double shift) {
    float& bias = node().fusion.bias[channel];
    if (factor != 1.0) node().fusion.scale[channel] *= static_cast<float>(factor);
    bias = static_cast<float>(bias * factor + shift);
  }
  void begin_scaling(bool scaled) {
    Fusion& fusion = node().fusion;
    const auto size = static_cast<std::size_t>(outputs_);
    if (scaled && fusion.scale.empty()) fusion.scale.assign(size, 1.0f);
    if (!fusion.bias.empty()) return;
    fusion.bias.assign(size, 0.0f);
    if (bias_ == nullptr) return;
    for (std::size_t i = 0; i < size; ++i) {
      fusion.bias[i] = bias_->as<float>()[bias_->count() == 1 ? 0 : i];
    }
  }

  bool normalisation(const Node& next) {
    const Tensor* gamma = around_.constant(next.input(1));
    const Tensor* beta = around_.constant(next.input(2));
    const Tensor* mean = around_.constant(next.input(3));
    const Tensor* variance = around_.constant(next.input(4));
    if (added_ || channel_axis() != 1 || next.integer("training_mode", 0) != 0) return false;
    for (const Tensor* item : {gamma, beta, mean, variance}) {
      if (item == nullptr || item->type != DType::f32 || item->count() != outputs_) return false;
    }
    begin_scaling(true);
    const double epsilon = next.real("epsilon", 1e-5);
    for (std::size_t i = 0; i < static_cast<std::size_t>(outputs_); ++i) {
      const double factor = gamma->as<float>()[i] /
                            std::sqrt(static_cast<double>(variance->as<float>()[i]) + epsilon);
      rescale(i, factor, beta->as<float>()[i] - mean->as<float>()[i] * factor);
    }
    return true;
  }

  bool relu() {
    node().fusion.low = 0;
    bounded_ = true;
    return true;
  }

  bool clip(const Node& next) {
    float low = -INFINITY, high = INFINITY;
    for (const auto& [place, bound] : {std::pair<std::size_t, float*>{1, &low}, {2, &high}}) {
      if (next.input(place) == NONE) continue;
      const Tensor* value = around_.constant(next.input(place));
      if (value == nullptr || value->type != DType::f32 || value->count() != 1) return false;
      *bound = *value->as<float>();
    }
    node().fusion.low = low;
    node().fusion.high = high;
    bounded_ = true;
    return true;
  }

  // Where the channels of the output lie.
  int channel_axis() { return node().operation == "Conv" ? 1 : rank_ - 1; }

  // Add, Sub or Mul with one constant for each channel, or Add of a tensor like the output.
  bool arithmetic(const Node& next) {
    const bool add = next.operation == "Add", mul = next.operation == "Mul";
    const bool sub = next.operation == "Sub" && next.inputs[0] == node().outputs[0];
    if ((!add && !mul && !sub) || added_ || next.inputs.size() != 2) return false;
    const Value other = next.inputs[next.inputs[0] == node().outputs[0] ? 1 : 0];
    const Tensor* value = around_.constant(other);
    if (value != nullptr && value->type == DType::f32 && for_each_channel(value->shape)) {
      begin_scaling(mul);
      for (std::size_t i = 0; i < static_cast<std::size_t>(outputs_); ++i) {
        const float item = value->as<float>()[value->count() == 1 ? 0 : i];
        rescale(i, mul ? item : 1.0, add ? item : sub ? -item : 0.0);
      }
      return true;
    }
    if (!add || value != nullptr || !around_.alike(other, made_)) return false;
    node().fusion.addend = other;
    node().inputs.push_back(other);  // so that planning keeps it alive
    added_ = true;
    return true;
  }

  bool for_each_channel(const Shape& shape) {
    if (shape.rank() > rank_) return false;
    if (shape.count() == 1) return true;
    const int axis = channel_axis() - (rank_ - shape.rank());
    return axis >= 0 && shape[axis] == outputs_ && shape.count() == outputs_;
  }

  Graph& graph_;
  int index_;
  std::int64_t outputs_;
  int rank_;
  Value made_;  // the output as it was, whose type and shape it keeps
  const Tensor* bias_;
  const Surroundings& around_;
  bool added_ = false, bounded_ = false;
};

}  // namespace

bool fuse_following(Graph& graph, int index, std::int64_t outputs, int rank, const Tensor* bias,
                    const Surroundings& around) {
  return Fuser(graph, index, outputs, rank, bias, around).run();
}

}  // namespace laconic::engine
