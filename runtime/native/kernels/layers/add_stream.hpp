// The fastest that rows of weights can be added when nothing else is done: the roofline of the kernels of layers.
#pragma once

#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Sums of a pixel, in 16 bits or in 32.
template <int width, bool narrow>
struct StreamSums {
  typename Simd::template Narrow<width> v;
  StreamSums() { v.clear(); }
  template <class Weight>
  void add(const Weight* row) {
    v.add(row);
  }
  void add_to(Simd::Vector (&total)[width / Simd::lanes]) const { v.add_to(total); }
};

template <int width>
struct StreamSums<width, false> {
  Simd::Vector v[width / Simd::lanes];
  StreamSums() {
    for (auto& vector : v) vector = Simd::broadcast(0);
  }
  void add(const std::int32_t* row) { Simd::add_row(v, row); }
  void add_to(Simd::Vector (&total)[width / Simd::lanes]) const {
    for (int i = 0; i < width / Simd::lanes; ++i) total[i] = Simd::add(total[i], v[i]);
  }
};

// Adds all rows in order, `passes` times. So many sets of sums take turns that no addition waits for the one before. Rows
// of int8 and int16 are added in 16 bits, which is what they are stored in few bits for; they must be of zeros then.
template <class Weight, int width>
void add_stream(const AddStream& stream) {
  constexpr bool narrow = sizeof(Weight) <= 2;
  constexpr int vectors = width / Simd::lanes;
  constexpr int sets = vectors < 8 ? 8 / vectors : 1;
  const auto* const rows = static_cast<const Weight*>(stream.rows);
  const std::int64_t count = stream.row_count;
  StreamSums<width, narrow> sums[sets];
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
