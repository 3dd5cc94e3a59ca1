// Counting spikes, per neuron and per sample.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector.hpp"

namespace snnc::kernels {

constexpr std::int64_t count_tile = 4096;  // words

// counts[i] = number of set bits of spikes[i]
SNNC_VECTOR_CLONES static void count_bits(
    const std::uint64_t* __restrict spikes, std::int64_t size, std::int32_t* __restrict counts) {
  for (std::int64_t i = 0; i < size; ++i) counts[i] = __builtin_popcountll(spikes[i]);
}

// Counts words [tile * count_tile, (tile + 1) * count_tile).
inline void count_tile_of(const std::uint64_t* spikes, std::int64_t words, std::int32_t* counts, std::int64_t tile) {
  const std::int64_t begin = tile * count_tile;
  count_bits(spikes + begin, std::min(count_tile, words - begin), counts + begin);
}

struct SampleTotals {
  std::int64_t spikes;
  std::int64_t operations;
};

// Spikes of one sample, and the sum of the fan-outs of the neurons that fired them. Neuron e has the fan-out
// fanout[e mod period]; `elements` is a multiple of `period`. Sums are modulo 2^64.
SNNC_VECTOR_CLONES static SampleTotals sample_totals(
    const std::uint64_t* spikes, std::int64_t elements, const std::int64_t* fanout, std::int64_t period) {
  std::uint64_t total = 0;
  std::uint64_t operations = 0;
  if (period == 1) {
    for (std::int64_t i = 0; i < elements; ++i) total += static_cast<std::uint64_t>(__builtin_popcountll(spikes[i]));
    operations = total * static_cast<std::uint64_t>(fanout[0]);
  } else {
    for (std::int64_t first = 0; first < elements; first += period) {
      for (std::int64_t i = 0; i < period; ++i) {
        const auto fired = static_cast<std::uint64_t>(__builtin_popcountll(spikes[first + i]));
        total += fired;
        operations += fired * static_cast<std::uint64_t>(fanout[i]);
      }
    }
  }
  return {static_cast<std::int64_t>(total), static_cast<std::int64_t>(operations)};
}

}  // namespace snnc::kernels
