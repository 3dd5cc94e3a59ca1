// Spike words to one float32 value per neuron and step.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector.hpp"

namespace snnc::kernels {

constexpr std::int64_t unpack_tile = 1024;  // words

// out[k][i] = bit k of bits[i], for up to 32 steps; `stride` is the distance between two steps in `out`.
SNNC_VECTOR_CLONES static void unpack_half(
    const std::uint32_t* __restrict bits, std::int64_t size, int steps, std::int64_t stride, float* out) {
  for (int step = 0; step < steps; ++step) {
    float* __restrict now = out + step * stride;
    for (std::int64_t i = 0; i < size; ++i) now[i] = static_cast<float>(static_cast<std::int32_t>(bits[i] >> step & 1));
  }
}

// Unpacks words [tile * unpack_tile, (tile + 1) * unpack_tile) of `spikes` [words] into `out` [count, words].
inline void unpack_tile_of(
    const std::uint64_t* spikes, std::int64_t words, int count, float* out, std::int64_t tile) {
  const std::int64_t begin = tile * unpack_tile;
  const std::int64_t size = std::min(unpack_tile, words - begin);
  std::uint32_t low[unpack_tile];
  std::uint32_t high[unpack_tile];
  for (std::int64_t i = 0; i < size; ++i) {
    const WordHalves halves = split_word(spikes[begin + i]);
    low[i] = halves.low;
    high[i] = halves.high;
  }
  unpack_half(low, size, std::min(count, steps_per_half), words, out + begin);
  if (count > steps_per_half) {
    unpack_half(high, size, count - steps_per_half, words, out + steps_per_half * words + begin);
  }
}

}  // namespace snnc::kernels
