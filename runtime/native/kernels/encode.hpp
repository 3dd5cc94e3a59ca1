// Poisson rate coding of real values into signed spike trains (RMP-SNN, Han et al., CVPR 2020, section 3.1): what the
// encoder works on. The vector kernels are in encode_tile.hpp.
#pragma once

#include <cstdint>

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

}  // namespace snnc::kernels
