// LSTM, GRU and RNN.
#include <algorithm>

#include "engine/operators/recurrence.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

using kernels::elementwise;
using kernels::recurrent;

// Hochreiter and Schmidhuber 1997, with forget gates and, where P is given, peepholes. Gates lie in
// the order input, output, forget, candidate.
class Lstm final : public Recurrence {
 public:
  explicit Lstm(Making& making)
      : Recurrence(making, 4, {"Sigmoid", "Tanh", "Tanh"}),
        coupled_(making.node().integer("input_forget", 0) != 0) {
    prepare(making);
  }

 private:
  bool has_cell_state() const override { return true; }

  void step(const RecurrenceStep& step) const override {
    const std::int64_t H = step.shape->hidden;
    multiply(*step.weights->recurrence, step.hidden, step.product, 4 * H, step);
    for_rows(step, [&](std::int64_t row) { update(step, row); });
  }

  void update(const RecurrenceStep& step, std::int64_t row) const {
    const std::int64_t H = step.shape->hidden;
    const float* projected = step.projected + row * 4 * H;
    float *gates = step.product + row * 4 * H, *cell = step.cell + row * H;
    float *input = gates, *output = gates + H, *forget = gates + 2 * H, *candidate = gates + 3 * H;
    const float* peepholes = step.peepholes;
    const auto gate = [&](std::int64_t place, const float* peephole) {
      recurrent().gate(gates + place * H, projected + place * H, peephole, cell, limit(),
                       gates + place * H, H);
    };
    gate(0, peepholes);
    gate(2, peepholes ? peepholes + 2 * H : nullptr);
    gate(3, nullptr);
    activation(step, 0)(input, H);
    activation(step, 0)(forget, H);
    activation(step, 1)(candidate, H);
    if (coupled_) elementwise().affine(input, forget, H, -1, 1);
    recurrent().blend(forget, cell, input, candidate, cell, H);
    gate(1, peepholes ? peepholes + H : nullptr);
    activation(step, 0)(output, H);
    float* hidden = step.hidden + row * H;
    std::copy_n(cell, H, hidden);  // not clipped: as ONNX Runtime does
    activation(step, 2)(hidden, H);
    elementwise().mul(output, 1, hidden, 1, hidden, H);
  }

  bool coupled_;
};

// arXiv:1406.1078; with linear_before_reset, the reset gate scales the product instead of the
// state. Gates lie in the order update, reset, candidate.
class Gru final : public Recurrence {
 public:
  explicit Gru(Making& making)
      : Recurrence(making, 3, {"Sigmoid", "Tanh"}),
        linear_first_(making.node().integer("linear_before_reset", 0) != 0) {
    prepare(making);
  }

 private:
  std::int64_t early_gates() const override { return linear_first_ ? 3 : 2; }
  std::int64_t late_bias_gate() const override { return linear_first_ ? 2 : -1; }

  void step(const RecurrenceStep& step) const override {
    const std::int64_t H = step.shape->hidden;
    multiply(*step.weights->recurrence, step.hidden, step.product, 3 * H, step);
    for_rows(step, [&](std::int64_t row) { open_gates(step, row); });
    if (!linear_first_)
      multiply(*step.weights->late, step.gated, step.product + 2 * H, 3 * H, step);
    for_rows(step, [&](std::int64_t row) { update(step, row); });
  }

  // The update and reset gates, and what the reset gate leaves of the state or of its product.
  void open_gates(const RecurrenceStep& step, std::int64_t row) const {
    const std::int64_t H = step.shape->hidden;
    float* gates = step.product + row * 3 * H;
    recurrent().gate(gates, step.projected + row * 3 * H, nullptr, nullptr, limit(), gates, 2 * H);
    activation(step, 0)(gates, 2 * H);
    const float* reset = gates + H;
    float* candidate = gates + 2 * H;
    if (linear_first_) {
      elementwise().add(candidate, 1, step.late_bias, 1, candidate, H);
      elementwise().mul(reset, 1, candidate, 1, candidate, H);
    } else {
      elementwise().mul(reset, 1, step.hidden + row * H, 1, step.gated + row * H, H);
    }
  }

  void update(const RecurrenceStep& step, std::int64_t row) const {
    const std::int64_t H = step.shape->hidden;
    float *gates = step.product + row * 3 * H, *candidate = gates + 2 * H;
    recurrent().gate(candidate, step.projected + row * 3 * H + 2 * H, nullptr, nullptr, limit(),
                     candidate, H);
    activation(step, 1)(candidate, H);
    float* hidden = step.hidden + row * H;
    recurrent().mix(gates, candidate, hidden, hidden, H);
  }

  bool linear_first_;
};

class Rnn final : public Recurrence {
 public:
  explicit Rnn(Making& making) : Recurrence(making, 1, {"Tanh"}) { prepare(making); }

 private:
  void step(const RecurrenceStep& step) const override {
    const std::int64_t H = step.shape->hidden;
    multiply(*step.weights->recurrence, step.hidden, step.product, H, step);
    for_rows(step, [&](std::int64_t row) {
      float* hidden = step.hidden + row * H;
      recurrent().gate(step.product + row * H, step.projected + row * H, nullptr, nullptr, limit(),
                       hidden, H);
      activation(step, 0)(hidden, H);
    });
  }
};

}  // namespace

std::vector<Entry> recurrent_operators() {
  const std::vector<const char*> common = {
      "activation_alpha", "activation_beta", "activations", "clip",
      "direction",        "hidden_size",     "layout"};
  const auto with = [&](const char* name) {
    std::vector<const char*> all = common;
    all.push_back(name);
    return all;
  };
  return {
      {"GRU", make<Gru>, with("linear_before_reset"), 6},
      {"LSTM", make<Lstm>, with("input_forget"), 8},
      {"RNN", make<Rnn>, common, 6},
  };
}

}  // namespace laconic::engine
