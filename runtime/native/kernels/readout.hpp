// Output layers, which integrate and never fire: the spikes of a block are counted first and weighted once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector.hpp"

namespace snnc::kernels {

// Spikes are [copies][signs][inputs] words of a sample.
struct Readout {
  std::int64_t copies, signs, inputs, outputs;
  const std::int32_t* weights;  // [inputs, outputs], below 2^24 in magnitude; negative spikes (sign 1) subtract them
  const std::int32_t* bias;     // [outputs]
  int count;                    // steps of the block
};

constexpr std::int64_t readout_tile = 256;  // outputs whose sums stay in the L1 cache

// sums += factor * weights; |factor| <= 64, so that products have 32 bits.
SNNC_VECTOR_CLONES static void add_weighted(
    std::int64_t* __restrict sums, const std::int32_t* __restrict weights, std::int64_t size, std::int32_t factor) {
  for (std::int64_t i = 0; i < size; ++i) sums[i] += weights[i] * factor;
}

// What a block adds to outputs [first, first + size), size <= readout_tile.
inline void sum_block(
    const Readout& readout, const std::uint64_t* spikes, std::int64_t first, std::int64_t size, std::int64_t* sums) {
  std::fill_n(sums, size, 0);
  add_weighted(sums, readout.bias + first, size, readout.count);
  for (std::int64_t block = 0; block < readout.copies * readout.signs; ++block) {
    const int sign = block % readout.signs == 0 ? 1 : -1;
    for (std::int64_t input = 0; input < readout.inputs; ++input, ++spikes) {
      const int fired = __builtin_popcountll(*spikes);
      if (fired != 0) add_weighted(sums, readout.weights + input * readout.outputs + first, size, sign * fired);
    }
  }
}

// One sample: v and v_out [outputs] may be the same. Potentials are int64, or int32 modulo 2^32 (version 1).
template <class Potential>
void read_out(const Readout& readout, const std::uint64_t* spikes, const Potential* v, Potential* v_out) {
  std::int64_t sums[readout_tile];
  for (std::int64_t first = 0; first < readout.outputs; first += readout_tile) {
    const std::int64_t size = std::min(readout_tile, readout.outputs - first);
    sum_block(readout, spikes, first, size, sums);
    for (std::int64_t i = first; i < first + size; ++i) {
      v_out[i] = static_cast<Potential>(static_cast<std::uint64_t>(v[i]) + static_cast<std::uint64_t>(sums[i - first]));
    }
  }
}

}  // namespace snnc::kernels
