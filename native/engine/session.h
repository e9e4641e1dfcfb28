// A graph ready to run: what can run image by image does, in parts that stay in the cache.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/program.h"

namespace laconic::engine {

class Session {
 public:
  // Raises as Program does.
  Session(const Graph& graph, const Options& options);
  ~Session();

  // As Program::run. With `watch` the whole batch goes through each operator at once.
  void run(const std::vector<Tensor>& inputs, Pool& pool, const Program::Take& take,
           const Program::Watch& watch = nullptr);

  // Operators in the order in which they run; Layer::node is what `watch` is told.
  std::vector<Layer> layers() const;
  std::size_t constant_bytes() const;
  std::size_t arena_bytes() const;

 private:
  struct Halfway;

  std::unique_ptr<Halfway> borrow();
  void run_first(const std::vector<Tensor>& inputs, Pool& pool, Halfway& halfway,
                 const Program::Watch& watch);
  void run_part(const std::vector<Tensor>& inputs, std::int64_t begin, std::int64_t end, Pool& pool,
                Halfway& halfway);

  std::unique_ptr<Program> first_;         // of split_batch; null where nothing was split off
  std::unique_ptr<Program> second_;        // the rest, or everything
  std::vector<std::size_t> first_inputs_;  // which inputs of the session `first` takes
  std::mutex mutex_;                       // guards the one below
  std::vector<std::unique_ptr<Halfway>> idle_;
};

}  // namespace laconic::engine
