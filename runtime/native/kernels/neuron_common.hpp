// What the kernels of all neurons share: int32 arithmetic, and parameters per channel.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector.hpp"

namespace snnc::kernels {

// int32 arithmetic modulo 2^32, as in the ONNX form of the operators.
SNNC_ALWAYS_INLINE std::int32_t wrapping_add(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

SNNC_ALWAYS_INLINE std::int32_t wrapping_sub(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
}

// v - floor(v / 2^leak) for leak from 1 to 15: always between v and 0, so it needs no more room.
SNNC_ALWAYS_INLINE std::int32_t after_leak(std::int32_t v, int leak) { return v - (v >> leak); }

// What each of the neurons [begin, begin + size) has of its channel. Neuron i belongs to channel (i div plane) mod
// channels.
inline void expand_channels(
    const std::int32_t* per_channel, std::int64_t channels, std::int64_t plane, std::int64_t begin, std::int64_t size,
    std::int32_t* out) {
  if (channels == 1) {
    std::fill_n(out, size, per_channel[0]);
    return;
  }
  for (std::int64_t i = 0; i < size;) {
    const std::int64_t position = begin + i;
    const std::int64_t rest_of_channel = plane - position % plane;
    const std::int64_t run = std::min(rest_of_channel, size - i);
    std::fill_n(out + i, run, per_channel[position / plane % channels]);
    i += run;
  }
}

}  // namespace snnc::kernels
