// What the operators of layers did, for `snnc bench`: how often, how long, with how many spikes and by which kernel.
//
// Collecting is off until the host switches it on through the C functions at the end; then every operator adds to its
// own record after each block. Any number of sessions may run at the same time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/layers/layer_kernels.hpp"
#include "ort_abi.hpp"

namespace snnc {

// The ways in which a layer is computed: the kernels of layers in the order of their table, then the readout.
constexpr std::size_t readout_path = kernels::layer_kernels.size();
constexpr std::size_t path_count = readout_path + 1;

constexpr const char* path_name(std::size_t path) {
  return path == readout_path ? "readout" : kernels::layer_kernels[path].name;
}

// The path of the kernel with this function.
constexpr std::size_t path_of(decltype(kernels::LayerKernel::run) run) {
  std::size_t path = 0;
  while (path < readout_path && kernels::layer_kernels[path].run != run) ++path;
  return path;
}

// The packed weights that a path reads over and over: what its roofline depends on.
struct PathRows {
  int width = 0;  // weights that are added together; 0 if it does not add rows of weights
  int bytes = 0;  // of a weight
  std::int64_t working_set = 0;  // bytes
};

using RowsByPath = std::array<PathRows, path_count>;

// One block of a layer.
struct BlockRun {
  std::size_t path;
  std::int64_t samples;
  int steps;
  std::int64_t spikes;  // of the input that is not the residual one
};

// The record of one operator of one session, listed as long as it lives.
class NodeStatistics {
 public:
  NodeStatistics(std::string name, const RowsByPath& weights);
  ~NodeStatistics();
  NodeStatistics(const NodeStatistics&) = delete;
  NodeStatistics& operator=(const NodeStatistics&) = delete;

  static bool collecting() { return collecting_.load(std::memory_order_relaxed); }
  void add(const BlockRun& run, std::chrono::nanoseconds time);
  void clear();  // the caller holds the mutex of all records
  void append_json(std::string& text) const;

  // Switches collecting for the whole process. Switching on forgets what was collected before.
  static void collect(bool on);
  static std::string all_as_json();

 private:
  static std::atomic<bool> collecting_;

  const std::int64_t id_;
  const std::string name_;
  const RowsByPath weights_;
  std::array<std::int64_t, path_count> calls_{};
  std::int64_t sample_steps_ = 0, spikes_ = 0, nanoseconds_ = 0;
};

// The time since its construction; runs only while statistics are collected.
class BlockTimer {
 public:
  BlockTimer() : running_(NodeStatistics::collecting()) {
    if (running_) start_ = Clock::now();
  }

  bool running() const { return running_; }
  std::chrono::nanoseconds elapsed() const { return Clock::now() - start_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool running_;
  Clock::time_point start_{};
};

}  // namespace snnc

// Switches the collecting of statistics on (and forgets the old ones) or off.
SNNC_EXPORT void snnc_collect_statistics(int on) noexcept;

// Writes the statistics of all living operators to `buffer` as JSON, zero-terminated, if `size` bytes are enough.
// Returns the bytes needed, or 0 if memory ran out. The text may grow between two calls.
//
//     {"vector_unit": "avx2", "nodes": [{"id": 0, "name": "relu1", "sample_steps": 1024, "spikes": 9,
//       "nanoseconds": 10, "kernels": {"gather": {"calls": 1, "width": 64, "weight_bytes": 2, "working_set": 4608}}}]}
SNNC_EXPORT std::size_t snnc_statistics(char* buffer, std::size_t size) noexcept;

// `measure_add_stream` of kernels/layers/roofline.hpp; also 0 if memory ran out.
SNNC_EXPORT double snnc_add_stream(std::int64_t working_set, int weight_bytes, int width) noexcept;
