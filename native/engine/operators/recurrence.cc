#include "engine/operators/recurrence.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <limits>

#include "kernels/best_linear.h"
#include "kernels/dense_linear.h"

namespace laconic::engine {

namespace {

// Rows of inputs that are projected at once: enough for the products, few enough for the caches.
constexpr std::int64_t CHUNK_ROWS = 64;

std::string lower(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(letter));
  return text;
}

std::int64_t chunk_steps(const RecurrenceShape& shape) {
  return std::clamp<std::int64_t>(CHUNK_ROWS / std::max<std::int64_t>(1, shape.batch), 1,
                                  std::max<std::int64_t>(1, shape.length));
}

}  // namespace

Activation::Parameters Activation::parameters(const std::string& given) {
  const std::string name = lower(given);
  if (name == "affine") return {true, true, 1, 0};
  if (name == "leakyrelu") return {true, false, 0.01, 0};
  if (name == "thresholdedrelu") return {true, false, 1, 0};
  if (name == "scaledtanh") return {true, true, 1, 1};
  if (name == "hardsigmoid") return {true, true, 0.2, 0.5};
  if (name == "elu") return {true, false, 1, 0};
  return {false, false, 0, 0};
}

namespace {

// p tanh(q x).
void scaled_tanh(const float* x, float* y, std::int64_t count, float p, float q) {
  kernels::elementwise().affine(x, y, count, q, 0);
  kernels::elementwise().tanh(y, y, count, 0, 0);
  kernels::elementwise().affine(y, y, count, p, 0);
}

}  // namespace

Activation::Activation(const std::string& given, float p, float q) : p_(p), q_(q) {
  const kernels::Elementwise& table = kernels::elementwise();
  const std::string name = lower(given);
  const struct {
    const char* name;
    kernels::Elementwise::Unary function;
  } known[] = {{"relu", table.relu},
               {"tanh", table.tanh},
               {"sigmoid", table.sigmoid},
               {"affine", table.affine},
               {"leakyrelu", table.leaky_relu},
               {"thresholdedrelu", table.thresholded_relu},
               {"scaledtanh", scaled_tanh},
               {"hardsigmoid", table.hard_sigmoid},
               {"elu", table.elu},
               {"softsign", table.softsign},
               {"softplus", table.softplus}};
  function_ = nullptr;
  for (const auto& one : known) {
    if (name == one.name) function_ = one.function;
  }
  if (function_ == nullptr) throw Unsupported("no activation is named " + given);
}

Recurrence::Recurrence(Making& making, std::int64_t gates, std::vector<std::string> defaults)
    : operation_(making.node().operation),
      gates_(gates),
      hidden_(making.node().integer("hidden_size", 0)),
      batch_first_(making.node().integer("layout", 0) != 0),
      limit_(
          static_cast<float>(making.node().real("clip", std::numeric_limits<double>::infinity()))),
      per_direction_(defaults.size()) {
  const Node& node = making.node();
  const std::string direction = node.text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
    throw Mismatch("direction is " + direction + ", not forward, reverse or bidirectional");
  }
  directions_ = direction == "bidirectional" ? 2 : 1;
  backward_ = direction == "reverse";
  std::vector<std::string> names = node.texts("activations");
  if (names.empty()) {
    for (std::int64_t i = 0; i < directions_; ++i) {
      names.insert(names.end(), defaults.begin(), defaults.end());
    }
  }
  if (names.size() != per_direction_ * static_cast<std::size_t>(directions_)) {
    throw Mismatch(std::to_string(names.size()) + " activations, not " +
                   std::to_string(per_direction_) + " for each direction");
  }
  // The functions take what they need from the two lists, in order.
  const std::vector<double> alphas = node.reals("activation_alpha");
  const std::vector<double> betas = node.reals("activation_beta");
  std::size_t alpha = 0, beta = 0;
  for (const std::string& name : names) {
    const Activation::Parameters takes = Activation::parameters(name);
    double p = takes.alpha_default, q = takes.beta_default;
    if (takes.alpha && alpha < alphas.size()) p = alphas[alpha++];
    if (takes.beta && beta < betas.size()) q = betas[beta++];
    activations_.emplace_back(name, static_cast<float>(p), static_cast<float>(q));
  }
}

