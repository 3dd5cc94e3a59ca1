// Spikes and operations of samples, against sums of single bits.
#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

#include "../../runtime/native/kernels/totals.hpp"
#include "layers_random.hpp"

namespace snnc::tests {

// Returns how many samples have other totals than the reference. Fan-outs repeat: for all neurons, the pixels of a channel,
// or not at all; words are counted several vectors at a time, so some numbers lie about multiples of these.
inline int wrong_totals(Random& random) {
  int wrong = 0;
  for (const std::int64_t period : {1, 7, 31, 32, 33, 255, 256, 257, 600}) {
    for (const std::int64_t repeats : {0, 1, 3}) {
      std::vector<std::uint64_t> words(static_cast<std::size_t>(period * repeats));
      std::vector<std::int64_t> fanout(static_cast<std::size_t>(period));
      for (auto& each : fanout) each = static_cast<std::int64_t>(random() % 1000);
      std::int64_t spikes = 0, operations = 0;
      for (std::size_t i = 0; i < words.size(); ++i) {
        for (int bit = 0; bit < 64; ++bit) {
          if (random() % 3 != 0) continue;
          words[i] |= std::uint64_t{1} << bit;
          ++spikes;
          operations += fanout[i % fanout.size()];
        }
      }
      const auto totals = kernels::sample_totals(words.data(), period * repeats, fanout.data(), period);
      if (totals.spikes == spikes && totals.operations == operations) continue;
      ++wrong;
      std::fprintf(stderr, "totals of %lld times %lld words differ\n", static_cast<long long>(repeats),
                   static_cast<long long>(period));
    }
  }
  return wrong;
}

}  // namespace snnc::tests
