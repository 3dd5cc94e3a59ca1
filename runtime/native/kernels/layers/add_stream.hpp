// The fastest that rows of weights can be added when nothing else is done: the roofline of the kernels of layers.
#pragma once

#include "row_sums.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Adds all rows in order, `passes` times. So many sets of sums take turns that no addition waits for the one before. Rows
// of int8 and int16 are added in 16 bits, which is what they are stored in few bits for; they must be of zeros then.
template <class Weight, int width>
void add_stream(const AddStream& stream) {
  constexpr bool narrow = sizeof(Weight) <= 2;
  constexpr int vectors = width / Simd::lanes;
  constexpr int sets = vectors < 8 ? 8 / vectors : 1;
  const auto* const rows = static_cast<const Weight*>(stream.rows);
  const std::int64_t count = stream.row_count;
  RowSums<Weight, width, narrow> sums[sets];
  for (auto& set : sums) set.clear();
  for (std::int64_t pass = 0; pass < stream.passes; ++pass) {
    std::int64_t row = 0;
    for (; row + sets <= count; row += sets) {
#pragma GCC unroll 8
      for (int set = 0; set < sets; ++set) sums[set].add(rows + (row + set) * width);
    }
    for (; row < count; ++row) sums[0].add(rows + row * width);
  }
  Simd::Vector total[vectors];
  for (int i = 0; i < vectors; ++i) total[i] = Simd::broadcast(0);
  for (int set = 0; set < sets; ++set) sums[set].add_to(total);
  for (int i = 0; i < vectors; ++i) Simd::store(stream.sums + i * Simd::lanes, total[i]);
}

}  // namespace snnc::kernels::SNNC_SIMD
