// The spike counts that charges ask for, from a table of steps per channel:
//     target(U) = first + sum over k of rises[k] where U >= breaks[k]
//
// A row of the table is laid out for a binary search that always takes the same number of probes, so that the neurons
// of a tile are looked up together, in vectors.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "vector.hpp"

namespace snnc::kernels {

// Where the neurons of a tile look their targets up. Both arrays hold `width` values (a power of two) per channel.
struct TargetSearch {
  const std::int32_t* breaks;
  const std::int32_t* targets;
  const std::int32_t* row;  // index of the first value of each neuron's channel
  std::int32_t width;
};

// target[i] = target of charge[i]
SNNC_ALWAYS_INLINE void find_targets(
    const TargetSearch& search, const std::int32_t* __restrict charge, std::int64_t size,
    std::int32_t* __restrict target) {
  // target[i] is an index until the end: that of the targets of charges at and above all breaks passed so far.
  const std::int32_t* __restrict row = search.row;
  for (std::int64_t i = 0; i < size; ++i) target[i] = row[i];
  for (std::int32_t half = search.width / 2; half > 0; half /= 2) {
    const std::int32_t* __restrict probe = search.breaks + (half - 1);
    for (std::int64_t i = 0; i < size; ++i) target[i] += probe[target[i]] <= charge[i] ? half : 0;
  }
  const std::int32_t* __restrict targets = search.targets;
  for (std::int64_t i = 0; i < size; ++i) target[i] = targets[target[i]];
}

SNNC_VECTOR_CLONES static void find_targets_of_tile(
    const TargetSearch& search, const std::int32_t* charge, std::int64_t size, std::int32_t* target) {
  find_targets(search, charge, size, target);
}

class TargetTable {
 public:
  // `first` [channels], `breaks` and `rises` [channels, steps], steps >= 1. Throws std::invalid_argument if breaks are
  // not in ascending order, or a target is no int32.
  TargetTable(
      const std::int32_t* first, const std::int32_t* breaks, const std::int32_t* rises, std::int64_t channels,
      std::int64_t steps)
      : channels_(channels), width_(2) {
    while (width_ <= steps) width_ *= 2;
    if (width_ * channels > std::numeric_limits<std::int32_t>::max()) {
      throw std::invalid_argument("the table has too many steps for indices of 32 bits");
    }
    // Charges at and above the largest int32 pass the padding: it leads to the last target as well.
    breaks_.assign(static_cast<std::size_t>(width_ * channels), std::numeric_limits<std::int32_t>::max());
    targets_.reserve(breaks_.size());
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      rows_.push_back(static_cast<std::int32_t>(channel * width_));
      add_row(channel, first[channel], breaks + channel * steps, rises + channel * steps, steps);
    }
  }

  std::int64_t channels() const { return channels_; }
  const std::int32_t* rows() const { return rows_.data(); }  // [channels]: index of each channel's first value

  TargetSearch search(const std::int32_t* row) const {
    return {breaks_.data(), targets_.data(), row, static_cast<std::int32_t>(width_)};
  }

 private:
  void add_row(
      std::int64_t channel, std::int32_t first, const std::int32_t* breaks, const std::int32_t* rises,
      std::int64_t steps) {
    std::int64_t target = first;
    targets_.push_back(first);
    for (std::int64_t k = 0; k < steps; ++k) {
      if (k > 0 && breaks[k] < breaks[k - 1]) {
        throw std::invalid_argument("breaks of channel " + std::to_string(channel) + " are not in ascending order");
      }
      target += rises[k];
      if (target != static_cast<std::int32_t>(target)) {
        throw std::invalid_argument("a target of channel " + std::to_string(channel) + " is beyond int32");
      }
      breaks_[static_cast<std::size_t>(channel * width_ + k)] = breaks[k];
      targets_.push_back(static_cast<std::int32_t>(target));
    }
    targets_.resize(static_cast<std::size_t>((channel + 1) * width_), static_cast<std::int32_t>(target));
  }

  std::int64_t channels_;
  std::int64_t width_;
  std::vector<std::int32_t> rows_, breaks_, targets_;
};

}  // namespace snnc::kernels
