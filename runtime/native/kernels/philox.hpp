// The counter-based random number generator Philox4x32-10, for many groups of elements at once.
//
// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3. A round takes the
// words (w0, w1, w2, w3) and the key (k0, k1) to
//
//     (high(M1 w2) ^ w1 ^ k0,  low(M1 w2),  high(M0 w0) ^ w3 ^ k1,  low(M0 w0))
//
// where high and low are the halves of the 64-bit product. A vector holds one 32-bit word of a group in the low half of
// each 64-bit lane. What is in the high half does not matter: multiplication ignores it. So the products themselves
// stand for w1 and w3.
//
// The counter is (group, step, sample low, sample high). Until round 2 every word depends on the step alone or on the
// group alone, or is the ^ of two such parts: most of the first three of the ten rounds is shared.
#pragma once

#include <cstdint>

namespace snnc::kernels::SNNC_SIMD {

// Passed between inlined functions of one unit only: how other units would pass it does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

using Wide = Simd::Wide;
constexpr int wide_lanes = sizeof(Wide) / sizeof(u64);

constexpr int philox_rounds = 10;
constexpr u64 philox_m0 = 0xD2511F53, philox_m1 = 0xCD9E8D57;
constexpr u32 philox_weyl0 = 0x9E3779B9, philox_weyl1 = 0xBB67AE85;
constexpr int philox_most_steps = 64;

inline Wide spread(u64 value) { return Wide{} + value; }
inline Wide times_m0(Wide word) { return Simd::multiply_low(word, spread(philox_m0)); }
inline Wide times_m1(Wide word) { return Simd::multiply_low(word, spread(philox_m1)); }

// What all groups of a sample share.
struct PhiloxSample {
  Wide key0[philox_rounds], key1[philox_rounds];
  Wide w1_after_round_0, w3_of_counter;
  // M0 w0 of round 1 and its high half, by step. Scalars: spreading them costs nothing on the way from memory.
  u64 product0_of_round_1[philox_most_steps], high0_of_round_1[philox_most_steps];
};

inline PhiloxSample philox_sample(u64 seed, u64 sample, u32 first_step, int count) {
  PhiloxSample shared;
  for (u32 round = 0; round < philox_rounds; ++round) {
    shared.key0[round] = spread(static_cast<u32>(seed) + round * philox_weyl0);
    shared.key1[round] = spread(static_cast<u32>(seed >> 32) + round * philox_weyl1);
  }
  const u64 product1 = philox_m1 * static_cast<u32>(sample);
  shared.w1_after_round_0 = spread(product1);
  shared.w3_of_counter = spread(sample >> 32);
  for (int step = 0; step < count; ++step) {
    const u32 w1_of_counter = first_step + static_cast<u32>(step);
    const u32 w0_after_round_0 = static_cast<u32>(product1 >> 32) ^ w1_of_counter ^ static_cast<u32>(seed);
    shared.product0_of_round_1[step] = philox_m0 * w0_after_round_0;
    shared.high0_of_round_1[step] = shared.product0_of_round_1[step] >> 32;
  }
  return shared;
}

// What all steps of a vector of groups share: the part of words 0 and 2 that depends on the group.
struct PhiloxGroups {
  Wide w2_after_round_1, w0_after_round_2, w2_after_round_2, product0_of_round_2;
};

inline PhiloxGroups philox_groups(const PhiloxSample& shared, Wide group) {
  PhiloxGroups parts;
  const Wide product0_of_round_0 = times_m0(group);
  const Wide w2_after_round_0 = product0_of_round_0 >> 32 ^ shared.w3_of_counter ^ shared.key1[0];
  const Wide product1_of_round_1 = times_m1(w2_after_round_0);
  const Wide w0_after_round_1 = product1_of_round_1 >> 32 ^ shared.w1_after_round_0 ^ shared.key0[1];
  parts.w2_after_round_1 = product0_of_round_0 ^ shared.key1[1];
  parts.w0_after_round_2 = product1_of_round_1 ^ shared.key0[2];
  parts.product0_of_round_2 = times_m0(w0_after_round_1);
  parts.w2_after_round_2 = parts.product0_of_round_2 >> 32 ^ shared.key1[2];
  return parts;
}

// The random words of each group: 0 and 2 in the high halves of the lanes, 1 and 3 in the low halves.
struct PhiloxWords {
  Wide words01, words23;
};

inline PhiloxWords philox_words(const PhiloxSample& shared, const PhiloxGroups& parts, int step) {
  Wide product1 = times_m1(parts.w2_after_round_1 ^ spread(shared.high0_of_round_1[step]));
  Wide product0 = parts.product0_of_round_2;
  Wide w0 = product1 >> 32 ^ parts.w0_after_round_2;
  Wide w2 = parts.w2_after_round_2 ^ spread(shared.product0_of_round_1[step]);
#pragma GCC unroll 10
  for (int round = 3; round < philox_rounds - 1; ++round) {
    const Wide next0 = times_m0(w0), next1 = times_m1(w2);
    w0 = next1 >> 32 ^ product1 ^ shared.key0[round];
    w2 = next0 >> 32 ^ product0 ^ shared.key1[round];
    product0 = next0;
    product1 = next1;
  }
  constexpr int last = philox_rounds - 1;
  return {
      times_m1(w2) ^ product1 << 32 ^ shared.key0[last] << 32,
      times_m0(w0) ^ product0 << 32 ^ shared.key1[last] << 32,
  };
}

}  // namespace snnc::kernels::SNNC_SIMD
