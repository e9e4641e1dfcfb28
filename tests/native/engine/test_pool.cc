#include <atomic>
#include <chrono>
#include <thread>

#include "check.h"
#include "kernels/pool.h"

using laconic::kernels::Pool;

TEST("every index is visited once, whatever the number of threads") {
  for (int threads : {1, 2, 3, 8}) {
    Pool pool(threads);
    for (int count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      pool.split(count, [&](std::int64_t begin, std::int64_t end, int worker) {
        CHECK(worker >= 0 && worker < threads);
        for (std::int64_t i = begin; i < end; ++i) visits[static_cast<std::size_t>(i)]++;
      });
      for (const auto& visit : visits) CHECK(visit == 1);
    }
  }
}

TEST("several callers share a pool, and sleeping workers wake") {
  Pool pool(2);
  std::atomic<std::int64_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        pool.split(100, [&](std::int64_t begin, std::int64_t end, int) { total += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 4 * 200 * 100);
}

TEST("the caller reads what workers wrote without locks of its own") {
  Pool pool(4);
  std::vector<int> counts(100);  // ThreadSanitizer finds two that touch one
  for (int round = 1; round <= 20; ++round) {
    pool.split(100, [&](std::int64_t begin, std::int64_t end, int worker) {
      // So that others have time to take ranges.
      if (worker == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      for (; begin < end; ++begin) ++counts[static_cast<std::size_t>(begin)];
    });
    for (int count : counts) CHECK(count == round);
  }
}

TEST("the caller begins with the first index, whoever else is free") {
  Pool pool(4);
  const Pool::Awake awake(pool);
  for (int count : {2, 3, 5, 100}) {
    std::atomic<int> first{-1};
    pool.split(count, [&](std::int64_t begin, std::int64_t, int worker) {
      if (begin == 0) first = worker;
    });
    CHECK(first == 0);
  }
}

TEST("a worker that is held up leaves its other ranges to those who are free") {
  for (int threads : {2, 3}) {
    Pool pool(threads);
    const Pool::Awake awake(pool);
    for (int round = 0; round < 20; ++round) {
      std::atomic<std::int64_t> done{0};
      std::atomic<bool> held{false};
      pool.split(100, [&](std::int64_t begin, std::int64_t end, int worker) {
        if (worker == 1 && !held.exchange(true)) {
          int looks = 0;  // ends in vain only if the others wait for this one
          while (done < 100 - (end - begin) && ++looks < 1000000) std::this_thread::yield();
          CHECK(looks < 1000000);
        }
        done += end - begin;
      });
      CHECK(done == 100);
    }
  }
}

TEST("runs that overlap keep the workers awake and let them sleep afterwards") {
  Pool pool(3);
  std::atomic<std::int64_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&, caller] {
      for (int run = 0; run < 20; ++run) {
        if (run % 10 == caller) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const Pool::Awake awake(pool);
        for (int layer = 0; layer < 10; ++layer) {
          pool.split(30, [&](std::int64_t begin, std::int64_t end, int) { total += end - begin; });
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 8 * 20 * 10 * 30);
}