RecurrenceShape Recurrence::shape_of(const Tensor& x, const Tensor& w, const Tensor& r) const {
  if (x.type != DType::f32) throw Mismatch("float32 is needed, found " + x.text());
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3) {
    throw Mismatch("X, W and R have three dimensions, found " + x.text() + ", " + w.text() +
                   " and " + r.text());
  }
  if (w.count() == 0 || r.count() == 0) {
    throw Mismatch("weights without items, " + w.text() + " and " + r.text());
  }
  RecurrenceShape shape;
  shape.batch_first = batch_first_;
  shape.length = x.shape[batch_first_ ? 1 : 0];
  shape.batch = x.shape[batch_first_ ? 0 : 1];
  shape.features = x.shape[2];
  shape.hidden = r.shape[2];
  shape.gates = gates_;
  shape.directions = directions_;
  const std::int64_t rows = gates_ * shape.hidden;
  if (w.shape != Shape{directions_, rows, shape.features} ||
      r.shape != Shape{directions_, rows, shape.hidden} ||
      (hidden_ != 0 && hidden_ != shape.hidden)) {
    throw Mismatch("X of " + x.text() + ", W of " + w.text() + " and R of " + r.text() +
                   " do not fit " + std::to_string(directions_) + " direction(s)");
  }
  return shape;
}

DirectionWeights Recurrence::weights_of(const float* w, const float* r,
                                        const RecurrenceShape& shape, std::int64_t w_rows,
                                        std::int64_t r_rows, bool dense) const {
  const auto pack = [&](const float* values, std::int64_t outputs, std::int64_t depth,
                        std::int64_t rows) {
    return dense ? kernels::dense_linear(values, outputs, depth)
                 : kernels::best_linear(values, outputs, depth, rows);
  };
  const std::int64_t early = early_gates() * shape.hidden;
  const std::int64_t all = shape.gates * shape.hidden;
  DirectionWeights out;
  out.input = pack(w, all, shape.features, w_rows);
  out.recurrence = pack(r, early, shape.hidden, r_rows);
  if (early < all) out.late = pack(r + early * shape.hidden, all - early, shape.hidden, r_rows);
  return out;
}

void Recurrence::prepare(Making& making) {
  const Tensor *w = making.constant_input(1), *r = making.constant_input(2);
  if (w == nullptr || r == nullptr || w->type != DType::f32 || r->type != DType::f32) return;
  RecurrenceShape shape;
  const Tensor* trial = making.trial_input(0);
  Tensor x{DType::f32, {1, 1, 0}, nullptr};
  if (trial != nullptr && trial->rank() == 3) x = *trial;
  if (w->rank() == 3) x.shape[2] = w->shape[2];  // the program may leave it open
  shape = shape_of(x, *w, *r);
  // A batch that is left open is taken as one sequence.
  const bool open = making.trial_input(0) == nullptr ||
                    (batch_first_ ? shape.batch == TRIAL_BATCH : shape.batch > CHUNK_ROWS / 2);
  const std::int64_t batch = open ? 1 : shape.batch;
  const std::int64_t rows = std::clamp<std::int64_t>(batch * shape.length, 1, CHUNK_ROWS);
  for (std::int64_t direction = 0; direction < directions_; ++direction) {
    const std::int64_t gate_rows = direction * gates_ * shape.hidden;
    weights_.push_back(weights_of(w->as<float>() + gate_rows * shape.features,
                                  r->as<float>() + gate_rows * shape.hidden, shape, rows, batch,
                                  false));
  }
  making.consumed(making.node().input(1));
  making.consumed(making.node().input(2));
}

std::size_t Recurrence::bytes() const {
  std::size_t out = 0;
  for (const DirectionWeights& one : weights_) {
    out += one.input->bytes() + one.recurrence->bytes() + (one.late ? one.late->bytes() : 0);
  }
  return out;
}

std::string Recurrence::form() const {
  return weights_.empty() ? "" : weights_.front().recurrence->form();
}

std::size_t Recurrence::linear_scratch(const DirectionWeights& weights,
                                       const RecurrenceShape& shape, int threads) const {
  const std::size_t late = weights.late ? weights.late->scratch_bytes(shape.batch, threads) : 0;
  return std::max({weights.input->scratch_bytes(shape.batch * chunk_steps(shape), threads),
                   weights.recurrence->scratch_bytes(shape.batch, threads), late});
}

// Floats of each part of the scratch, one after the other; bytes of the products' own behind them.
struct Recurrence::Layout {
  std::int64_t inputs, projected, product, gated, hidden, cell, bias, late_bias;
  std::int64_t active_bytes;
  std::size_t linear_bytes;

