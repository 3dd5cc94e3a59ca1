// Which elements of an array of changes are not 0: most are, and are passed over a vector at a time.
#pragma once

#include <cstdint>

namespace snnc::kernels::SNNC_SIMD {

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
