#include "kernels/pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace laconic::kernels {

namespace {

// How often a thread looks for news before it sleeps: layers follow each other within microseconds,
// calls may not. About 50 microseconds.
constexpr int LOOKS = 4000;

// How many forks led to this process, since the first pool was made.
std::atomic<std::uint32_t>& forks() {
  static std::atomic<std::uint32_t> count{0};
#if defined(__unix__) || defined(__APPLE__)
  static const int counted = pthread_atfork(nullptr, nullptr, [] { count.fetch_add(1); });
  static_cast<void>(counted);
#endif
  return count;
}

// Set while this thread does work of a pool: what it splits then, it does alone.
thread_local bool inside = false;

void breathe() {
#if defined(LACONIC_X86)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

struct Pool::Shared {
  std::mutex owner;  // held by the caller whose work the pool does

  // One piece of work. Written by the owner before `round` goes up, read by the workers after.
  Call call = nullptr;
  const void* body = nullptr;
  std::int64_t count = 0;

  alignas(64) std::atomic<std::uint32_t> round{0};
  alignas(64) std::atomic<int> unfinished{0};
  alignas(64) std::atomic<bool> stop{false};

  std::mutex mutex;
  std::condition_variable news;
  std::atomic<int> sleepers{0};
  std::vector<std::thread> workers;

  // Wait until the round is another one than `seen`.
  std::uint32_t next_round(std::uint32_t seen) {
    for (int look = 0; look < LOOKS; ++look) {
      const std::uint32_t now = round.load(std::memory_order_acquire);
      if (now != seen) return now;
      breathe();
    }
    std::unique_lock<std::mutex> lock(mutex);
    sleepers.fetch_add(1);
    news.wait(lock, [&] { return round.load() != seen; });
    sleepers.fetch_sub(1);
    return round.load();
  }

  void begin_round() {
    round.fetch_add(1);
    if (sleepers.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex);
      news.notify_all();
    }
  }

  void share(int worker, int threads) const {
    const std::int64_t begin = count * worker / threads;
    const std::int64_t end = count * (worker + 1) / threads;
    if (begin >= end) return;
    inside = true;
    call(body, begin, end, worker);
    inside = false;
  }

  void work(int worker, int threads) {
    std::uint32_t seen = 0;
    for (;;) {
      seen = next_round(seen);
      if (stop.load()) return;
      share(worker, threads);
      unfinished.fetch_sub(1, std::memory_order_release);
    }
  }
};

Pool::Pool(int threads)
    : threads_(threads < 1 ? 1 : threads), forks_(forks().load()), shared_(new Shared) {
  for (int worker = 1; worker < threads_; ++worker) {
    shared_->workers.emplace_back([this, worker] { shared_->work(worker, threads_); });
  }
}

bool Pool::inherited() const { return forks_ != forks().load(std::memory_order_relaxed); }

Pool::~Pool() {
  if (inherited()) {
    static_cast<void>(shared_.release());  // its threads cannot be joined, nor its locks be trusted
    return;
  }
  shared_->stop.store(true);
  shared_->begin_round();
  for (std::thread& worker : shared_->workers) worker.join();
}

void Pool::run(std::int64_t count, Call call, const void* body) {
  if (count <= 0) return;
  if (threads_ == 1 || count == 1 || inside || inherited() || !shared_->owner.try_lock()) {
    call(body, 0, count, 0);
    return;
  }
  const std::lock_guard<std::mutex> lock(shared_->owner, std::adopt_lock);
  shared_->call = call;
  shared_->body = body;
  shared_->count = count;
  shared_->unfinished.store(threads_ - 1);
  shared_->begin_round();
  shared_->share(0, threads_);
  for (int look = 0; shared_->unfinished.load(std::memory_order_acquire) > 0; ++look) {
    if (look < LOOKS) {
      breathe();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace laconic::kernels