  std::size_t bytes() const {
    const std::int64_t floats =
        inputs + projected + product + gated + hidden + cell + bias + late_bias;
    return static_cast<std::size_t>(floats) * sizeof(float) +
           static_cast<std::size_t>(active_bytes) + linear_bytes;
  }
};

Recurrence::Layout Recurrence::layout_of(const RecurrenceShape& shape,
                                         std::size_t linear_scratch) const {
  const auto up = [](std::int64_t count) { return (count + 15) / 16 * 16; };
  const std::int64_t rows = shape.batch * chunk_steps(shape);
  const std::int64_t wide = shape.gates * shape.hidden;
  return {up(rows * shape.features),
          up(rows * wide),
          up(shape.batch * wide),
          up(shape.batch * shape.hidden),
          up(shape.batch * shape.hidden),
          up(shape.batch * shape.hidden),
          up(wide),
          up(shape.hidden),
          (shape.batch + 63) / 64 * 64,
          linear_scratch};
}

std::unique_ptr<Prepared> Recurrence::plan(Planning& planning) const {
  const RecurrenceShape shape = shape_of(planning.input(0), planning.input(1), planning.input(2));
  const std::int64_t D = shape.directions, H = shape.hidden, B = shape.batch;
  const Shape state = batch_first_ ? Shape{B, D, H} : Shape{D, B, H};
  const auto check = [&](int index, const Shape& wanted, DType type, const char* name) {
    if (!planning.has(index)) return;
    const Tensor& found = planning.input(index);
    if (found.shape != wanted || found.type != type) {
      throw Mismatch(std::string(name) + " is " + found.text() + ", not " + name_of(type) +
                     wanted.text());
    }
  };
  check(3, {D, 2 * shape.gates * H}, DType::f32, "B");
  check(4, {B}, DType::i32, "sequence_lens");
  check(5, state, DType::f32, "initial_h");
  check(6, state, DType::f32, "initial_c");
  check(7, {D, 3 * H}, DType::f32, "P");
  if (planning.wants(0)) {
    planning.output(0, DType::f32,
                    batch_first_ ? Shape{B, shape.length, D, H} : Shape{shape.length, D, B, H});
  }
  if (planning.wants(1)) planning.output(1, DType::f32, state);
  if (planning.wants(2) && has_cell_state()) planning.output(2, DType::f32, state);
  std::size_t linear = 0;
  for (const DirectionWeights& one : weights_) {
    linear = std::max(linear, linear_scratch(one, shape, planning.threads()));
  }
  if (!weights_.empty()) planning.scratch(layout_of(shape, linear).bytes());
  return nullptr;
}

void Recurrence::run(const Running& running) const {
  const RecurrenceShape shape = shape_of(running.input(0), running.input(1), running.input(2));
  for (int direction = 0; direction < shape.directions; ++direction) {
    if (!weights_.empty()) {
      run_direction(running, shape, weights_[static_cast<std::size_t>(direction)], direction,
                    running.scratch());
      continue;
    }
    // Weights that are computed are packed for this run.
    const std::int64_t gate_rows = direction * shape.gates * shape.hidden;
    const DirectionWeights weights =
        weights_of(running.input(1).as<float>() + gate_rows * shape.features,
                   running.input(2).as<float>() + gate_rows * shape.hidden, shape, 1, 1, true);
    const Buffer scratch(
        layout_of(shape, linear_scratch(weights, shape, running.pool().threads())).bytes());
    run_direction(running, shape, weights, direction, scratch.data());
  }
}

void Recurrence::multiply(const kernels::LinearWeights& weights, const float* x, float* y,
                          std::int64_t y_stride, const RecurrenceStep& step) const {
  weights.run(x, step.shape->hidden, y, y_stride, step.shape->batch, kernels::Epilogue(),
              step.scratch, *step.pool);
}

