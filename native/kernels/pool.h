// A small pool of threads that wait for work between the layers of a network. A process that was
// forked has none of its parent's threads: a pool that was made before works alone in it.
#pragma once

#include <cstdint>
#include <memory>

namespace laconic::kernels {

class Pool {
 public:
  // `threads` counts the caller: 1 makes no thread at all. std::runtime_error says how many the
  // system gave where it did not give them all.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // Calls body(begin, end, worker) so that the ranges cover 0 to before `count` once. Equal shares
  // of neighbouring ranges belong to the workers (below threads()), the first to the caller, so
  // that who computed a part of one layer mostly reads it for the next. Whoever has done its share
  // takes ranges of others, so that a thread that sleeps holds nobody up: a worker may get several
  // ranges, one after the other, or none. Returns when all are done.
  // When the pool is busy with another caller's work, or the caller is a worker itself, the caller
  // does everything alone as worker 0. What a body computes for an index must not depend on the
  // range that it came in, nor on what the worker did before. A body throws nothing: the program
  // would end.
  template <typename Body>
  void split(std::int64_t count, const Body& body) {
    run(
        count,
        [](const void* body_, std::int64_t begin, std::int64_t end, int worker) noexcept {
          (*static_cast<const Body*>(body_))(begin, end, worker);
        },
        &body);
  }

  // The same for work whose nanoseconds on one thread are known, about: the caller does it alone
  // where another thread would hardly have begun before it ended, or would only move its lines from
  // cache to cache. Measured on a Zen 5 processor: two threads gain from 1 microsecond on.
  template <typename Body>
  void split(std::int64_t count, double nanoseconds, const Body& body) {
    if (nanoseconds < LEAST_NS) {
      body(std::int64_t{0}, count, 0);
    } else {
      split(count, body);
    }
  }

  // Says that pieces of work will follow each other while it lives: workers that are awake wait
  // longer before they sleep. It wakes nobody: the first piece does, where there is one.
  class Awake {
   public:
    explicit Awake(Pool& pool);
    ~Awake();
    Awake(const Awake&) = delete;
    Awake& operator=(const Awake&) = delete;

   private:
    Pool& pool_;
  };

 private:
  static constexpr double LEAST_NS = 1000;

  using Call = void (*)(const void* body, std::int64_t begin, std::int64_t end,
                        int worker) noexcept;
  void run(std::int64_t count, Call call, const void* body);

  bool inherited() const;  // from before a fork

  struct Work;
  struct Place;
  struct Shared;
  int threads_;
  std::uint32_t forks_;  // of this process and those before it, when the pool was made
  std::unique_ptr<Shared> shared_;
};

}  // namespace laconic::kernels
