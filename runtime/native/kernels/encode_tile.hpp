// The encoder's kernel, for the vector unit whose Simd (simd/*.hpp) is included before.
#pragma once

#include "encode.hpp"
#include "philox.hpp"

namespace snnc::kernels::SNNC_SIMD {

// The groups of a tile in which some element can spike, in arrays of one lane per group.
struct ActiveGroups {
  int size = 0;
  u64 group[encode_tile_groups];                 // index within the sample
  u64 limits01[encode_tile_groups];              // largest random words that spike, in the halves of PhiloxWords
  u64 limits23[encode_tile_groups];
  u64 spikes[encode_group][encode_tile_groups];  // garbage for elements that cannot spike
};

// Probability of a spike in units of 2^-24: ceil(min(|x| / scale, 1) * 2^24). NaN counts as 1.
inline void spike_odds(const float* x, std::int64_t size, float scale, u32* odds) {
  constexpr std::int32_t certain = 1 << 24;
  for (std::int64_t i = 0; i < size; ++i) {
    const float p = __builtin_fabsf(x[i]) / scale;
    const float scaled = p < 1.0f ? p * static_cast<float>(certain) : static_cast<float>(certain);
    const std::int32_t floor = static_cast<std::int32_t>(scaled);
    odds[i] = static_cast<u32>(floor + (static_cast<float>(floor) < scaled ? 1 : 0));
  }
}

// The largest 32-bit word w with (w >> 8) < odds, which must not be 0.
inline u32 spike_limit(u32 odds) { return (odds << 8) - 1; }

inline u64 spike_limits(const u32* odds) {
  return static_cast<u64>(spike_limit(odds[0])) << 32 | spike_limit(odds[1]);
}

// Gathers the groups of a tile that can spike. Black borders of images cost nothing this way.
inline void gather_active(const u32* odds, std::int64_t tile, ActiveGroups& active) {
  for (int group = 0; group < encode_tile_groups; ++group) {
    const u32* own = odds + group * encode_group;
    active.group[active.size] = static_cast<u64>(tile * encode_tile_groups + group);
    active.limits01[active.size] = spike_limits(own);
    active.limits23[active.size] = spike_limits(own + 2);
    active.size += (own[0] | own[1] | own[2] | own[3]) != 0;
  }
  // Vectors read and write the lanes behind the last group as well.
  for (int lane = active.size; lane % wide_lanes != 0; ++lane) {
    active.group[lane] = active.limits01[lane] = active.limits23[lane] = 0;
  }
}

inline Wide load_wide(const u64* from) { return *reinterpret_cast<const Wide*>(from); }
inline void store_wide(u64* to, Wide value) { *reinterpret_cast<Wide*>(to) = value; }

// Spikes of up to 32 steps, with those of elements 0 and 2 in the high halves.
struct HalfBlock {
  Wide spikes01 = {}, spikes23 = {};
};

inline HalfBlock draw_half(
    const PhiloxSample& shared, const PhiloxGroups& groups, Wide limits01, Wide limits23, int begin, int end) {
  HalfBlock half;
  Wide bit = spread(u64{1} << 32 | 1);
  for (int step = begin; step < end; ++step, bit += bit) {
    const PhiloxWords random = philox_words(shared, groups, step);
    half.spikes01 = Simd::or_where_below(half.spikes01, bit, random.words01, limits01);
    half.spikes23 = Simd::or_where_below(half.spikes23, bit, random.words23, limits23);
  }
  return half;
}

inline void draw_spikes(const EncodeSample& in, ActiveGroups& active) {
  constexpr u64 low = 0xffffffff;
  const PhiloxSample shared = philox_sample(in.seed, in.sample, in.first_step, in.count);
  const int middle = in.count < 32 ? in.count : 32;
  for (int lane = 0; lane < active.size; lane += wide_lanes) {
    const PhiloxGroups groups = philox_groups(shared, load_wide(active.group + lane));
    const Wide limits01 = load_wide(active.limits01 + lane), limits23 = load_wide(active.limits23 + lane);
    const HalfBlock first = draw_half(shared, groups, limits01, limits23, 0, middle);
    const HalfBlock second = draw_half(shared, groups, limits01, limits23, middle, in.count);
    store_wide(active.spikes[0] + lane, first.spikes01 >> 32 | (second.spikes01 & ~low));
    store_wide(active.spikes[1] + lane, (first.spikes01 & low) | second.spikes01 << 32);
    store_wide(active.spikes[2] + lane, first.spikes23 >> 32 | (second.spikes23 & ~low));
    store_wide(active.spikes[3] + lane, (first.spikes23 & low) | second.spikes23 << 32);
  }
}

// Encodes elements [tile * encode_tile, (tile + 1) * encode_tile) of one sample.
//
// Element e spikes at step k if (w >> 8) < odds(e), where w is word e mod 4 of
// philox4x32-10(counter = (e div 4, first_step + k, sample), key = seed): the result depends on nothing else.
inline void encode(const EncodeSample& in, std::int64_t tile) {
  const std::int64_t begin = tile * encode_tile;
  const std::int64_t size = in.elements - begin < encode_tile ? in.elements - begin : encode_tile;
  u32 odds[encode_tile] = {};
  spike_odds(in.x + begin, size, in.scale, odds);
  ActiveGroups active;
  gather_active(odds, tile, active);
  draw_spikes(in, active);

  u64 words[encode_tile] = {};
  const std::int64_t first_group = tile * encode_tile_groups;
  for (int lane = 0; lane < active.size; ++lane) {
    u64* own = words + (static_cast<std::int64_t>(active.group[lane]) - first_group) * encode_group;
    for (int j = 0; j < encode_group; ++j) own[j] = active.spikes[j][lane];
  }
  for (std::int64_t i = 0; i < size; ++i) {
    const u64 word = odds[i] != 0 ? words[i] : 0;
    const bool negative = in.x[begin + i] < 0.0f;
    in.plus[begin + i] = negative ? 0 : word;
    in.minus[begin + i] = negative ? word : 0;
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
