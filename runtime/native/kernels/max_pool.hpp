// Max-pooling of spike counts: an output fires when the largest count in its window changes.
//
// A train is a count and its changes during the block, one bit per step. The larger of two trains is one again, so a
// window is a fold, axis by axis. A train without spikes costs a comparison; the others cost a few operations per spike.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vector.hpp"

namespace snnc::kernels {

// The elements of a window along one axis that lie inside the plane; there may be none.
struct PoolWindow {
  std::int64_t first, elements;
};

// The windows along one axis of a plane. They are listed once: dividing for each plane would take longer than pooling.
struct PoolAxis {
  std::int64_t size;      // of the input
  std::int64_t dilation;  // from one element of a window to the next
  std::vector<PoolWindow> windows;

  PoolAxis(
      std::int64_t size, std::int64_t outputs, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
      std::int64_t pad)
      : size(size), dilation(dilation) {
    for (std::int64_t at = 0; at < outputs; ++at) {
      const std::int64_t start = at * stride - pad;
      const std::int64_t outside = start < 0 ? (-start + dilation - 1) / dilation : 0;
      const std::int64_t room = std::max<std::int64_t>(size - start, 0);
      const std::int64_t end = std::min(kernel, (room + dilation - 1) / dilation);
      windows.push_back({start + outside * dilation, std::max<std::int64_t>(end - outside, 0)});
    }
  }

  std::int64_t outputs() const { return static_cast<std::int64_t>(windows.size()); }
};

// One channel of one sample. Counts may be updated in place.
struct PoolPlane {
  const std::uint64_t* plus;    // [size]
  const std::uint64_t* minus;   // [size], or nullptr where spikes have no sign
  const std::int32_t* counts;   // [size]: positive minus negative spikes before the block
  std::uint64_t steps;          // a bit for every step of the block
  std::uint64_t* fired_plus;    // [outputs]
  std::uint64_t* fired_minus;   // [outputs], or nullptr
  std::int32_t* counts_out;     // [size]
};

struct CountTrain {
  std::int32_t count;       // before the block
  std::uint64_t up, down;   // steps in which it rises and falls by 1; no step is in both
};

SNNC_ALWAYS_INLINE int step_change(const CountTrain& train, std::uint64_t step) {
  return static_cast<int>((train.up & step) != 0) - static_cast<int>((train.down & step) != 0);
}

// The larger of two trains whose order may change within the block.
SNNC_ALWAYS_INLINE CountTrain larger_by_step(const CountTrain& a, const CountTrain& b, std::int64_t lead) {
  CountTrain larger{std::max(a.count, b.count), 0, 0};
  for (std::uint64_t events = a.up | a.down | b.up | b.down; events != 0; events &= events - 1) {
    const std::uint64_t step = events & -events;
    const int change_b = step_change(b, step);
    const std::int64_t next_lead = lead + step_change(a, step) - change_b;
    const std::int64_t change = change_b + std::max<std::int64_t>(next_lead, 0) - std::max<std::int64_t>(lead, 0);
    larger.up |= change > 0 ? step : 0;
    larger.down |= change < 0 ? step : 0;
    lead = next_lead;
  }
  return larger;
}

SNNC_ALWAYS_INLINE CountTrain larger_train(const CountTrain& a, const CountTrain& b) {
  // Which one is ahead is chance: no branch on it.
  const CountTrain* const trains[] = {&a, &b};
  const std::int64_t difference = static_cast<std::int64_t>(a.count) - b.count;
  const CountTrain& ahead = *trains[difference < 0];
  const CountTrain& behind = *trains[difference >= 0];
  const std::int64_t lead = difference < 0 ? -difference : difference;
  if (lead >= __builtin_popcountll(ahead.down) + __builtin_popcountll(behind.up)) return ahead;
  return larger_by_step(ahead, behind, lead);
}

// Pools `trains` [before, axis.size, after] along the middle axis to `pooled` [before, outputs, after].
SNNC_POPCOUNT_CLONES static void pool_axis(
    const PoolAxis& axis, std::int64_t before, std::int64_t after, const CountTrain* trains,
    CountTrain* __restrict pooled) {
  for (std::int64_t line = 0; line < before; ++line, trains += axis.size * after) {
    for (const PoolWindow& window : axis.windows) {
      const CountTrain* element = trains + window.first * after;
      for (std::int64_t i = 0; i < after; ++i) pooled[i] = element[i];
      for (std::int64_t left = window.elements - 1; left > 0; --left) {
        element += axis.dilation * after;
        for (std::int64_t i = 0; i < after; ++i) pooled[i] = larger_train(pooled[i], element[i]);
      }
      pooled += after;
    }
  }
}

// All words together: 0 if there is no spike.
SNNC_VECTOR_CLONES static std::uint64_t any_spike(const std::uint64_t* words, std::int64_t size) {
  std::uint64_t any = 0;
  for (std::int64_t i = 0; i < size; ++i) any |= words[i];
  return any;
}

SNNC_POPCOUNT_CLONES static void load_trains(const PoolPlane& plane, std::int64_t size, CountTrain* trains) {
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint64_t plus = plane.plus[i] & plane.steps;
    const std::uint64_t minus = plane.minus == nullptr ? 0 : plane.minus[i] & plane.steps;
    trains[i] = {plane.counts[i], plus & ~minus, minus & ~plus};
  }
  for (std::int64_t i = 0; i < size; ++i) {
    const int change = __builtin_popcountll(trains[i].up) - __builtin_popcountll(trains[i].down);
    plane.counts_out[i] = static_cast<std::int32_t>(
        static_cast<std::uint32_t>(trains[i].count) + static_cast<std::uint32_t>(change));
  }
}

// Pools a plane; `axes` are the sizes and windows of its spatial axes, every window with an element inside.
inline void max_pool_plane(const PoolPlane& plane, const std::vector<PoolAxis>& axes) {
  std::int64_t size = 1, outputs = 1;
  for (const PoolAxis& axis : axes) {
    size *= axis.size;
    outputs *= axis.outputs();
  }
  std::uint64_t any = any_spike(plane.plus, size);
  if (plane.minus != nullptr) any |= any_spike(plane.minus, size);
  if ((any & plane.steps) == 0) {
    std::copy_n(plane.counts, size, plane.counts_out);
    std::fill_n(plane.fired_plus, outputs, 0);
    if (plane.fired_minus != nullptr) std::fill_n(plane.fired_minus, outputs, 0);
    return;
  }
  std::vector<CountTrain> trains(static_cast<std::size_t>(size)), pooled;
  load_trains(plane, size, trains.data());
  std::int64_t before = size, after = 1;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    before /= axis->size;
    pooled.resize(static_cast<std::size_t>(before * axis->outputs() * after));
    pool_axis(*axis, before, after, trains.data(), pooled.data());
    after *= axis->outputs();
    trains.swap(pooled);
  }
  for (std::int64_t i = 0; i < outputs; ++i) plane.fired_plus[i] = trains[static_cast<std::size_t>(i)].up;
  if (plane.fired_minus == nullptr) return;
  for (std::int64_t i = 0; i < outputs; ++i) plane.fired_minus[i] = trains[static_cast<std::size_t>(i)].down;
}

}  // namespace snnc::kernels
