// Integrate-and-fire neurons with soft (RMP) and hard (IF) reset over a block of steps.
//
// RMP-SNN, Han et al., CVPR 2020, equation 2 and the pseudo-code of section 4:
//     V <- V + I;   s = (V >= threshold);   RMP: V <- V - s * threshold   IF: V <- 0 where s
//
// With a leak, every step begins with V <- V - floor(V / 2^leak).
#pragma once

#include <algorithm>
#include <cstdint>

#include "neuron_common.hpp"
#include "vector.hpp"

namespace snnc::kernels {

enum class Reset { soft, hard };

// Neurons of all samples in C order.
struct NeuronBlock {
  const float* current;            // [count, neurons]: integers of magnitude below 2^24
  const std::int32_t* v;           // [neurons]
  const std::int32_t* threshold;   // [channels]; neuron i belongs to channel (i div plane) mod channels
  std::int64_t neurons;
  std::int64_t channels;
  std::int64_t plane;              // neurons of one channel of one sample
  int count;                       // steps, 0 to 64
  int leak;                        // 0 (none) to 15
  std::uint64_t* spikes;           // [neurons]
  std::int32_t* v_out;             // [neurons]
};

// Neurons that are simulated together: their membranes stay in the L1 cache for all steps.
constexpr std::int64_t neuron_tile = 1024;

// Up to 32 steps of `size` neurons; `stride` is the distance between the currents of two steps. Bit k of bits[i] is the
// spike of neuron i at step k.
template <Reset reset, bool leaky>
SNNC_ALWAYS_INLINE void integrate_and_fire(
    const float* current, std::int64_t stride, int steps, std::int64_t size, const std::int32_t* __restrict threshold,
    [[maybe_unused]] int leak, std::int32_t* __restrict v, std::uint32_t* __restrict bits) {
  for (int step = 0; step < steps; ++step) {
    const float* __restrict now = current + step * stride;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int32_t left = leaky ? after_leak(v[i], leak) : v[i];
      const std::int32_t charged = wrapping_add(left, static_cast<std::int32_t>(now[i]));
      const bool spike = charged >= threshold[i];
      const std::int32_t after_spike = reset == Reset::soft ? wrapping_sub(charged, threshold[i]) : 0;
      v[i] = spike ? after_spike : charged;
      bits[i] |= static_cast<std::uint32_t>(spike) << step;
    }
  }
}

SNNC_VECTOR_CLONES static void rmp_steps(
    const float* current, std::int64_t stride, int steps, std::int64_t size, const std::int32_t* threshold, int leak,
    std::int32_t* v, std::uint32_t* bits) {
  integrate_and_fire<Reset::soft, false>(current, stride, steps, size, threshold, leak, v, bits);
}

SNNC_VECTOR_CLONES static void if_steps(
    const float* current, std::int64_t stride, int steps, std::int64_t size, const std::int32_t* threshold, int leak,
    std::int32_t* v, std::uint32_t* bits) {
  integrate_and_fire<Reset::hard, false>(current, stride, steps, size, threshold, leak, v, bits);
}

SNNC_VECTOR_CLONES static void leaky_rmp_steps(
    const float* current, std::int64_t stride, int steps, std::int64_t size, const std::int32_t* threshold, int leak,
    std::int32_t* v, std::uint32_t* bits) {
  integrate_and_fire<Reset::soft, true>(current, stride, steps, size, threshold, leak, v, bits);
}

SNNC_VECTOR_CLONES static void leaky_if_steps(
    const float* current, std::int64_t stride, int steps, std::int64_t size, const std::int32_t* threshold, int leak,
    std::int32_t* v, std::uint32_t* bits) {
  integrate_and_fire<Reset::hard, true>(current, stride, steps, size, threshold, leak, v, bits);
}

// Simulates neurons [tile * neuron_tile, (tile + 1) * neuron_tile).
template <Reset reset>
void simulate_tile(const NeuronBlock& block, std::int64_t tile) {
  const std::int64_t begin = tile * neuron_tile;
  const std::int64_t size = std::min(neuron_tile, block.neurons - begin);
  std::int32_t threshold[neuron_tile];
  std::int32_t v[neuron_tile];
  std::uint32_t bits[2][neuron_tile] = {};
  expand_channels(block.threshold, block.channels, block.plane, begin, size, threshold);
  std::copy_n(block.v + begin, size, v);
  const auto run = block.leak > 0 ? (reset == Reset::soft ? leaky_rmp_steps : leaky_if_steps)
                                  : (reset == Reset::soft ? rmp_steps : if_steps);
  for (int half = 0; half < 2; ++half) {
    const int first = half * steps_per_half;
    const int steps = std::clamp(block.count - first, 0, steps_per_half);
    if (steps == 0) break;
    const float* current = block.current + first * block.neurons + begin;
    run(current, block.neurons, steps, size, threshold, block.leak, v, bits[half]);
  }
  std::copy_n(v, size, block.v_out + begin);
  for (std::int64_t i = 0; i < size; ++i) block.spikes[begin + i] = join_word(bits[0][i], bits[1][i]);
}

}  // namespace snnc::kernels
