// Bit matrices: spike words have time in their bits, kernels want channels in them.
#pragma once

#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Passed between inlined functions of one unit only: how other units would pass it does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

typedef u64 Columns __attribute__((vector_size(64), aligned(8), may_alias));  // a word of each of eight columns

// Transposes eight 64x64 bit matrices side by side: bit b of row r changes places with bit r of row b.
template <int distance>
inline void exchange_blocks(Columns* rows, u64 mask) {
  for (int block = 0; block < word_steps; block += 2 * distance) {
    for (int row = block; row < block + distance; ++row) {
      const Columns different = (rows[row] >> distance ^ rows[row + distance]) & mask;
      rows[row] ^= different << distance;
      rows[row + distance] ^= different;
    }
  }
}

inline void transpose(Columns* rows) {
  exchange_blocks<32>(rows, 0x00000000ffffffffu);
  exchange_blocks<16>(rows, 0x0000ffff0000ffffu);
  exchange_blocks<8>(rows, 0x00ff00ff00ff00ffu);
  exchange_blocks<4>(rows, 0x0f0f0f0f0f0f0f0fu);
  exchange_blocks<2>(rows, 0x3333333333333333u);
  exchange_blocks<1>(rows, 0x5555555555555555u);
}

inline Columns load_columns(const u64* from, std::int64_t columns) {
  Columns value = {};
  if (columns >= columns_at_once) {
    value = *reinterpret_cast<const Columns*>(from);
  } else {
    for (int i = 0; i < columns; ++i) value[i] = from[i];
  }
  return value;
}

inline void store_columns(u64* to, Columns value, std::int64_t columns) {
  if (columns >= columns_at_once) {
    *reinterpret_cast<Columns*>(to) = value;
  } else {
    for (int i = 0; i < columns; ++i) to[i] = value[i];
  }
}

inline void load_line(const LoadLine& line) {
  const int channels_per_field = word_steps / line.packed;
  const int columns_per_chunk = columns_at_once * line.packed;
  const u64 simulated = line.steps == word_steps ? ~u64{0} : (u64{1} << line.steps) - 1;
  std::int64_t word = 0;
  for (std::int64_t chunk = 0; chunk < line.columns; chunk += columns_per_chunk, word += columns_at_once) {
    Columns rows[word_steps] = {};
    for (int part = 0; part < line.packed; ++part) {
      const std::int64_t column = chunk + part * columns_at_once;
      for (int channel = 0; channel < line.channels && column < line.columns; ++channel) {
        rows[part * channels_per_field + channel] =
            load_columns(line.words + channel * line.plane + column, line.columns - column) & simulated;
      }
    }
    transpose(rows);
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
    Columns rows[word_steps];
    for (int step = 0; step < word_steps; ++step) {
      rows[step] = *reinterpret_cast<const Columns*>(line.fired + step * stride + word);
    }
    transpose(rows);
    for (int part = 0; part < line.packed; ++part) {
      const std::int64_t column = chunk + part * columns_at_once;
      for (int channel = 0; channel < line.channels && column < line.columns; ++channel) {
        store_columns(line.words + channel * line.plane + column, rows[part * channels_per_field + channel],
                      line.columns - column);
      }
    }
  }
}

inline std::int64_t count_spikes(const u64* words, std::int64_t size) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < size; ++i) count += __builtin_popcountll(words[i]);
  return count;
}

}  // namespace snnc::kernels::SNNC_SIMD
