// What the product of two spike counts changes by in every step.
//
// A train is a count and its changes during the block, one bit per step. Only steps in which either count changes are
// looked at; all others give 0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vector.hpp"

namespace snnc::kernels {

// The trains of one channel of one sample.
struct FactorPlane {
  const std::uint64_t* plus;
  const std::uint64_t* minus;   // nullptr where spikes have no sign
  const std::int32_t* counts;   // before the block: positive minus negative spikes
};

// One channel of one sample: element i multiplies first[first_places[i]] and second[second_places[i]].
struct ProductPlane {
  FactorPlane first, second;
  const std::vector<std::int64_t>& first_places;
  const std::vector<std::int64_t>& second_places;
  float* current;             // of the first step; one step behind it lies the next
  std::int64_t step_size;
  int count;
};

SNNC_ALWAYS_INLINE std::uint64_t steps_of(int count) {
  return count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

struct Changes {
  std::uint64_t up, down;  // steps in which a count rises and falls by 1; no step is in both
};

SNNC_ALWAYS_INLINE Changes changes_of(const FactorPlane& plane, std::int64_t at, std::uint64_t steps) {
  const std::uint64_t plus = plane.plus[at] & steps;
  const std::uint64_t minus = plane.minus == nullptr ? 0 : plane.minus[at] & steps;
  return {plus & ~minus, minus & ~plus};
}

SNNC_ALWAYS_INLINE std::int64_t change_at(const Changes& changes, int step) {
  return static_cast<std::int64_t>(changes.up >> step & 1) - static_cast<std::int64_t>(changes.down >> step & 1);
}

inline void product_plane(const ProductPlane& plane) {
  const auto size = static_cast<std::int64_t>(plane.first_places.size());
  for (int step = 0; step < plane.count; ++step) std::fill_n(plane.current + step * plane.step_size, size, 0.0f);
  const std::uint64_t steps = steps_of(plane.count);
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t first = plane.first_places[static_cast<std::size_t>(i)];
    const std::int64_t second = plane.second_places[static_cast<std::size_t>(i)];
    const Changes a = changes_of(plane.first, first, steps), b = changes_of(plane.second, second, steps);
    std::int64_t count_a = plane.first.counts[first], count_b = plane.second.counts[second];
    for (std::uint64_t events = a.up | a.down | b.up | b.down; events != 0; events &= events - 1) {
      const int step = __builtin_ctzll(events);
      const std::int64_t before = count_a * count_b;
      count_a += change_at(a, step);
      count_b += change_at(b, step);
      plane.current[step * plane.step_size + i] = static_cast<float>(count_a * count_b - before);
    }
  }
}

// The counts of a channel of `size` elements behind the block. They may be updated in place.
SNNC_POPCOUNT_CLONES static void counts_behind(
    const FactorPlane& plane, std::int64_t size, int count, std::int32_t* counts_out) {
  const std::uint64_t steps = steps_of(count);
  for (std::int64_t i = 0; i < size; ++i) {
    const Changes changes = changes_of(plane, i, steps);
    const int change = __builtin_popcountll(changes.up) - __builtin_popcountll(changes.down);
    counts_out[i] = static_cast<std::int32_t>(
        static_cast<std::uint32_t>(plane.counts[i]) + static_cast<std::uint32_t>(change));
  }
}

}  // namespace snnc::kernels
