#include "kernels/pool.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
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

// Ranges a thread may take of one piece of work: more of them balance better, fewer cost less.
constexpr std::int64_t RANGES_A_THREAD = 4;

// The round, the number of its ranges and the next range, in one word: who raises the word takes
// that range, and cannot take one of a round that is over.
struct Ticket {
  std::uint64_t word;
  std::uint32_t round() const { return static_cast<std::uint32_t>(word >> 32); }
  std::uint32_t ranges() const { return static_cast<std::uint32_t>(word >> 16) & 0xffff; }
  std::uint32_t next() const { return static_cast<std::uint32_t>(word) & 0xffff; }
};

struct Pool::Shared {
  std::mutex owner;  // held by the caller whose work the pool does

  // One piece of work: written by the owner before the ticket, read by those who hold a range.
  Call call = nullptr;
  const void* body = nullptr;
  std::int64_t count = 0, ranges = 0;

  alignas(64) std::atomic<std::uint64_t> ticket{0};
  alignas(64) std::atomic<std::int64_t> finished{0};
  alignas(64) std::atomic<bool> stop{false};

  std::mutex mutex;
  std::condition_variable news;
  std::atomic<int> sleepers{0};
  std::vector<std::thread> workers;

  std::uint32_t round() const { return Ticket{ticket.load(std::memory_order_acquire)}.round(); }

  // Wait until the round is another one than `seen`.
  std::uint32_t next_round(std::uint32_t seen) {
    for (int look = 0; look < LOOKS; ++look) {
      const std::uint32_t now = round();
      if (now != seen) return now;
      breathe();
    }
    std::unique_lock<std::mutex> lock(mutex);
    sleepers.fetch_add(1);
    news.wait(lock, [&] { return Ticket{ticket.load()}.round() != seen; });
    sleepers.fetch_sub(1);
    return round();
  }

  void begin_round() {
    const std::uint64_t next = Ticket{ticket.load()}.round() + 1u;
    ticket.store(next << 32 | static_cast<std::uint64_t>(ranges) << 16);
    if (sleepers.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex);
      news.notify_all();
    }
  }

  // Computes ranges of this round until none is left.
  void take_ranges(std::uint32_t this_round, int worker) {
    Ticket seen{ticket.load(std::memory_order_acquire)};
    while (seen.round() == this_round && seen.next() < seen.ranges()) {
      if (!ticket.compare_exchange_weak(seen.word, seen.word + 1, std::memory_order_acq_rel))
        continue;
      const std::int64_t range = seen.next();
      inside = true;
      call(body, count * range / ranges, count * (range + 1) / ranges, worker);
      inside = false;
      finished.fetch_add(1, std::memory_order_release);
      seen.word = ticket.load(std::memory_order_acquire);
    }
  }

  void work(int worker) {
    std::uint32_t seen = 0;
    for (;;) {
      seen = next_round(seen);
      if (stop.load()) return;
      take_ranges(seen, worker);
    }
  }

  void dismiss() {
    stop.store(true);
    ranges = 0;
    begin_round();
    for (std::thread& worker : workers) worker.join();
  }
};

Pool::Pool(int threads)
    : threads_(threads < 1 ? 1 : threads), forks_(forks().load()), shared_(new Shared) {
  try {
    for (int worker = 1; worker < threads_; ++worker) {
      shared_->workers.emplace_back([this, worker] { shared_->work(worker); });
    }
  } catch (const std::exception& error) {  // of the system, or of memory
    const std::string given = std::to_string(shared_->workers.size() + 1);
    shared_->dismiss();
    throw std::runtime_error("threads=" + std::to_string(threads_) + ": the system gave only " +
                             given + " (" + error.what() + "); ask for " + given + " or fewer");
  }
}

bool Pool::inherited() const { return forks_ != forks().load(std::memory_order_relaxed); }

Pool::~Pool() {
  if (inherited()) {
    static_cast<void>(shared_.release());  // its threads cannot be joined, nor its locks be trusted
    return;
  }
  shared_->dismiss();
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
  shared_->ranges = count < RANGES_A_THREAD * threads_ ? count : RANGES_A_THREAD * threads_;
  shared_->finished.store(0);
  shared_->begin_round();
  shared_->take_ranges(shared_->round(), 0);
  for (int look = 0; shared_->finished.load(std::memory_order_acquire) < shared_->ranges; ++look) {
    if (look < LOOKS) {
      breathe();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace laconic::kernels
