// What LSTM, GRU and RNN share: directions, sequences of their own lengths, weights in any form.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/operator.h"
#include "kernels/elementwise.h"
#include "kernels/layers.h"
#include "kernels/recurrent.h"

namespace laconic::engine {

// An activation of ONNX's list, with its parameters.
class Activation {
 public:
  Activation(const std::string& name, float p, float q);
  void operator()(float* x, std::int64_t count) const { function_(x, x, count, p_, q_); }
  // How many of `alpha` and `beta` the named function takes, and what stands for absent ones.
  struct Parameters {
    bool alpha, beta;
    double alpha_default, beta_default;
  };
  static Parameters parameters(const std::string& name);

 private:
  kernels::Elementwise::Unary function_;
  float p_, q_;
};

// The weights of one direction. A cell may ask for the recurrence in two parts.
struct DirectionWeights {
  std::unique_ptr<kernels::LinearWeights> input;       // [gates * hidden, features]
  std::unique_ptr<kernels::LinearWeights> recurrence;  // [first gates * hidden, hidden]
  std::unique_ptr<kernels::LinearWeights> late;        // [the other gates * hidden, hidden]
};

// Sizes: X is [length, batch, features], or [batch, length, features] where batch comes first.
struct RecurrenceShape {
  std::int64_t length = 0, batch = 0, features = 0, hidden = 0, gates = 0, directions = 0;
  bool batch_first = false;
};

// One step of one direction for every row of the batch.
struct RecurrenceStep {
  const DirectionWeights* weights;
  const RecurrenceShape* shape;
  int direction;
  const float* projected;      // [batch][gates * hidden]: input times weights, plus biases
  const float* late_bias;      // [hidden]: what a cell adds to the late product itself, or null
  const float* peepholes;      // [3 * hidden] or null
  const std::uint8_t* active;  // [batch]: whether the row's sequence goes on
  float *hidden, *cell;        // [batch][hidden], updated for the active rows
  float *product, *gated;      // [batch][gates * hidden] and [batch][hidden] of scratch
  std::byte* scratch;
  Pool* pool;
};

// Input `bias` and what follows lie where ONNX has them: X, W, R, B, sequence_lens, initial_h,
// initial_c, P.
class Recurrence : public Operator {
 public:
  // `activations` are the defaults of one direction.
  Recurrence(Making& making, std::int64_t gates, std::vector<std::string> activations);
  std::unique_ptr<Prepared> plan(Planning& planning) const override;
  void run(const Running& running) const override;
  std::size_t bytes() const override;
  std::string form() const override;

 protected:
  virtual void step(const RecurrenceStep& step) const = 0;
  // How many gates' recurrence is known before the step begins; the others come late.
  virtual std::int64_t early_gates() const { return gates_; }
  // The gate whose recurrent bias the cell adds itself; -1: none.
  virtual std::int64_t late_bias_gate() const { return -1; }
  virtual bool has_cell_state() const { return false; }

  const Activation& activation(const RecurrenceStep& step, std::size_t index) const {
    return activations_[static_cast<std::size_t>(step.direction) * per_direction_ + index];
  }
  float limit() const { return limit_; }
  void multiply(const kernels::LinearWeights& weights, const float* x, float* y,
                std::int64_t y_stride, const RecurrenceStep& step) const;
  // Calls body(row) for every active row, spread over the threads.
  template <typename Body>
  static void for_rows(const RecurrenceStep& step, const Body& body) {
    step.pool->split(step.shape->batch, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        if (step.active[row]) body(row);
      }
    });
  }
  // After the subclass knows its gates: packs constant weights.
  void prepare(Making& making);

 private:
  struct Layout;
  RecurrenceShape shape_of(const Tensor& x, const Tensor& w, const Tensor& r) const;
  Layout layout_of(const RecurrenceShape& shape, std::size_t linear_scratch) const;
  DirectionWeights weights_of(const float* w, const float* r, const RecurrenceShape& shape,
                              std::int64_t w_rows, std::int64_t r_rows, bool dense) const;
  std::size_t linear_scratch(const DirectionWeights& weights, const RecurrenceShape& shape,
                             int threads) const;
  void run_direction(const Running& running, const RecurrenceShape& shape,
                     const DirectionWeights& weights, int direction, std::byte* scratch) const;

  std::string operation_;
  std::int64_t gates_, hidden_, directions_;
  bool batch_first_, backward_;
  float limit_;
  std::size_t per_direction_;
  std::vector<Activation> activations_;
  std::vector<DirectionWeights> weights_;  // empty where they are no constants
};

}  // namespace laconic::engine
