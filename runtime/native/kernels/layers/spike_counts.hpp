// Counting spikes in words.
#pragma once

#include "../vector.hpp"

namespace snnc::kernels::SNNC_SIMD {

inline std::int64_t count_spikes(const u64* words, std::int64_t size) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < size; ++i) count += __builtin_popcountll(words[i]);
  return count;
}

// counts[i] = number of set bits of the words at i, i + period, i + 2 * period, ... (`repeats` of them).
inline void count_repeats(
    const u64* words, std::int64_t size, std::int64_t period, std::int64_t repeats, std::int64_t* counts) {
  using Wide = Simd::Wide;
  constexpr int lanes = sizeof(Wide) / sizeof(u64), vectors = 4;
  std::int64_t i = 0;
  for (; i + vectors * lanes <= size; i += vectors * lanes) {
    Wide sums[vectors] = {};
    for (std::int64_t repeat = 0; repeat < repeats; ++repeat) {
#pragma GCC unroll 4
      for (int vector = 0; vector < vectors; ++vector) {
        const u64* const from = words + repeat * period + i + vector * lanes;
        sums[vector] += Simd::count_bits(*reinterpret_cast<const Wide*>(from));
      }
    }
    __builtin_memcpy(counts + i, sums, sizeof sums);
  }
  for (; i < size; ++i) {
    counts[i] = 0;
    for (std::int64_t repeat = 0; repeat < repeats; ++repeat) {
      counts[i] += __builtin_popcountll(words[repeat * period + i]);
    }
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
