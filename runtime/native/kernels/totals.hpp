// The spikes of samples and what they cost.
#pragma once

#include <algorithm>
#include <cstdint>

#include "layers/vector_kernels.hpp"

namespace snnc::kernels {

struct SampleTotals {
  std::int64_t spikes;
  std::int64_t operations;
};

// Spikes of one sample, and the sum of the fan-outs of the neurons that fired them. Neuron e has the fan-out
// fanout[e mod period]; `elements` is a multiple of `period`. Sums are modulo 2^64.
inline SampleTotals sample_totals(
    const std::uint64_t* spikes, std::int64_t elements, const std::int64_t* fanout, std::int64_t period) {
  std::uint64_t total = 0;
  std::uint64_t operations = 0;
  if (period == 1) {
    total = static_cast<std::uint64_t>(vector_kernels().count_spikes(spikes, elements));
    operations = total * static_cast<std::uint64_t>(fanout[0]);
  } else if (elements > 0) {
    constexpr std::int64_t at_once = 256;
    std::int64_t counts[at_once];
    for (std::int64_t first = 0; first < period; first += at_once) {
      const std::int64_t size = std::min(at_once, period - first);
      vector_kernels().count_repeats(spikes + first, size, period, elements / period, counts);
      for (std::int64_t i = 0; i < size; ++i) {
        total += static_cast<std::uint64_t>(counts[i]);
        operations += static_cast<std::uint64_t>(counts[i]) * static_cast<std::uint64_t>(fanout[first + i]);
      }
    }
  }
  return {static_cast<std::int64_t>(total), static_cast<std::int64_t>(operations)};
}

}  // namespace snnc::kernels
