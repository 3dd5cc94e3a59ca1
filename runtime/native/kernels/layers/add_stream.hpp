// The fastest that rows of weights can be added when nothing else is done: the roofline of the kernels of layers.
#pragma once

#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Adds all rows in order, `passes` times. So many sets of sums take turns that no addition waits for the one before.
template <class Weight, int width>
void add_stream(const AddStream& stream) {
  constexpr int vectors = width / Simd::lanes;
  constexpr int sets = vectors < 8 ? 8 / vectors : 1;
  const auto* const rows = static_cast<const Weight*>(stream.rows);
  const std::int64_t count = stream.row_count;
  Simd::Vector sums[sets][vectors];
  for (int set = 0; set < sets; ++set) {
    for (int i = 0; i < vectors; ++i) sums[set][i] = Simd::broadcast(0);
  }
  for (std::int64_t pass = 0; pass < stream.passes; ++pass) {
    std::int64_t row = 0;
    for (; row + sets <= count; row += sets) {
#pragma GCC unroll 8
      for (int set = 0; set < sets; ++set) Simd::add_row(sums[set], rows + (row + set) * width);
    }
    for (; row < count; ++row) Simd::add_row(sums[0], rows + row * width);
  }
  for (int i = 0; i < vectors; ++i) {
    for (int set = 1; set < sets; ++set) sums[0][i] = Simd::add(sums[0][i], sums[set][i]);
    Simd::store(stream.sums + i * Simd::lanes, sums[0][i]);
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
