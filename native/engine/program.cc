#include "engine/program.h"

#include <algorithm>

namespace laconic::engine {

namespace {

// Plans for so many sets of input shapes are kept; the least recently used goes first.
constexpr std::size_t MOST_PLANS = 8;

}  // namespace

struct Program::Planned {
  std::vector<Tensor> inputs;  // types and shapes that it was made for
  int threads = 1;
  std::unique_ptr<Plan> plan;

  bool fits(const std::vector<Tensor>& others, int other_threads) const {
    return threads == other_threads &&
           std::equal(inputs.begin(), inputs.end(), others.begin(), others.end(),
                      [](const Tensor& a, const Tensor& b) {
                        return a.type == b.type && a.shape == b.shape;
                      });
  }
};

// The memory of one call, kept for the next.
struct Program::Workspace {
  std::shared_ptr<const Planned> planned;
  Buffer arena;
  std::vector<Tensor> values;
  // For each step, where its inputs and outputs lie among `values`.
  std::vector<std::vector<const Tensor*>> inputs, outputs;
  // Of steps that are planned in the run: memory for values and what they prepared.
  std::vector<Buffer> heap;
  Buffer scratch;
  std::vector<std::shared_ptr<const void>> owners;
};

Program::Program(Graph graph, const Options& options) : graph_(std::move(graph)) {
  require_operators();
  // Operators write their first output even where nobody reads it.
  for (Node& node : graph_.nodes) {
    if (node.outputs.empty()) node.outputs.push_back(NONE);
    if (node.outputs[0] == NONE) node.outputs[0] = graph_.add("");
  }
  compile(options);
}

Program::~Program() = default;

void Program::run(const std::vector<Tensor>& inputs, Pool& pool, const Take& take,
                  const Watch& watch) {
  if (inputs.size() != graph_.inputs.size()) {
    throw Mismatch("the program takes " + std::to_string(graph_.inputs.size()) + " inputs, not " +
                   std::to_string(inputs.size()));
  }
  std::unique_ptr<Workspace> workspace = borrow(inputs, pool.threads());
  const Plan& plan = *workspace->planned->plan;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    workspace->values[static_cast<std::size_t>(graph_.inputs[i].value)].data = inputs[i].data;
  }
  for (const auto& [view, input] : plan.views_of_inputs) {
    workspace->values[static_cast<std::size_t>(view)].data =
        workspace->values[static_cast<std::size_t>(input)].data;
  }
  execute(*workspace, pool, watch);
  std::vector<Tensor> outputs;
  for (Value value : graph_.outputs) {
    outputs.push_back(workspace->values[static_cast<std::size_t>(value)]);
  }
  take(outputs);
  give_back(std::move(workspace));
}

void Program::execute(Workspace& workspace, Pool& pool, const Watch& watch) const {
  const Plan& plan = *workspace.planned->plan;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    if (step.makes_nothing) {
      // Kernels need not know empty images.
    } else if (step.dynamic) {
      run_dynamically(workspace, i, pool);
    } else {
      const auto& inputs = workspace.inputs[i];
      const auto& outputs = workspace.outputs[i];
      operators_[static_cast<std::size_t>(step.node)]->run(
          Running(inputs.data(), static_cast<int>(inputs.size()), outputs.data(),
                  static_cast<int>(outputs.size()), step.prepared.get(),
                  workspace.arena.data() + step.scratch_place, pool));
    }
    if (watch) watch(step.node);
  }
}

void Program::run_dynamically(Workspace& workspace, std::size_t index, Pool& pool) const {
  const Step& step = workspace.planned->plan->steps[index];
  const auto node_index = static_cast<std::size_t>(step.node);
  const Node& node = graph_.nodes[node_index];
  const auto& inputs = workspace.inputs[index];
  const auto& outputs = workspace.outputs[index];
  Planning planning(node, inputs, pool.threads());
  std::unique_ptr<Prepared> prepared;
  try {
    prepared = operators_[node_index]->plan(planning);
    planning.require_wanted();
  } catch (const Mismatch& error) {
    throw Mismatch(blame(graph_, step.node, inputs, error.what()));
  }
  bool filled = true;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == NONE) continue;
    const auto at = static_cast<std::size_t>(node.outputs[i]);
    const Planning::Output& result = planning.results()[i];
    Tensor& tensor = workspace.values[at];
    tensor = result.tensor;
    if (result.owner != nullptr) {
      workspace.owners.push_back(result.owner);
      continue;
    }
    tensor.data = workspace.heap[at].grow(tensor.bytes());
    if (result.alias != NONE) {
      const auto* from = static_cast<const std::byte*>(planning.input(result.alias).data);
      std::copy_n(from, tensor.bytes(), static_cast<std::byte*>(tensor.data));
    } else {
      filled = false;
    }
  }
  if (filled || planning.makes_nothing()) return;
  std::byte* scratch = workspace.scratch.grow(planning.scratch_bytes());
  operators_[node_index]->run(Running(inputs.data(), static_cast<int>(inputs.size()),
                                      outputs.data(), static_cast<int>(outputs.size()),
                                      prepared.get(), scratch, pool));
}

