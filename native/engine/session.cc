#include "engine/session.h"

#include <algorithm>
#include <exception>

#include "engine/split_batch.h"

namespace laconic::engine {

namespace {

// A batch of at least so many images is cut into parts. The number of threads must not matter.
constexpr std::int64_t LEAST_CUT = 4;

// Images begin to before end of a batch.
Tensor part_of(const Tensor& batch, std::int64_t begin, std::int64_t end) {
  Tensor out = batch;
  const std::size_t image =
      static_cast<std::size_t>(batch.shape.count(1, batch.rank())) * size_of(batch.type);
  out.shape[0] = end - begin;
  out.data = static_cast<std::byte*>(batch.data) + image * static_cast<std::size_t>(begin);
  return out;
}

}  // namespace

// What the first half made of a whole batch.
struct Session::Halfway {
  std::vector<Buffer> memory;
  std::vector<Tensor> values;

  // Room for so many parts like this one, one behind the other.
  void make_room(const std::vector<Tensor>& part, std::int64_t parts) {
    memory.resize(part.size());
    values = part;
    for (std::size_t i = 0; i < part.size(); ++i) {
      values[i].shape[0] *= parts;
      values[i].data = memory[i].grow(values[i].bytes());
    }
  }
  void store(const std::vector<Tensor>& part, std::int64_t begin) const {
    for (std::size_t i = 0; i < part.size(); ++i) {
      const Tensor place = part_of(values[i], begin, begin + part[i].shape[0]);
      std::copy_n(static_cast<const std::byte*>(part[i].data), part[i].bytes(),
                  static_cast<std::byte*>(place.data));
    }
  }
};

Session::Session(const Graph& graph, const Options& options) {
  auto split = split_batch(graph);
  if (!split) {
    second_ = std::make_unique<Program>(graph, options);
    return;
  }
  first_ = std::make_unique<Program>(split->first, options);
  const std::vector<Input>& made = first_->outputs();
  std::copy(made.rbegin(), made.rend(), split->second.inputs.rbegin());
  second_ = std::make_unique<Program>(split->second, options);
  for (const Input& input : first_->graph().inputs) {
    const auto same = [&](const Input& other) { return other.value == input.value; };
    const auto at = std::find_if(graph.inputs.begin(), graph.inputs.end(), same);
    first_inputs_.push_back(static_cast<std::size_t>(at - graph.inputs.begin()));
  }
}

Session::~Session() = default;

void Session::run(const std::vector<Tensor>& inputs, Pool& pool, const Program::Take& take,
                  const Program::Watch& watch) {
  const Pool::Awake awake(pool);
  if (first_ == nullptr) return second_->run(inputs, pool, take, watch);
  const std::size_t all = second_->graph().inputs.size() - first_->graph().outputs.size();
  if (inputs.size() != all) {
    throw Mismatch("the program takes " + std::to_string(all) + " inputs, not " +
                   std::to_string(inputs.size()));
  }
  std::unique_ptr<Halfway> halfway = borrow();
  std::vector<Tensor> mine;
  for (std::size_t at : first_inputs_) mine.push_back(inputs[at]);
  run_first(mine, pool, *halfway, watch);
  std::vector<Tensor> rest = inputs;
  rest.insert(rest.end(), halfway->values.begin(), halfway->values.end());
  const int nodes = static_cast<int>(first_->graph().nodes.size());
  Program::Watch later;
  if (watch) later = [&](int node) { watch(nodes + node); };
  second_->run(rest, pool, take, later);
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(halfway));
}

std::unique_ptr<Session::Halfway> Session::borrow() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.empty()) return std::make_unique<Halfway>();
  std::unique_ptr<Halfway> found = std::move(idle_.back());
  idle_.pop_back();
  return found;
}

void Session::run_first(const std::vector<Tensor>& inputs, Pool& pool, Halfway& halfway,
                        const Program::Watch& watch) {
  const std::int64_t batch = inputs[0].rank() > 0 ? inputs[0].shape[0] : 0;
  const bool one_batch = std::all_of(inputs.begin(), inputs.end(), [&](const Tensor& input) {
    return input.rank() > 0 && input.shape[0] == batch;
  });
  const bool cut = one_batch && batch >= LEAST_CUT && !watch;
  const auto first_part = [&](const std::vector<Tensor>& made) {
    halfway.make_room(made, cut ? batch : 1);
    halfway.store(made, 0);
  };
  if (!cut) return first_->run(inputs, pool, first_part, watch);
  std::vector<Tensor> image;
  for (const Tensor& input : inputs) image.push_back(part_of(input, 0, 1));
  first_->run(image, pool, first_part);
  std::exception_ptr fault;
  std::mutex fault_mutex;
  pool.split(batch - 1, [&](std::int64_t begin, std::int64_t end, int) {
    try {
      run_part(inputs, begin + 1, end + 1, pool, halfway);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(fault_mutex);
      fault = std::current_exception();
    }
  });
  if (fault) std::rethrow_exception(fault);
}

// Images begin to before end, one by one: whatever the threads are, each is computed alone.
void Session::run_part(const std::vector<Tensor>& inputs, std::int64_t begin, std::int64_t end,
                       Pool& pool, Halfway& halfway) {
  std::vector<Tensor> image(inputs.size());
  for (std::int64_t i = begin; i < end; ++i) {
    for (std::size_t j = 0; j < inputs.size(); ++j) image[j] = part_of(inputs[j], i, i + 1);
    first_->run(image, pool, [&](const std::vector<Tensor>& made) { halfway.store(made, i); });
  }
}

std::vector<Layer> Session::layers() const {
  std::vector<Layer> out;
  int nodes = 0;
  if (first_ != nullptr) {
    out = first_->layers();
    nodes = static_cast<int>(first_->graph().nodes.size());
  }
  for (Layer layer : second_->layers()) {
    layer.node += nodes;
    out.push_back(layer);
  }
  return out;
}

std::size_t Session::constant_bytes() const {
  return second_->constant_bytes() + (first_ == nullptr ? 0 : first_->constant_bytes());
}

std::size_t Session::arena_bytes() const {
  return second_->arena_bytes() + (first_ == nullptr ? 0 : first_->arena_bytes());
}

}  // namespace laconic::engine
