// Bit matrices: spike words have time in their bits, kernels want channels in them.
#pragma once

#include "../vector.hpp"
#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Passed between inlined functions of one unit only: how other units would pass it does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

typedef u64 Columns __attribute__((vector_size(64), aligned(8), may_alias));  // a word of each of eight columns

// Of rows that are `stride` apart: bits with `distance` in their place change places with those of rows with `distance` in
// their number.
template <int distance, int stride, u64 mask, int count>
inline void exchange(Simd::Wide (&rows)[count]) {
  constexpr int apart = distance / stride;
#pragma GCC unroll 8
  for (int row = 0; row < count; ++row) {
    if ((row & apart) != 0) continue;
    const Simd::Wide different = (rows[row] >> distance ^ rows[row + apart]) & mask;
    rows[row] ^= different << distance;
    rows[row + apart] ^= different;
  }
}

// Rows of four numbers of 16 bits.
inline void exchange_numbers(Simd::Wide (&rows)[4]) {
  exchange<32, 16, 0x00000000ffffffffu>(rows);
  exchange<16, 16, 0x0000ffff0000ffffu>(rows);
}

// The exchanges of eight bytes and those within bytes: together a transposition of 64x64 bits.
inline void exchange_bytes(Simd::Wide (&rows)[8]) {
  exchange<32, 8, 0x00000000ffffffffu>(rows);
  exchange<16, 8, 0x0000ffff0000ffffu>(rows);
  exchange<8, 8, 0x00ff00ff00ff00ffu>(rows);
}

inline void exchange_bits(Simd::Wide (&rows)[8]) {
  exchange<4, 1, 0x0f0f0f0f0f0f0f0fu>(rows);
  exchange<2, 1, 0x3333333333333333u>(rows);
  exchange<1, 1, 0x5555555555555555u>(rows);
}

// Rows 0, stride, ... 7 * stride, lane group by lane group, so that they stay in registers. The rows
// are aligned as vectors are.
template <int stride, class Exchange>
inline void exchange_rows(const Columns* from, Columns* to, Exchange exchange) {
  using Wide = Simd::Wide;
  constexpr int groups = sizeof(Columns) / sizeof(Wide);
  for (int group = 0; group < groups; ++group) {
    Wide rows[8];
#pragma GCC unroll 8
    for (int row = 0; row < 8; ++row) rows[row] = reinterpret_cast<const Wide*>(from + row * stride)[group];
    exchange(rows);
#pragma GCC unroll 8
    for (int row = 0; row < 8; ++row) reinterpret_cast<Wide*>(to + row * stride)[group] = rows[row];
  }
}

inline void exchange_bits_of(const Columns* from, Columns* to) {
  exchange_rows<1>(from, to, [](Simd::Wide (&rows)[8]) { exchange_bits(rows); });
}

// Transposes eight 64x64 bit matrices side by side: bit b of row r changes places with bit r of row b.
inline void transpose(Columns* rows) {
  for (int row = 0; row < 8; ++row) {
    exchange_rows<8>(rows + row, rows + row, [](Simd::Wide (&eight)[8]) { exchange_bytes(eight); });
  }
  for (int row = 0; row < word_steps; row += 8) exchange_bits_of(rows + row, rows + row);
}

// With so few steps only their rows, of the steps, are transposed, eight at a time; the others are or become 0.
constexpr int few_steps = 16;

template <int blocks>
inline void channels_to_few_steps(Columns* rows) {
  alignas(sizeof(Columns)) Columns of_steps[8 * blocks] = {};
#pragma GCC unroll 8
  for (int byte = 0; byte < 8; ++byte) {
    for (int row = 0; row < 8; ++row) {
      for (int block = 0; block < blocks; ++block) {
        of_steps[8 * block + row] |= (rows[8 * byte + row] >> 8 * block & 0xff) << 8 * byte;
      }
    }
  }
  for (int block = 0; block < blocks; ++block) exchange_bits_of(of_steps + 8 * block, rows + 8 * block);
}

