// Poisson rate coding of real values into signed spike trains (RMP-SNN, Han et al., CVPR 2020, section 3.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "philox.hpp"
#include "vector.hpp"

namespace snnc::kernels {

// What stays the same for all elements of one sample.
struct EncodeSample {
  const float* x;
  std::int64_t elements;
  float scale;                // |x| that spikes at every step, > 0
  std::uint64_t seed;
  std::uint64_t sample;       // global index of the sample
  std::uint32_t first_step;   // global index of step 0 of the block
  int count;                  // steps in the block, 0 to 64
  std::uint64_t* plus;
  std::uint64_t* minus;
};

// One call of the generator serves a group of four neighbouring elements at one step.
constexpr int encode_group = 4;
constexpr int encode_tile_groups = 256;
constexpr std::int64_t encode_tile = encode_tile_groups * encode_group;  // elements

// The groups of a tile in which some element can spike, in arrays of one lane per group.
struct ActiveGroups {
  int size = 0;
  std::uint32_t group[encode_tile_groups];                      // index within the sample
  std::uint32_t odds[encode_group][encode_tile_groups];         // of a spike, in units of 2^-24
  std::uint32_t bits[2][encode_group][encode_tile_groups];      // spikes of steps 0-31 and 32-63
};

// Probability of a spike in units of 2^-24: ceil(min(|x| / scale, 1) * 2^24). NaN counts as 1.
SNNC_VECTOR_CLONES static void spike_odds(const float* x, std::int64_t size, float scale, std::uint32_t* odds) {
  constexpr std::int32_t certain = 1 << 24;
  for (std::int64_t i = 0; i < size; ++i) {
    const float p = std::fabs(x[i]) / scale;
    const float scaled = p < 1.0f ? p * static_cast<float>(certain) : static_cast<float>(certain);
    const std::int32_t floor = static_cast<std::int32_t>(scaled);
    odds[i] = static_cast<std::uint32_t>(floor + (static_cast<float>(floor) < scaled ? 1 : 0));
  }
}

// Sets bit `step` of `bits` for every element whose random number falls below its odds.
SNNC_VECTOR_CLONES static void draw_spikes(
    ActiveGroups& groups, std::uint32_t philox_step, std::uint64_t sample, std::uint64_t seed, int step) {
  const PhiloxKey key{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  const auto sample_low = static_cast<std::uint32_t>(sample);
  const auto sample_high = static_cast<std::uint32_t>(sample >> 32);
  const int shift = step % steps_per_half;
  auto& bits = groups.bits[step / steps_per_half];
  for (int lane = 0; lane < groups.size; ++lane) {
    const PhiloxWords random = philox4x32_10({groups.group[lane], philox_step, sample_low, sample_high}, key);
    bits[0][lane] |= static_cast<std::uint32_t>((random.w0 >> 8) < groups.odds[0][lane]) << shift;
    bits[1][lane] |= static_cast<std::uint32_t>((random.w1 >> 8) < groups.odds[1][lane]) << shift;
    bits[2][lane] |= static_cast<std::uint32_t>((random.w2 >> 8) < groups.odds[2][lane]) << shift;
    bits[3][lane] |= static_cast<std::uint32_t>((random.w3 >> 8) < groups.odds[3][lane]) << shift;
  }
}

// Gathers the groups of elements [begin, begin + size) that can spike. Black borders of images cost nothing this way.
inline void gather_active(const EncodeSample& in, std::int64_t begin, std::int64_t size, ActiveGroups& groups) {
  std::uint32_t odds[encode_tile] = {};
  spike_odds(in.x + begin, size, in.scale, odds);
  for (std::int64_t first = 0; first < size; first += encode_group) {
    const std::uint32_t* own = odds + first;
    if ((own[0] | own[1] | own[2] | own[3]) == 0) continue;
    const int lane = groups.size++;
    groups.group[lane] = static_cast<std::uint32_t>((begin + first) / encode_group);
    for (int j = 0; j < encode_group; ++j) {
      groups.odds[j][lane] = own[j];
      groups.bits[0][j][lane] = 0;
      groups.bits[1][j][lane] = 0;
    }
  }
}

inline void scatter_spikes(const EncodeSample& in, const ActiveGroups& groups) {
  for (int lane = 0; lane < groups.size; ++lane) {
    const std::int64_t first = static_cast<std::int64_t>(groups.group[lane]) * encode_group;
    const std::int64_t members = std::min<std::int64_t>(encode_group, in.elements - first);
    for (std::int64_t j = 0; j < members; ++j) {
      const std::uint64_t word = join_word(groups.bits[0][j][lane], groups.bits[1][j][lane]);
      (in.x[first + j] < 0.0f ? in.minus : in.plus)[first + j] = word;
    }
  }
}

// Encodes elements [tile * encode_tile, (tile + 1) * encode_tile) of one sample.
//
// Element e spikes at step k if (w >> 8) < odds(e), where w is word e mod 4 of
// philox4x32-10(counter = (e div 4, first_step + k, sample), key = seed): the result depends on nothing else.
inline void encode_tile_of(const EncodeSample& in, std::int64_t tile) {
  const std::int64_t begin = tile * encode_tile;
  const std::int64_t size = std::min(encode_tile, in.elements - begin);
  std::fill_n(in.plus + begin, size, 0);
  std::fill_n(in.minus + begin, size, 0);
  ActiveGroups groups;
  gather_active(in, begin, size, groups);
  for (int step = 0; step < in.count; ++step) {
    draw_spikes(groups, in.first_step + static_cast<std::uint32_t>(step), in.sample, in.seed, step);
  }
  scatter_spikes(in, groups);
}

}  // namespace snnc::kernels
