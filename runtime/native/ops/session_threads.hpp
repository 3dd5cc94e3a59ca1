// How many threads a session has.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace snnc::ops {

// How many threads work for a layer's session. onnxruntime does not tell a kernel, so those that take part are counted.
// The first blocks are cut as for several threads, later ones for as many as have been seen, now and then for several.
class SessionThreads {
 public:
  // Threads to cut the next block for.
  int expected() const {
    constexpr std::uint32_t first_blocks = 4, tried_again = 64;
    constexpr int guess = 4;
    const std::uint32_t block = blocks_.fetch_add(1, std::memory_order_relaxed);
    const int seen = most_seen_.load(std::memory_order_relaxed);
    return block < first_blocks || block % tried_again == 0 ? std::max(seen, guess) : seen;
  }

  // Who took part in a block: the threads that called `present` for its tasks.
  class Roll {
   public:
    explicit Roll(std::size_t tasks) : threads_(tasks) {}
    void present(std::size_t task) {
      static thread_local const char here = 0;
      threads_[task] = &here;
    }
    int count() {
      std::sort(threads_.begin(), threads_.end());
      return static_cast<int>(std::unique(threads_.begin(), threads_.end()) - threads_.begin());
    }

   private:
    std::vector<const char*> threads_;
  };

  void learn(Roll& roll) const {
    const int count = roll.count();
    int seen = most_seen_.load(std::memory_order_relaxed);
    while (count > seen && !most_seen_.compare_exchange_weak(seen, count, std::memory_order_relaxed)) {
    }
  }

 private:
  mutable std::atomic<std::uint32_t> blocks_{0};
  mutable std::atomic<int> most_seen_{1};
};

}  // namespace snnc::ops
