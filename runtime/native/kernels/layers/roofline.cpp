#include "roofline.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "scratch.hpp"
#include "vector_kernels.hpp"

namespace snnc::kernels {

namespace {

constexpr int repetitions = 7;
constexpr double shortest_seconds = 2e-3;
constexpr std::int64_t least_additions = 1 << 16;
constexpr std::int64_t least_bytes = 1 << 12;  // in the first-level cache of any machine

using Kernel = void (*)(const AddStream&);

double seconds_of(Kernel kernel, const AddStream& stream) {
  const auto start = std::chrono::steady_clock::now();
  kernel(stream);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_add_stream(std::int64_t working_set, int weight_bytes, int width) {
  if ((weight_bytes != 1 && weight_bytes != 2 && weight_bytes != 4) || (width != 16 && width != 32 && width != 64)) return 0;
  const std::int64_t row_bytes = std::int64_t{width} * weight_bytes;
  const std::int64_t row_count = std::max(working_set, least_bytes) / row_bytes;
  Scratch<std::uint8_t> memory;
  void* rows = memory.reserve(static_cast<std::size_t>(row_count * row_bytes));
  std::memset(rows, 0, static_cast<std::size_t>(row_count * row_bytes));

  const Kernel kernel = vector_kernels().add_stream[bytes_index(weight_bytes)][width_index(width)];
  std::int32_t sums[64];
  AddStream stream{rows, row_count, std::max<std::int64_t>(1, least_additions / (row_count * width)), sums};
  while (seconds_of(kernel, stream) < shortest_seconds) stream.passes *= 2;
  double best = seconds_of(kernel, stream);
  for (int i = 1; i < repetitions; ++i) best = std::min(best, seconds_of(kernel, stream));
  return static_cast<double>(row_count * width * stream.passes) / best;
}

}  // namespace snnc::kernels
