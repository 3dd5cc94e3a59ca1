// From planes of changes to entries: most elements are 0 and are passed over a vector at a time.
#pragma once

#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Gives how many entries there are, or -1 where a change does not fit into 16 bits.
inline std::int64_t list_changes(const ListChanges& list) {
  PlacedChange* to = list.to;
  std::uint32_t beyond = 0;
  const auto note = [&](std::int64_t pixel, std::uint32_t pair, std::int32_t even, std::int32_t odd) {
    constexpr std::uint32_t offset = largest_change, widest = 2 * largest_change;
    beyond |= static_cast<std::uint32_t>(static_cast<std::uint32_t>(even) + offset > widest) |
              static_cast<std::uint32_t>(static_cast<std::uint32_t>(odd) + offset > widest);
    *to++ = {static_cast<std::uint32_t>(pixel), pair, {static_cast<std::int16_t>(even), static_cast<std::int16_t>(odd)}};
    ++list.counts[pixel];
  };
  for (std::int64_t channel = 0; channel < list.channels; channel += 2) {
    const std::int32_t* const even = list.changes + channel * list.pixels;
    const bool single = channel + 1 == list.channels;
    const std::int32_t* const odd = single ? even : even + list.pixels;
    const auto pair = static_cast<std::uint32_t>(channel / 2);
    std::int64_t pixel = 0;
    for (; pixel + Simd::lanes <= list.pixels; pixel += Simd::lanes) {
      std::uint32_t found = Simd::not_zero(Simd::load(even + pixel)) | Simd::not_zero(Simd::load(odd + pixel));
      for (; found != 0; found &= found - 1) {
        const std::int64_t at = pixel + __builtin_ctz(found);
        note(at, pair, even[at], single ? 0 : odd[at]);
      }
    }
    for (; pixel < list.pixels; ++pixel) {
      if ((even[pixel] | odd[pixel]) != 0) note(pixel, pair, even[pixel], single ? 0 : odd[pixel]);
    }
  }
  return beyond != 0 ? -1 : to - list.to;
}

// The places of the elements that are not 0, in order; gives how many there are. `to` has room for all.
inline std::int64_t list_places(const std::int32_t* changes, std::int64_t size, std::uint32_t* to) {
  std::uint32_t* const start = to;
  std::int64_t place = 0;
  for (; place + Simd::lanes <= size; place += Simd::lanes) {
    std::uint32_t found = Simd::not_zero(Simd::load(changes + place));
    for (; found != 0; found &= found - 1) *to++ = static_cast<std::uint32_t>(place + __builtin_ctz(found));
  }
  for (; place < size; ++place) {
    if (changes[place] != 0) *to++ = static_cast<std::uint32_t>(place);
  }
  return to - start;
}

}  // namespace snnc::kernels::SNNC_SIMD
