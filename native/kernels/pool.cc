#include "kernels/pool.h"

#include <algorithm>
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
#if defined(__linux__)
#include <sched.h>
#endif

namespace laconic::kernels {

namespace {

// How often a worker looks for news before it sleeps, about 25 nanoseconds each: layers follow each
// other within microseconds, calls may not.
constexpr int LOOKS = 2000, LOOKS_OF_A_RUN = 20000;
// How often an owner looks for the end of the last ranges before it offers its core to others.
constexpr int LOOKS_FOR_END = 4000;

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

// The core that this thread runs on, -1 where the system does not say.
int this_core() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Moves this thread to another core that it may run on, where there is one.
void leave_core(int core) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<std::size_t>(core), &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
#else
  static_cast<void>(core);
#endif
}

// Ranges in a worker's share of one piece of work: more of them balance better, fewer cost less.
constexpr std::int64_t RANGES_A_THREAD = 4;

// What is left of a worker's share, in one word: who changes the word takes a range, and cannot
// take one of a round that is over. A round is one piece of work.
struct Share {
  std::uint64_t word;
  static Share of(std::uint64_t round, std::uint64_t next, std::uint64_t end) {
    return {round << 16 | end << 8 | next};
  }
  std::uint64_t round() const { return word >> 16; }
  std::uint64_t end() const { return word >> 8 & 0xff; }
  std::uint64_t next() const { return word & 0xff; }
  bool empty() const { return next() >= end(); }
};

}  // namespace

struct Pool::Work {
  Call call = nullptr;
  const void* body = nullptr;
  std::int64_t count = 0, ranges = 0;

  // Of the ranges; those of worker 0 come first, and it has one before the others have.
  std::int64_t first_of(std::int64_t worker, std::int64_t threads) const {
    return (ranges * worker + threads - 1) / threads;
  }
  void compute(std::int64_t range, int worker) const {
    inside = true;
    call(body, count * range / ranges, count * (range + 1) / ranges, worker);
    inside = false;
  }
};

// All that passes between the owner and one worker, in one line of their caches: the owner writes
// the work, then the share; the worker how much of the round it has done.
struct alignas(64) Pool::Place {
  std::atomic<std::uint64_t> share{0};
  std::atomic<std::uint64_t> done{0};  // round << 16 | ranges
  Work work;                           // read by those who hold a range of the share
  std::int64_t first = 0;              // range of the share

  Share look() const { return {share.load(std::memory_order_acquire)}; }

  // The number of the range that is taken, or -1. The worker takes from the front, others the last.
  std::int64_t take(std::uint64_t round, bool own) {
    Share seen = look();
    while (seen.round() == round && !seen.empty()) {
      const Share left = own ? Share::of(round, seen.next() + 1, seen.end())
                             : Share::of(round, seen.next(), seen.end() - 1);
      if (!share.compare_exchange_weak(seen.word, left.word, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
        continue;
      return first + static_cast<std::int64_t>(own ? seen.next() : left.end());
    }
    return -1;
  }
};

struct Pool::Shared {
  const int threads;
  std::unique_ptr<Place[]> places;
  std::uint64_t round = 0;                     // the owner's
  alignas(64) std::atomic<bool> owned{false};  // by the caller whose work the pool does
  alignas(64) std::atomic<int> runs{0};        // in progress
  alignas(64) std::atomic<int> sleepers{0};    // that nobody woke yet
  std::atomic<int> owner_core{-1};             // when it last woke the workers
  std::atomic<bool> stop{false};

  std::mutex mutex;
  std::condition_variable news;
  std::uint64_t calls = 0;  // that woke sleepers
  std::vector<std::thread> workers;

  explicit Shared(int count) : threads(count), places(new Place[static_cast<std::size_t>(count)]) {}

  Place& place(int worker) { return places[static_cast<std::size_t>(worker)]; }

  // Until the worker's round is another one than `seen`. A worker that falls asleep while the owner
  // begins a round misses it: the others do its share, and the next round wakes it.
  std::uint64_t next_round(int worker, std::uint64_t seen) {
    for (;;) {
      for (int look = 0; look < LOOKS || (look < LOOKS_OF_A_RUN && runs.load() > 0); ++look) {
        const std::uint64_t now = place(worker).look().round();
        if (now != seen) return now;
        breathe();
      }
      std::unique_lock<std::mutex> lock(mutex);
      if (stop.load()) return seen;
      const std::uint64_t before = calls;
      sleepers.fetch_add(1);
      news.wait(lock, [&] { return calls != before; });
      lock.unlock();
      // A busy system may wake it where the owner runs, who then waits for it or it for the owner.
      const int core = this_core();
      if (core >= 0 && core == owner_core.load()) leave_core(core);
    }
  }

  void wake() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      sleepers.store(0);
      owner_core.store(this_core());
      ++calls;
    }
    news.notify_all();
  }

