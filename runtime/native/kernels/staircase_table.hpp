// The spike counts that charges ask for, from a table of steps per channel:
//     target(U) = first + sum over k of rises[k] where U >= breaks[k]
//
// A charge mostly stays between the same two breaks, so neurons keep these and look again only where it has left them.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "vector.hpp"

namespace snnc::kernels {

// A stretch of charges, ends included, and the target that they share.
struct TargetStretch {
  std::int32_t least, most, target;
};

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
    // The largest int32 passes the padding: it leads to the last target as well.
    breaks_.assign(static_cast<std::size_t>(width_ * channels), std::numeric_limits<std::int32_t>::max());
    targets_.reserve(breaks_.size());
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      rows_.push_back(static_cast<std::int32_t>(channel * width_));
      add_row(channel, first[channel], breaks + channel * steps, rises + channel * steps, steps);
    }
  }

  std::int64_t channels() const { return channels_; }
  const std::int32_t* rows() const { return rows_.data(); }  // [channels]: where the row of each channel begins

  // The stretch of a charge, for the channel with this row. Takes the same number of probes for all.
  TargetStretch find(std::int32_t row, std::int32_t charge) const {
    const std::int32_t* breaks = breaks_.data() + row;
    std::int64_t passed = 0;
    for (std::int64_t half = width_ / 2; half > 0; half /= 2) {
      passed += breaks[passed + half - 1] <= charge ? half : 0;
    }
    constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
    constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
    return {
        passed == 0 ? least : breaks[passed - 1],
        passed == width_ - 1 ? most : breaks[passed] - 1,
        targets_[static_cast<std::size_t>(row + passed)],
    };
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
