// Neurons that fire +1 and -1 until their spike count has the value that their charge asks for.
//
// Staircase (the signed neuron of exact networks): the membrane holds what the spikes have not yet said.
//     V <- V + I;   s = 1 if V >= threshold and S < high,  -1 if otherwise V < 0 and S > low,  0 else
//     V <- V - s * threshold;   S <- S + s
// Without current it is at rest as soon as a step goes by in which it does not fire.
// StaircaseTable: the membrane is the whole charge, and a table gives the count for it.
//     V <- V + I;   s = sign(target(V) - S);   S <- S + s
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "neuron_common.hpp"
#include "staircase_table.hpp"
#include "vector.hpp"

namespace snnc::kernels {

// Neurons of all samples in C order, and what a block of steps makes of them. States may be updated in place.
struct StaircaseBlock {
  const float* current;         // [count, neurons]: integers of magnitude below 2^24
  const std::int32_t* v;        // [neurons]
  const std::int32_t* counts;   // [neurons]: S, positive minus negative spikes so far
  std::int64_t neurons;
  std::int64_t sample;          // neurons of one sample
  std::int64_t plane;           // neurons of one channel of one sample
  int count;                    // steps, 0 to 64
  std::uint64_t* fired;         // [samples, 2, sample]: positive spikes, then negative ones
  std::int32_t* v_out;          // [neurons]
  std::int32_t* counts_out;     // [neurons]
};

// The thresholds and the range of the counts of `Staircase`.
struct StaircaseLimits {
  const std::int32_t* threshold;  // [channels]
  std::int64_t channels;
  std::int32_t low, high;
};

constexpr std::int64_t staircase_tile = 512;  // neurons whose states stay in the L1 cache for all steps

// The states of a tile, and the spikes of half a block: bit k of up[i] is a positive spike of neuron i at step k.
struct StaircaseTile {
  std::int64_t begin, size;
  std::int32_t v[staircase_tile];
  std::int32_t counts[staircase_tile];
  std::uint32_t up[2][staircase_tile];
  std::uint32_t down[2][staircase_tile];
};

// The currents of up to 32 steps of a tile; `stride` is the distance between those of two steps.
struct StepCurrents {
  const float* first;
  std::int64_t stride;
  int steps;
};

SNNC_VECTOR_CLONES static void staircase_steps(
    const StepCurrents& currents, std::int64_t size, std::int32_t low, std::int32_t high,
    const std::int32_t* __restrict threshold, std::int32_t* __restrict v, std::int32_t* __restrict counts,
    std::uint32_t* __restrict up, std::uint32_t* __restrict down) {
  for (int step = 0; step < currents.steps; ++step) {
    const float* __restrict now = currents.first + step * currents.stride;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int32_t charged = wrapping_add(v[i], static_cast<std::int32_t>(now[i]));
      const bool rises = (charged >= threshold[i]) & (counts[i] < high);
      const bool falls = !rises & (charged < 0) & (counts[i] > low);
      const std::int32_t after_rise = wrapping_sub(charged, threshold[i]);
      const std::int32_t after_fall = wrapping_add(charged, threshold[i]);
      v[i] = rises ? after_rise : falls ? after_fall : charged;
      counts[i] += static_cast<std::int32_t>(rises) - static_cast<std::int32_t>(falls);
      up[i] |= static_cast<std::uint32_t>(rises) << step;
      down[i] |= static_cast<std::uint32_t>(falls) << step;
    }
  }
}

// What the neurons of a tile last found in their tables.
struct TileTargets {
  std::int32_t row[staircase_tile];
  std::int32_t least[staircase_tile], most[staircase_tile];  // charges with this target
  std::int32_t target[staircase_tile];
  std::uint8_t is_outside[staircase_tile];  // 1 where the charge has left these bounds; 0 behind the tile's neurons
};

