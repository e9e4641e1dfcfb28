// A graph made ready: constants folded, neighbours fused, weights packed; then run, from any
// thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/graph.h"
#include "engine/operator.h"
#include "engine/plan.h"

namespace laconic::engine {

struct Options {
  bool int8 = false;  // layers with 8-bit weights may round their inputs to 8 bits
};

// An operator that remains, for reports.
struct Layer {
  int node = 0;  // its place among graph().nodes
  std::string operation;
  std::string output;     // the name of its first output
  std::string form;       // how its weights are kept; empty without weights
  std::size_t bytes = 0;  // of these weights in memory
};

class Program {
 public:
  // Takes what it is told. Unsupported (operators, attributes: all are named) or Mismatch when the
  // program cannot run.
  Program(Graph graph, const Options& options);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const Graph& graph() const { return graph_; }
  // What is known of the outputs' types and shapes for any inputs.
  const std::vector<Input>& outputs() const { return outputs_; }

  using Take = std::function<void(const std::vector<Tensor>& outputs)>;
  // Called after each operator with its place among graph().nodes.
  using Watch = std::function<void(int node)>;
  // Inputs in the graph's order, of any sizes that fit; they are only read. `take` gets the
  // outputs, whose memory is the program's and ends with the call. Calls from several threads do
  // not disturb each other. Mismatch when the shapes do not fit inside the program.
  void run(const std::vector<Tensor>& inputs, Pool& pool, const Take& take,
           const Watch& watch = nullptr);

  std::vector<Layer> layers() const;
  // Of weights and constants; of the memory for values of all plans at the moment.
  std::size_t constant_bytes() const;
  std::size_t arena_bytes() const;

 private:
  struct Workspace;
  struct Planned;

  void compile(const Options& options);
  void require_operators() const;
  std::unique_ptr<Workspace> borrow(const std::vector<Tensor>& inputs, int threads);
  void give_back(std::unique_ptr<Workspace> workspace);
  std::shared_ptr<const Planned> planned_for(const std::vector<Tensor>& inputs, int threads);
  void execute(Workspace& workspace, Pool& pool, const Watch& watch) const;
  void run_dynamically(Workspace& workspace, std::size_t step, Pool& pool) const;

  Graph graph_;
  std::vector<std::unique_ptr<Operator>> operators_;  // of graph_.nodes; null: folded or fused
  std::map<Value, Tensor> constants_;
  std::vector<Input> outputs_;
  std::vector<std::shared_ptr<const void>> owners_;
  mutable std::mutex mutex_;                           // guards the two below
  std::vector<std::shared_ptr<const Planned>> plans_;  // the latest used last
  std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace laconic::engine
