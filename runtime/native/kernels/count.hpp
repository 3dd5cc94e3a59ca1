// Counting spikes, per neuron and per sample, and finding the last ones.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector.hpp"

namespace snnc::kernels {

constexpr std::int64_t count_tile = 4096;  // words

// counts[i] = number of set bits of spikes[i]
SNNC_POPCOUNT_CLONES static void count_bits(
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

// counts[i] = number of set bits of the words at i, i + period, i + 2 * period, ... (`repeats` of them).
SNNC_POPCOUNT_CLONES static void count_repeats(
    const std::uint64_t* spikes, std::int64_t size, std::int64_t period, std::int64_t repeats,
    std::int64_t* __restrict counts) {
  for (std::int64_t i = 0; i < size; ++i) counts[i] = 0;
  for (std::int64_t repeat = 0; repeat < repeats; ++repeat) {
    const std::uint64_t* words = spikes + repeat * period;
    for (std::int64_t i = 0; i < size; ++i) counts[i] += __builtin_popcountll(words[i]);
  }
}

SNNC_POPCOUNT_CLONES static std::int64_t count_all(const std::uint64_t* spikes, std::int64_t size) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < size; ++i) count += __builtin_popcountll(spikes[i]);
  return count;
}

// Spikes of one sample, and the sum of the fan-outs of the neurons that fired them. Neuron e has the fan-out
// fanout[e mod period]; `elements` is a multiple of `period`. Sums are modulo 2^64.
inline SampleTotals sample_totals(
    const std::uint64_t* spikes, std::int64_t elements, const std::int64_t* fanout, std::int64_t period) {
  std::uint64_t total = 0;
  std::uint64_t operations = 0;
  if (period == 1) {
    total = static_cast<std::uint64_t>(count_all(spikes, elements));
    operations = total * static_cast<std::uint64_t>(fanout[0]);
  } else if (elements > 0) {
    constexpr std::int64_t at_once = 256;
    std::int64_t counts[at_once];
    for (std::int64_t first = 0; first < period; first += at_once) {
      const std::int64_t size = std::min(at_once, period - first);
      count_repeats(spikes + first, size, period, elements / period, counts);
      for (std::int64_t i = 0; i < size; ++i) {
        total += static_cast<std::uint64_t>(counts[i]);
        operations += static_cast<std::uint64_t>(counts[i]) * static_cast<std::uint64_t>(fanout[first + i]);
      }
    }
  }
  return {static_cast<std::int64_t>(total), static_cast<std::int64_t>(operations)};
}

// The steps of a block up to and including the last one in which a neuron of a sample fires; 0 if none does.
inline std::int64_t last_spike(const std::uint64_t* spikes, std::int64_t elements) {
  std::uint64_t any = 0;
  for (std::int64_t i = 0; i < elements; ++i) any |= spikes[i];
  constexpr std::int64_t bits = 64;
  return any == 0 ? 0 : bits - __builtin_clzll(any);
}

}  // namespace snnc::kernels