void Recurrence::run_direction(const Running& running, const RecurrenceShape& shape,
                               const DirectionWeights& weights, int direction,
                               std::byte* scratch) const {
  const std::int64_t B = shape.batch, H = shape.hidden, T = shape.length, I = shape.features;
  const std::int64_t wide = shape.gates * H, D = shape.directions;
  const Layout layout = layout_of(shape, 0);
  float* inputs = reinterpret_cast<float*>(scratch);
  float* projected = inputs + layout.inputs;
  RecurrenceStep step = {};
  step.weights = &weights;
  step.shape = &shape;
  step.direction = direction;
  step.product = projected + layout.projected;
  step.gated = step.product + layout.product;
  step.hidden = step.gated + layout.gated;
  step.cell = step.hidden + layout.hidden;
  float* bias = step.cell + layout.cell;
  float* late_bias = bias + layout.bias;
  auto* active = reinterpret_cast<std::uint8_t*>(late_bias + layout.late_bias);
  step.active = active;
  step.scratch = reinterpret_cast<std::byte*>(active + layout.active_bytes);
  step.pool = &running.pool();
  if (running.has(7)) step.peepholes = running.input(7).as<float>() + direction * 3 * H;

  // Both biases go in with the projection, but for a gate that uses its recurrent one itself.
  std::fill(bias, bias + wide, 0.0f);
  std::fill(late_bias, late_bias + H, 0.0f);
  if (running.has(3)) {
    const float* both = running.input(3).as<float>() + direction * 2 * wide;
    for (std::int64_t i = 0; i < wide; ++i) {
      const bool late = late_bias_gate() >= 0 && i / H == late_bias_gate();
      bias[i] = both[i] + (late ? 0.0f : both[wide + i]);
      if (late) late_bias[i % H] = both[wide + i];
    }
  }
  step.late_bias = late_bias;

  const auto state_row = [&](std::int64_t row) {
    return (batch_first_ ? row * D + direction : direction * B + row) * H;
  };
  const auto begin_with = [&](int input, float* state) {
    std::fill(state, state + B * H, 0.0f);
    if (!running.has(input)) return;
    const float* initial = running.input(input).as<float>();
    for (std::int64_t row = 0; row < B; ++row) {
      std::copy_n(initial + state_row(row), H, state + row * H);
    }
  };
  begin_with(5, step.hidden);
  if (has_cell_state()) begin_with(6, step.cell);

  const float* x = running.input(0).as<float>();
  float* y = running.wants(0) ? running.output(0).as<float>() : nullptr;
  const std::int32_t* lengths = running.has(4) ? running.input(4).as<std::int32_t>() : nullptr;
  const bool backward = backward_ || direction == 1;
  const auto length_of = [&](std::int64_t row) {
    return lengths == nullptr ? T : std::clamp<std::int64_t>(lengths[row], 0, T);
  };
  const std::int64_t steps = chunk_steps(shape);
  for (std::int64_t first = 0; first < T; first += steps) {
    const std::int64_t count = std::min(steps, T - first);
    for (std::int64_t s = 0; s < count; ++s) {
      for (std::int64_t row = 0; row < B; ++row) {
        float* to = inputs + (s * B + row) * I;
        const std::int64_t length = length_of(row);
        if (first + s >= length) {
          std::fill(to, to + I, 0.0f);
          continue;
        }
        const std::int64_t t = backward ? length - 1 - first - s : first + s;
        std::copy_n(x + (batch_first_ ? row * T + t : t * B + row) * I, I, to);
      }
    }
    kernels::Epilogue epilogue;
    epilogue.bias = bias;
    weights.input->run(inputs, I, projected, wide, count * B, epilogue, step.scratch,
                       running.pool());
    for (std::int64_t s = 0; s < count; ++s) {
      for (std::int64_t row = 0; row < B; ++row) active[row] = first + s < length_of(row);
      step.projected = projected + s * B * wide;
      this->step(step);
      if (y == nullptr) continue;
      for (std::int64_t row = 0; row < B; ++row) {
        const std::int64_t length = length_of(row);
        const bool on = first + s < length;
        const std::int64_t t = backward && on ? length - 1 - first - s : first + s;
        float* to =
            y + (batch_first_ ? (row * T + t) * D + direction : (t * D + direction) * B + row) * H;
        if (on) {
          std::copy_n(step.hidden + row * H, H, to);
        } else {
          std::fill(to, to + H, 0.0f);
        }
      }
    }
  }
  const auto end_with = [&](int output, const float* state) {
    if (!running.wants(output)) return;
    float* out = running.output(output).as<float>();
    for (std::int64_t row = 0; row < B; ++row) {
      std::copy_n(state + row * H, H, out + state_row(row));
    }
  };
  end_with(1, step.hidden);
  if (has_cell_state()) end_with(2, step.cell);
}

}  // namespace laconic::engine
