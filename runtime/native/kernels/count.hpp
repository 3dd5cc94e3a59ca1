// Counting spikes per neuron, and finding the last ones.
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

// The steps of a block up to and including the last one in which a neuron of a sample fires; 0 if none does.
SNNC_VECTOR_CLONES static std::int64_t last_spike(const std::uint64_t* spikes, std::int64_t elements) {
  std::uint64_t any = 0;
  for (std::int64_t i = 0; i < elements; ++i) any |= spikes[i];
  constexpr std::int64_t bits = 64;
  return any == 0 ? 0 : bits - __builtin_clzll(any);
}

}  // namespace snnc::kernels