std::unique_ptr<Program::Workspace> Program::borrow(const std::vector<Tensor>& inputs,
                                                    int threads) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto& candidate : idle_) {
      if (candidate->planned->fits(inputs, threads)) {
        std::unique_ptr<Workspace> found = std::move(candidate);
        candidate = std::move(idle_.back());
        idle_.pop_back();
        return found;
      }
    }
  }
  auto made = std::make_unique<Workspace>();
  made->planned = planned_for(inputs, threads);
  const Plan& plan = *made->planned->plan;
  made->arena = Buffer(plan.arena_bytes);
  made->values = plan.values;
  made->heap.resize(plan.values.size());
  for (std::size_t i = 0; i < plan.values.size(); ++i) {
    if (plan.places[i] >= 0) made->values[i].data = made->arena.data() + plan.places[i];
  }
  const auto pointers = [&](const std::vector<Value>& which) {
    std::vector<const Tensor*> out;
    for (Value value : which) {
      out.push_back(value == NONE ? nullptr : &made->values[static_cast<std::size_t>(value)]);
    }
    return out;
  };
  for (const Step& step : plan.steps) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(step.node)];
    made->inputs.push_back(pointers(node.inputs));
    made->outputs.push_back(pointers(node.outputs));
  }
  return made;
}

std::shared_ptr<const Program::Planned> Program::planned_for(const std::vector<Tensor>& inputs,
                                                             int threads) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      if (!plans_[i]->fits(inputs, threads)) continue;
      std::rotate(plans_.begin() + static_cast<std::ptrdiff_t>(i),
                  plans_.begin() + static_cast<std::ptrdiff_t>(i) + 1, plans_.end());
      return plans_.back();
    }
  }
  auto made = std::make_shared<Planned>();
  made->inputs = inputs;
  made->threads = threads;
  for (Tensor& input : made->inputs) input.data = nullptr;
  Planner planner(graph_, constants_, threads);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    planner.input(graph_.inputs[i].value, made->inputs[i]);
  }
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    if (operators_[i] == nullptr) continue;  // folded or fused
    planner.step(static_cast<int>(i), *operators_[i]);
  }
  made->plan = planner.finish();
  const std::lock_guard<std::mutex> lock(mutex_);
  plans_.push_back(made);
  if (plans_.size() > MOST_PLANS) {
    const std::shared_ptr<const Planned> oldest = plans_.front();
    plans_.erase(plans_.begin());
    idle_.erase(std::remove_if(idle_.begin(), idle_.end(),
                               [&](const auto& idle) { return idle->planned == oldest; }),
                idle_.end());
  }
  return made;
}

void Program::give_back(std::unique_ptr<Workspace> workspace) {
  workspace->owners.clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool known = std::find(plans_.begin(), plans_.end(), workspace->planned) != plans_.end();
  if (known) idle_.push_back(std::move(workspace));
}

std::vector<Layer> Program::layers() const {
  std::vector<Layer> out;
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    if (operators_[i] == nullptr) continue;
    const Node& node = graph_.nodes[i];
    const Value first = node.outputs.empty() ? NONE : node.outputs[0];
    out.push_back({static_cast<int>(i), node.operation,
                   first == NONE ? "" : graph_.values[static_cast<std::size_t>(first)],
                   operators_[i]->form(), operators_[i]->bytes()});
  }
  return out;
}

std::size_t Program::constant_bytes() const {
  std::size_t total = 0;
  for (const auto& [value, tensor] : constants_) {
    if (tensor.data != nullptr) total += tensor.bytes();
  }
  for (const auto& operation : operators_) {
    if (operation != nullptr) total += operation->bytes();
  }
  return total;
}

std::size_t Program::arena_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t total = 0;
  for (const auto& workspace : idle_) total += workspace->arena.bytes();
  return total;
}

}  // namespace laconic::engine
