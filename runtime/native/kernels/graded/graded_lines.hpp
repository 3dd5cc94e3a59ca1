// Output pixels of a graded layer: the changes in their field are multiplied and added, then every neuron gives by how
// much its count changes.
#pragma once

#include <algorithm>

#include "../vector.hpp"
#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Sums of `width` channels in registers; several sets take turns where they are narrow, so that no addition waits.
template <class Weight, int width, bool fetch>
struct ChangeSums {
  static constexpr int vectors = width / Simd::lanes;
  static constexpr int sets = vectors >= 8 ? 1 : vectors >= 4 ? 2 : 4;
  Simd::Vector sum[sets][vectors];
  std::int64_t next_tile;  // bytes from a row to that of the next tile, which is fetched into the cache

  SNNC_ALWAYS_INLINE void clear() {
    for (auto& set : sum) {
      for (auto& vector : set) vector = Simd::broadcast(0);
    }
  }

  SNNC_ALWAYS_INLINE void add_entry(int set, const PairChange& entry, const Weight* rows) {
    const Weight* const row = rows + std::int64_t{entry.place} * (2 * width);
    const Simd::Vector pair = Simd::broadcast_pair(entry.changes);
    if constexpr (fetch) {
      constexpr std::int64_t cache_line = 64, row_bytes = 2 * width * sizeof(Weight);
      const char* const next = reinterpret_cast<const char*>(row) + next_tile;
      for (std::int64_t at = 0; at < row_bytes; at += cache_line) __builtin_prefetch(next + at, 0, 2);
    }
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) sum[set][i] = Simd::add_products(sum[set][i], pair, row + 2 * Simd::lanes * i);
  }

  // `rows` are those of place 0.
  SNNC_ALWAYS_INLINE void add(const PairChange* entry, const PairChange* end, const Weight* rows) {
    for (; end - entry >= sets; entry += sets) {
#pragma GCC unroll 4
      for (int set = 0; set < sets; ++set) add_entry(set, entry[set], rows);
    }
    for (; entry != end; ++entry) add_entry(0, *entry, rows);
  }

  SNNC_ALWAYS_INLINE void store(std::int32_t* to) {
    for (int set = 1; set < sets; ++set) {
      for (int i = 0; i < vectors; ++i) sum[0][i] = Simd::add(sum[0][i], sum[set][i]);
    }
    for (int i = 0; i < vectors; ++i) Simd::store(to + i * Simd::lanes, sum[0][i]);
  }
};

// Adds the field of an output pixel; whether there was anything in it. Inlined, so that sums stay in registers.
template <class Weight, int width, bool fetch>
SNNC_ALWAYS_INLINE bool add_field(
    ChangeSums<Weight, width, fetch>& sums, const GradedPart& part, std::int64_t line, std::int64_t column) {
  const GradedField& field = part.field;
  const std::int64_t first = column * field.stride - field.pad;
  // Without dilation the columns under a kernel line follow each other, and so do their entries.
  const bool joined = field.dilation == 1;
  const std::int64_t ranges = joined ? 1 : field.column_taps;
  bool any = false;
  for (std::int64_t line_tap = 0; line_tap < field.line_taps; ++line_tap) {
    const std::int64_t input_line = field.input_lines[line * field.line_taps + line_tap];
    if (input_line < 0) continue;
    for (std::int64_t range = 0; range < ranges; ++range) {
      const std::int64_t from = joined ? std::max<std::int64_t>(first, 0) : first + range * field.dilation;
      const std::int64_t to = joined ? std::min(first + field.column_taps, field.columns_in) : from + 1;
      if (from < 0 || from >= to || to > field.columns_in) continue;
      const PairChange* const begin = part.changes.begin(input_line * field.columns_in + from);
      const PairChange* const end = part.changes.begin(input_line * field.columns_in + to);
      if (begin == end) continue;
      any = true;
      const std::int64_t tap = line_tap * field.column_taps + (joined ? from - first : range);
      const std::int64_t shift = (tap - from) * part.tile.pairs * (2 * width);
      sums.add(begin, end, static_cast<const Weight*>(part.tile.rows) + shift);
    }
  }
  return any;
}

// Adds what the entries of one pixel bring to neurons with one weight each.
inline bool add_own(std::int32_t* sums, const GradedLines& lines, const GradedPart& part, std::int64_t pixel) {
  const PairChange* const begin = part.changes.begin(pixel);
  const PairChange* const end = part.changes.begin(pixel + 1);
  const std::int64_t first_place = pixel % part.field.columns_in * part.tile.pairs;
  const auto add = [&](std::int64_t channel, std::int32_t change) {
    if (channel < 0 || channel >= lines.own) return;
    const auto product = static_cast<u32>(part.weights[channel]) * static_cast<u32>(change);
    sums[channel] = static_cast<std::int32_t>(static_cast<u32>(sums[channel]) + product);
  };
  for (const PairChange* entry = begin; entry != end; ++entry) {
    const std::int64_t channel = 2 * (entry->place - first_place) - lines.first_channel;
    add(channel, entry->changes[0]);
    add(channel + 1, entry->changes[1]);
  }
  return begin != end;
}