// Adds the currents of a step to the charges, and marks those that leave the bounds of their targets.
SNNC_VECTOR_CLONES static void add_charges(
    const float* __restrict now, std::int64_t size, std::int32_t* __restrict v, TileTargets& found) {
  const std::int32_t* __restrict least = found.least;
  const std::int32_t* __restrict most = found.most;
  std::uint8_t* __restrict is_outside = found.is_outside;
  for (std::int64_t i = 0; i < size; ++i) {
    v[i] = wrapping_add(v[i], static_cast<std::int32_t>(now[i]));
    is_outside[i] = (v[i] < least[i]) | (v[i] > most[i]);
  }
}

inline void find_target(const TargetTable& table, const std::int32_t* v, std::int64_t i, TileTargets& found) {
  const TargetStretch stretch = table.find(found.row[i], v[i]);
  found.least[i] = stretch.least;
  found.most[i] = stretch.most;
  found.target[i] = stretch.target;
}

// Looks up the targets of all marked neurons. Listing them first spares a branch on each mark.
inline void find_marked_targets(
    const TargetTable& table, const std::int32_t* v, std::int64_t size, TileTargets& found) {
  constexpr std::int64_t at_once = sizeof(std::uint64_t);
  static_assert(staircase_tile % at_once == 0);
  std::int32_t marked[staircase_tile + 1];
  std::int64_t listed = 0;
  for (std::int64_t first = 0; first < size; first += at_once) {
    std::uint64_t any;
    std::memcpy(&any, found.is_outside + first, sizeof any);
    if (any == 0) continue;
    for (std::int64_t i = first; i < first + at_once; ++i) {
      marked[listed] = static_cast<std::int32_t>(i);
      listed += found.is_outside[i];
    }
  }
  for (std::int64_t at = 0; at < listed; ++at) find_target(table, v, marked[at], found);
}

SNNC_VECTOR_CLONES static void fire_towards(
    const std::int32_t* __restrict target, std::int64_t size, int step, std::int32_t* __restrict counts,
    std::uint32_t* __restrict up, std::uint32_t* __restrict down) {
  for (std::int64_t i = 0; i < size; ++i) {
    const bool rises = counts[i] < target[i];
    const bool falls = counts[i] > target[i];
    counts[i] += static_cast<std::int32_t>(rises) - static_cast<std::int32_t>(falls);
    up[i] |= static_cast<std::uint32_t>(rises) << step;
    down[i] |= static_cast<std::uint32_t>(falls) << step;
  }
}

inline void load_tile(const StaircaseBlock& block, std::int64_t index, StaircaseTile& tile) {
  tile.begin = index * staircase_tile;
  tile.size = std::min(staircase_tile, block.neurons - tile.begin);
  std::copy_n(block.v + tile.begin, tile.size, tile.v);
  std::copy_n(block.counts + tile.begin, tile.size, tile.counts);
  for (int half = 0; half < 2; ++half) {
    std::fill_n(tile.up[half], tile.size, 0u);
    std::fill_n(tile.down[half], tile.size, 0u);
  }
}

// A tile may hold neurons of several samples; each has its positive spikes, then its negative ones.
inline void store_tile(const StaircaseBlock& block, const StaircaseTile& tile) {
  std::copy_n(tile.v, tile.size, block.v_out + tile.begin);
  std::copy_n(tile.counts, tile.size, block.counts_out + tile.begin);
  for (std::int64_t i = 0; i < tile.size;) {
    const std::int64_t position = tile.begin + i;
    const std::int64_t run = std::min(block.sample - position % block.sample, tile.size - i);
    std::uint64_t* plus = block.fired + position / block.sample * block.sample + position;
    std::uint64_t* minus = plus + block.sample;
    for (std::int64_t j = 0; j < run; ++j) {
      plus[j] = join_word(tile.up[0][i + j], tile.up[1][i + j]);
      minus[j] = join_word(tile.down[0][i + j], tile.down[1][i + j]);
    }
    i += run;
  }
}

// Calls run(currents, half) for each half of the block that has steps.
template <class Run>
void for_each_half(const StaircaseBlock& block, const StaircaseTile& tile, const Run& run) {
  for (int half = 0; half < 2; ++half) {
    const int first = half * steps_per_half;
    const int steps = std::clamp(block.count - first, 0, steps_per_half);
    if (steps > 0) run(StepCurrents{block.current + first * block.neurons + tile.begin, block.neurons, steps}, half);
  }
}