template <int blocks>
inline void few_steps_to_channels(Columns* rows) {
  alignas(sizeof(Columns)) Columns of_steps[8 * blocks];
  for (int block = 0; block < blocks; ++block) exchange_bits_of(rows + 8 * block, of_steps + 8 * block);
#pragma GCC unroll 8
  for (int byte = 0; byte < 8; ++byte) {
    for (int row = 0; row < 8; ++row) {
      Columns channel = of_steps[row] >> 8 * byte & 0xff;
      if constexpr (blocks > 1) channel |= (of_steps[8 + row] >> 8 * byte & 0xff) << 8;
      rows[8 * byte + row] = channel;
    }
  }
}

inline void channels_to_steps(Columns* rows, int steps) {
  if (steps > few_steps) return transpose(rows);
  steps > 8 ? channels_to_few_steps<2>(rows) : channels_to_few_steps<1>(rows);
}

inline void steps_to_channels(Columns* rows, int steps) {
  if (steps > few_steps) return transpose(rows);
  steps > 8 ? few_steps_to_channels<2>(rows) : few_steps_to_channels<1>(rows);
}

SNNC_ALWAYS_INLINE Columns load_columns(const u64* from, std::int64_t columns) {
  if (columns >= columns_at_once) return *reinterpret_cast<const Columns*>(from);
  u64 padded[columns_at_once] = {};
  for (int i = 0; i < columns; ++i) padded[i] = from[i];
  return *reinterpret_cast<const Columns*>(padded);
}

inline void store_columns(u64* to, const Columns& value, std::int64_t columns) {
  if (columns >= columns_at_once) {
    *reinterpret_cast<Columns*>(to) = value;
  } else {
    const auto* from = reinterpret_cast<const u64*>(&value);
    for (int i = 0; i < columns; ++i) to[i] = from[i];
  }
}

inline void load_line(const LoadLine& line) {
  const int channels_per_field = word_steps / line.packed;
  const int columns_per_chunk = columns_at_once * line.packed;
  const u64 simulated = line.steps == word_steps ? ~u64{0} : (u64{1} << line.steps) - 1;
  std::int64_t word = 0;
  for (std::int64_t chunk = 0; chunk < line.columns; chunk += columns_per_chunk, word += columns_at_once) {
    alignas(sizeof(Columns)) Columns rows[word_steps] = {};
    for (int part = 0; part < line.packed; ++part) {
      const std::int64_t column = chunk + part * columns_at_once;
      for (int channel = 0; channel < line.channels && column < line.columns; ++channel) {
        rows[part * channels_per_field + channel] =
            load_columns(line.words + channel * line.plane + column, line.columns - column) & simulated;
      }
    }
    channels_to_steps(rows, line.steps);
    for (int step = 0; step < line.steps; ++step) {
      *reinterpret_cast<Columns*>(line.bits + step * line.stride + word) = rows[step];
    }
  }
}

inline void store_line(const StoreLine& line) {
  const int channels_per_field = word_steps / line.packed;
  const int columns_per_chunk = columns_at_once * line.packed;
  const std::int64_t stride = words_of_line(line.columns, line.packed);
  std::int64_t word = 0;
  for (std::int64_t chunk = 0; chunk < line.columns; chunk += columns_per_chunk, word += columns_at_once) {
    alignas(sizeof(Columns)) Columns rows[word_steps];
    for (int step = 0; step < line.steps; ++step) {
      rows[step] = *reinterpret_cast<const Columns*>(line.fired + step * stride + word);
    }
    const int used = line.steps > few_steps ? word_steps : line.steps > 8 ? few_steps : 8;
    for (int step = line.steps; step < used; ++step) rows[step] = Columns{};
    steps_to_channels(rows, line.steps);
    for (int part = 0; part < line.packed; ++part) {
      const std::int64_t column = chunk + part * columns_at_once;
      for (int channel = 0; channel < line.channels && column < line.columns; ++channel) {
        store_columns(line.words + channel * line.plane + column, rows[part * channels_per_field + channel],
                      line.columns - column);
      }
    }
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
