// The neurons of a pixel: what both gather and scatter do after the events of a step.
#pragma once

#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

template <int width>
struct FieldOf;
template <>
struct FieldOf<16> {
  typedef std::uint16_t type __attribute__((may_alias));
};
template <>
struct FieldOf<32> {
  typedef std::uint32_t type __attribute__((may_alias));
};
template <>
struct FieldOf<64> {
  typedef std::uint64_t type __attribute__((may_alias));
};

// Membrane potentials of `width` neurons of one pixel.
template <int width>
struct Pixel {
  static constexpr int vectors = width / Simd::lanes;
  using Field = typename FieldOf<width>::type;
  Simd::Vector v[vectors];

  void load(const std::int32_t* from) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) v[i] = Simd::load(from + i * Simd::lanes);
  }

  void store(std::int32_t* to) const {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) Simd::store(to + i * Simd::lanes, v[i]);
  }

  void add(const std::int32_t* current) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) v[i] = Simd::add(v[i], Simd::load(current + i * Simd::lanes));
  }

  void add_where(u64 bits, const std::int32_t* weights) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) {
      const auto chosen = static_cast<u32>(bits >> (i * Simd::lanes)) & ((1u << Simd::lanes) - 1);
      v[i] = Simd::add_where(v[i], chosen, Simd::load(weights + i * Simd::lanes));
    }
  }

  // Compares with the threshold and resets; bit i is the spike of neuron i.
  template <bool soft>
  Field fire(const Pixel& threshold) {
    u64 bits = 0;
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) {
      bits |= u64{Simd::fire<soft>(v[i], threshold.v[i])} << (i * Simd::lanes);
    }
    return static_cast<Field>(bits);
  }

  // `field` is that of `column`.
  void add_masked(const MaskedTaps& masked, int step, std::int64_t column, std::int64_t field) {
    for (int i = 0; i < masked.count; ++i) {
      const MaskedTap& tap = masked.taps[i];
      const auto* fields = reinterpret_cast<const Field*>(tap.bits + step * tap.step_stride);
      if (tap.column_stride == 1 && tap.offset == 0) {  // an identity path, or the middle of a kernel
        if (column < tap.columns_in) add_where(fields[field], tap.weights);
        continue;
      }
      const std::int64_t input = column * tap.column_stride + tap.offset;
      if (input < 0 || input >= tap.columns_in) continue;
      add_where(fields[field_of_column(input, columns_per_word(width))], tap.weights);
    }
  }
};

}  // namespace snnc::kernels::SNNC_SIMD
