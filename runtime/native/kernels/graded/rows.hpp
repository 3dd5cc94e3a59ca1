// How rows of weights are multiplied by changes and added, one or several at a time.
//
// Several rows are interleaved in registers, 128 bits by 128 bits: element 4 * g * block + 4 * i + k of a row of `g`
// times `lanes` elements comes to vector i, lane 4 * block + k. Rows are packed in that order, so that sums are in the
// order of channels.
#pragma once

#include "../vector.hpp"
#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Rows of int8, int16 or int32, one by one, in 32 bits: any changes and weights.
template <class Number>
struct OneRow {
  using Weight = Number;
  using Change = std::int32_t;
  static constexpr int group = 1;
  template <int width>
  static constexpr bool exists = true;

  template <int vectors>
  struct Sums {
    static constexpr int sets = vectors >= 4 ? 1 : 4 / vectors;  // no addition waits for the one before
    Simd::Vector sum[sets][vectors];

    SNNC_ALWAYS_INLINE void clear() {
      for (auto& set : sum) {
        for (auto& vector : set) vector = Simd::broadcast(0);
      }
    }
    // Changes of `sets` rows.
    SNNC_ALWAYS_INLINE void add(const Change* changes, const Weight* const (&rows)[sets]) {
#pragma GCC unroll 4
      for (int set = 0; set < sets; ++set) {
        const Simd::Vector change = Simd::broadcast(changes[set]);
#pragma GCC unroll 16
        for (int i = 0; i < vectors; ++i) {
          sum[set][i] = Simd::add(sum[set][i], Simd::multiply(change, Simd::load_row(rows[set] + i * Simd::lanes)));
        }
      }
    }
    SNNC_ALWAYS_INLINE void store(std::int32_t* to) {
      for (int set = 1; set < sets; ++set) {
        for (int i = 0; i < vectors; ++i) sum[0][i] = Simd::add(sum[0][i], sum[set][i]);
      }
      for (int i = 0; i < vectors; ++i) Simd::store(to + i * Simd::lanes, sum[0][i]);
    }
  };
};

// Rows of int16, two by two.
struct TwoRows {
  using Weight = std::int16_t;
  using Change = std::int16_t;
  static constexpr int group = 2;
  template <int width>
  static constexpr bool exists = Simd::two_rows && width >= 2 * Simd::lanes;

  template <int vectors>
  struct Sums {
    static constexpr int sets = group;
    Simd::Vector sum[vectors];

    SNNC_ALWAYS_INLINE void clear() {
      for (auto& vector : sum) vector = Simd::broadcast(0);
    }
    SNNC_ALWAYS_INLINE void add(const Change* changes, const Weight* const (&rows)[sets]) {
#pragma GCC unroll 8
      for (int i = 0; i < vectors; i += 2) {
        Simd::add_two_rows(sum[i], sum[i + 1], changes, rows[0] + i * Simd::lanes, rows[1] + i * Simd::lanes);
      }
    }
    SNNC_ALWAYS_INLINE void store(std::int32_t* to) {
      for (int i = 0; i < vectors; ++i) Simd::store(to + i * Simd::lanes, sum[i]);
    }
  };
};

// Rows of int8, four by four. They are stored with 128 added: one operand of the instruction has no sign.
struct FourRows {
  using Weight = std::uint8_t;
  using Change = std::int8_t;
  static constexpr int group = 4;
  template <int width>
  static constexpr bool exists = Simd::four_rows && width >= 4 * Simd::lanes;

  template <int vectors>
  struct Sums {
    static constexpr int sets = group;
    Simd::Vector sum[vectors];
    Simd::Vector added;  // 128 times all changes

    SNNC_ALWAYS_INLINE void clear() {
      for (auto& vector : sum) vector = Simd::broadcast(0);
      added = Simd::broadcast(0);
    }
    SNNC_ALWAYS_INLINE void add(const Change* changes, const Weight* const (&rows)[sets]) {
#pragma GCC unroll 8
      for (int i = 0; i < vectors; i += 4) {
        const Weight* const at[] = {rows[0] + i * Simd::lanes, rows[1] + i * Simd::lanes, rows[2] + i * Simd::lanes,
                                    rows[3] + i * Simd::lanes};
        Simd::add_four_rows(&sum[i], added, changes, at);
      }
    }
    SNNC_ALWAYS_INLINE void store(std::int32_t* to) {
      for (int i = 0; i < vectors; ++i) Simd::store(to + i * Simd::lanes, Simd::subtract(sum[i], added));
    }
  };
};

// How rows of a tile are taken whose weights need so many bytes.
inline RowGroup row_group(int width, int bytes) {
  if (bytes == 1 && Simd::four_rows && width >= 4 * Simd::lanes) return RowGroup::four;
  if (bytes <= 2 && Simd::two_rows && width >= 2 * Simd::lanes) return RowGroup::two;
  return RowGroup::one;
}

}  // namespace snnc::kernels::SNNC_SIMD