  // Shares out the work but for the first range, which the owner computes before all.
  void begin_round(const Work& work) {
    ++round;
    for (int worker = threads - 1; worker >= 0; --worker) {
      Place& to = place(worker);
      to.work = work;
      to.first = work.first_of(worker, threads);
      const std::int64_t size = work.first_of(worker + 1, threads) - to.first;
      const Share share = Share::of(round, worker == 0, static_cast<std::uint64_t>(size));
      to.share.store(share.word, std::memory_order_release);
    }
    if (sleepers.load(std::memory_order_relaxed) > 0) wake();
  }

  // Computes ranges of this round until none is left; `done` of them were before.
  std::int64_t take_ranges(std::uint64_t this_round, int worker, std::int64_t done) {
    for (int step = 0; step < threads; ++step) {
      Place& from = place((worker + step) % threads);
      for (;;) {
        const std::int64_t range = from.take(this_round, step == 0);
        if (range < 0) break;
        from.work.compute(range, worker);
        ++done;
        place(worker).done.store(this_round << 16 | static_cast<std::uint64_t>(done),
                                 std::memory_order_release);
      }
    }
    return done;
  }

  std::int64_t done_by_others() {
    std::int64_t total = 0;
    for (int worker = 1; worker < threads; ++worker) {
      const std::uint64_t done = place(worker).done.load(std::memory_order_acquire);
      if (done >> 16 == round) total += static_cast<std::int64_t>(done & 0xffff);
    }
    return total;
  }

  void work(int worker) {
    std::uint64_t seen = 0;
    for (;;) {
      seen = next_round(worker, seen);
      if (stop.load()) return;
      take_ranges(seen, worker, 0);
    }
  }

  void dismiss() {
    stop.store(true);
    begin_round({});
    wake();
    for (std::thread& worker : workers) worker.join();
  }
};

Pool::Pool(int threads)
    : threads_(threads < 1 ? 1 : threads), forks_(forks().load()), shared_(new Shared(threads_)) {
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
  if (threads_ == 1 || count == 1 || inside || inherited() ||
      shared_->owned.exchange(true, std::memory_order_acquire)) {
    call(body, 0, count, 0);
    return;
  }
  const Work work{call, body, count, std::min(count, RANGES_A_THREAD * threads_)};
  shared_->begin_round(work);
  work.compute(0, 0);
  const std::int64_t done = shared_->take_ranges(shared_->round, 0, 1);
  for (int look = 0; done + shared_->done_by_others() < work.ranges; ++look) {
    if (look < LOOKS_FOR_END) {
      breathe();
    } else {
      std::this_thread::yield();
    }
  }
  shared_->owned.store(false, std::memory_order_release);
}

Pool::Awake::Awake(Pool& pool) : pool_(pool) {
  if (pool_.threads_ > 1 && !pool_.inherited()) pool_.shared_->runs.fetch_add(1);
}

Pool::Awake::~Awake() {
  if (pool_.threads_ > 1 && !pool_.inherited()) pool_.shared_->runs.fetch_sub(1);
}

}  // namespace laconic::kernels