// V <- V + sum; the count goes to clip(S + floor(V / threshold), low, high). The quotient in float32 is at most one off
// where it is not clipped anyway, and cut towards zero one more: two steps set it right. `sums` becomes the changes.
inline void settle(std::int32_t* sums, const GradedLines& lines, std::int32_t* v, std::int32_t* counts) {
  const float reach = static_cast<float>(static_cast<std::int64_t>(lines.high) - lines.low + 1);
  const std::int32_t low = lines.low, high = lines.high;
  const std::int32_t* const threshold = lines.threshold;
  const float* const inverse = lines.inverse;
  const int own = lines.own;
#pragma GCC ivdep
  for (int i = 0; i < own; ++i) {
    const std::int32_t before = counts[i], unit = threshold[i];
    const u32 charged = static_cast<u32>(v[i]) + static_cast<u32>(sums[i]);
    float quotient = static_cast<float>(static_cast<std::int32_t>(charged)) * inverse[i];
    quotient = quotient > reach ? reach : quotient;
    quotient = quotient < -reach ? -reach : quotient;
    std::int32_t count = before + static_cast<std::int32_t>(quotient);
    count = count > high ? high : count;
    count = count < low ? low : count;
    auto rest = static_cast<std::int32_t>(charged - static_cast<u32>(count - before) * static_cast<u32>(unit));
    for (int step = 0; step < 2; ++step) {
      const std::int32_t up = static_cast<std::int32_t>(rest >= unit) & static_cast<std::int32_t>(count < high);
      const std::int32_t down = static_cast<std::int32_t>(rest < 0) & static_cast<std::int32_t>(count > low);
      count += up - down;
      rest = static_cast<std::int32_t>(static_cast<u32>(rest) - static_cast<u32>(up - down) * static_cast<u32>(unit));
    }
    v[i] = rest;
    counts[i] = count;
    sums[i] = count - before;
  }
}

// Whether any entry lies under the kernel of an output line.
inline bool is_reached(const GradedPart& part, std::int64_t line) {
  const GradedField& field = part.field;
  for (std::int64_t tap = 0; tap < field.line_taps; ++tap) {
    const std::int64_t start = field.input_lines[line * field.line_taps + tap] * field.columns_in;
    if (start >= 0 && part.changes.begin(start) != part.changes.begin(start + field.columns_in)) return true;
  }
  return false;
}

// The changes of all neurons of a pixel, from the sums of what comes to them.
inline void fire_pixel(std::int32_t* sums, const GradedLines& lines, std::int64_t pixel) {
  const std::int64_t first = pixel * lines.channels + lines.first_channel;
  settle(sums, lines, lines.v + first, lines.counts + first);
  std::int32_t* const fired = lines.fired + lines.first_channel * lines.pixels + pixel;
  for (int i = 0; i < lines.own; i += Simd::lanes) {
    u32 found = Simd::not_zero(Simd::load(sums + i));
    for (; found != 0; found &= found - 1) {
      const int neuron = i + __builtin_ctz(found);
      fired[neuron * lines.pixels] = sums[neuron];
    }
  }
}

template <class Weight, int width, bool fetch>
void sum_and_fire(const GradedLines& lines) {
  alignas(64) std::int32_t sums[width];  // of channels that are not there too: their weights are 0
  for (std::int64_t line = lines.first_line; line < lines.last_line; ++line) {
    bool reached = lines.all;
    for (int index = 0; index < lines.part_count; ++index) reached = reached || is_reached(lines.parts[index], line);
    if (!reached) continue;
    for (std::int64_t column = 0; column < lines.columns_out; ++column) {
      const std::int64_t pixel = line * lines.columns_out + column;
      ChangeSums<Weight, width, fetch> sum;
      sum.next_tile = lines.next_tile;
      sum.clear();
      bool any = lines.all;
      for (int index = 0; index < lines.part_count; ++index) {
        const GradedPart& part = lines.parts[index];
        if (part.weights == nullptr) any |= add_field(sum, part, line, column);
      }
      sum.store(sums);
      for (int index = 0; index < lines.part_count; ++index) {
        const GradedPart& part = lines.parts[index];
        if (part.weights != nullptr) any |= add_own(sums, lines, part, pixel);
      }
      if (any) fire_pixel(sums, lines, pixel);
    }
  }
}

template <class Weight, int width>
void graded_lines(const GradedLines& lines) {
  if (lines.next_tile != 0) sum_and_fire<Weight, width, true>(lines);
  else sum_and_fire<Weight, width, false>(lines);
}

}  // namespace snnc::kernels::SNNC_SIMD
