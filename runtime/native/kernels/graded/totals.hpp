// The events of a sample and what they cost.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../layers/vector_kernels.hpp"
#include "tasks.hpp"

namespace snnc::kernels {

// Changes that are not 0, and the sum of the fan-outs of the neurons that gave them. Neuron e has the fan-out
// fanout[e mod period]; `elements` is a multiple of `period`. Sums are modulo 2^64.
inline ChangeTotals change_totals(
    const std::int32_t* changes, std::int64_t elements, const std::int64_t* fanout, std::int64_t period) {
  constexpr std::int64_t at_once = 4096;
  std::uint32_t places[at_once];
  std::int64_t events = 0;
  std::uint64_t operations = 0;
  for (std::int64_t first = 0; first < elements; first += at_once) {
    const std::int64_t size = std::min(at_once, elements - first);
    const std::int64_t found = vector_kernels().list_places(changes + first, size, places);
    events += found;
    if (period == 1) continue;
    for (std::int64_t i = 0; i < found; ++i) {
      operations += static_cast<std::uint64_t>(fanout[(first + places[i]) % period]);
    }
  }
  if (period == 1) operations = static_cast<std::uint64_t>(events) * static_cast<std::uint64_t>(fanout[0]);
  return {events, static_cast<std::int64_t>(operations)};
}

}  // namespace snnc::kernels