// Simulates neurons [index * staircase_tile, (index + 1) * staircase_tile).
inline void simulate_staircase(const StaircaseBlock& block, const StaircaseLimits& limits, std::int64_t index) {
  StaircaseTile tile;
  std::int32_t threshold[staircase_tile];
  load_tile(block, index, tile);
  expand_channels(limits.threshold, limits.channels, block.plane, tile.begin, tile.size, threshold);
  for_each_half(block, tile, [&](const StepCurrents& currents, int half) {
    staircase_steps(
        currents, tile.size, limits.low, limits.high, threshold, tile.v, tile.counts, tile.up[half], tile.down[half]);
  });
  store_tile(block, tile);
}

// A step without current, of which bit `step` is; whether any neuron fires.
SNNC_VECTOR_CLONES static bool staircase_settles(
    std::int64_t size, std::int32_t low, std::int32_t high, int step, const std::int32_t* __restrict threshold,
    std::int32_t* __restrict v, std::int32_t* __restrict counts, std::uint32_t* __restrict up,
    std::uint32_t* __restrict down) {
  std::uint32_t any = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const bool rises = (v[i] >= threshold[i]) & (counts[i] < high);
    const bool falls = !rises & (v[i] < 0) & (counts[i] > low);
    const std::int32_t after_rise = wrapping_sub(v[i], threshold[i]);
    const std::int32_t after_fall = wrapping_add(v[i], threshold[i]);
    v[i] = rises ? after_rise : falls ? after_fall : v[i];
    counts[i] += static_cast<std::int32_t>(rises) - static_cast<std::int32_t>(falls);
    up[i] |= static_cast<std::uint32_t>(rises) << step;
    down[i] |= static_cast<std::uint32_t>(falls) << step;
    any |= static_cast<std::uint32_t>(rises | falls);
  }
  return any != 0;
}

SNNC_VECTOR_CLONES static void add_charge(const float* __restrict charge, std::int64_t size, std::int32_t* __restrict v) {
  for (std::int64_t i = 0; i < size; ++i) v[i] = wrapping_add(v[i], static_cast<std::int32_t>(charge[i]));
}

// Neurons as of `simulate_staircase` that get `block.current` [neurons] before the first step, and nothing after that.
inline void simulate_staircase_charge(const StaircaseBlock& block, const StaircaseLimits& limits, std::int64_t index) {
  StaircaseTile tile;
  std::int32_t threshold[staircase_tile];
  load_tile(block, index, tile);
  expand_channels(limits.threshold, limits.channels, block.plane, tile.begin, tile.size, threshold);
  add_charge(block.current + tile.begin, tile.size, tile.v);
  bool fires = true;
  for (int step = 0; step < block.count && fires; ++step) {
    const int half = step / steps_per_half;
    fires = staircase_settles(tile.size, limits.low, limits.high, step % steps_per_half, threshold, tile.v, tile.counts,
                              tile.up[half], tile.down[half]);
  }
  store_tile(block, tile);
}

// The same for neurons with tables.
inline void simulate_staircase_table(const StaircaseBlock& block, const TargetTable& table, std::int64_t index) {
  StaircaseTile tile;
  TileTargets found;
  load_tile(block, index, tile);
  expand_channels(table.rows(), table.channels(), block.plane, tile.begin, tile.size, found.row);
  std::fill_n(found.is_outside, staircase_tile, std::uint8_t{0});
  for (std::int64_t i = 0; i < tile.size; ++i) find_target(table, tile.v, i, found);
  for_each_half(block, tile, [&](const StepCurrents& currents, int half) {
    for (int step = 0; step < currents.steps; ++step) {
      add_charges(currents.first + step * currents.stride, tile.size, tile.v, found);
      find_marked_targets(table, tile.v, tile.size, found);
      fire_towards(found.target, tile.size, step, tile.counts, tile.up[half], tile.down[half]);
    }
  });
  store_tile(block, tile);
}

}  // namespace snnc::kernels
