// Sums of rows of weights in registers, in 16 bits or in 32.
#pragma once

#include "../vector.hpp"
#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

template <class Weight, int width, bool narrow>
struct RowSums {
  typename Simd::template Narrow<width> v;

  void clear() { v.clear(); }
  void add(const Weight* row) { v.add(row); }
  void add_to(Simd::Vector (&total)[width / Simd::lanes]) const { v.add_to(total); }
};

template <class Weight, int width>
struct RowSums<Weight, width, false> {
  static constexpr int vectors = width / Simd::lanes;
  Simd::Vector v[vectors];

  void clear() {
    for (auto& vector : v) vector = Simd::broadcast(0);
  }
  void add(const Weight* row) { Simd::add_row(v, row); }
  void add_to(Simd::Vector (&total)[vectors]) const {
    for (int i = 0; i < vectors; ++i) total[i] = Simd::add(total[i], v[i]);
  }
};

}  // namespace snnc::kernels::SNNC_SIMD
