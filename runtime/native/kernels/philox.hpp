// The counter-based random number generator Philox4x32-10.
//
// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
#pragma once

#include <cstdint>

#include "vector.hpp"

namespace snnc::kernels {

struct PhiloxKey {
  std::uint32_t k0, k1;
};

// Four 32-bit words: the counter that goes in, and the random words that come out.
struct PhiloxWords {
  std::uint32_t w0, w1, w2, w3;
};

SNNC_ALWAYS_INLINE PhiloxWords philox_round(PhiloxWords c, PhiloxKey key) {
  const std::uint64_t product0 = std::uint64_t{0xD2511F53} * c.w0;
  const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * c.w2;
  return {
      static_cast<std::uint32_t>(product1 >> 32) ^ c.w1 ^ key.k0,
      static_cast<std::uint32_t>(product1),
      static_cast<std::uint32_t>(product0 >> 32) ^ c.w3 ^ key.k1,
      static_cast<std::uint32_t>(product0),
  };
}

// Ten rounds; the key moves on by two Weyl sequences.
SNNC_ALWAYS_INLINE PhiloxWords philox4x32_10(PhiloxWords counter, PhiloxKey key) {
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    counter = philox_round(counter, key);
    key.k0 += 0x9E3779B9;
    key.k1 += 0xBB67AE85;
  }
  return counter;
}

}  // namespace snnc::kernels
