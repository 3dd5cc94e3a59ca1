// Output pixels of a graded layer: the changes in their field are multiplied and added, then every neuron gives by how
// much its count changes.
#pragma once

#include <algorithm>

#include "rows.hpp"

namespace snnc::kernels::SNNC_SIMD {

// So many entries are copied at once; behind the last one lies memory for as many.
constexpr std::int64_t copied_at_once = 8;

// Calls body(begin, size, tap, column) for the entries under each kernel line of an output pixel: `column` is the first
// input column of these entries, under the kernel's `tap`. Where there is dilation, for each column by itself.
template <class Body>
SNNC_ALWAYS_INLINE void each_range(
    const GradedPart& part, std::int64_t line, std::int64_t column, const Body& body) {
  const GradedField& field = part.field;
  const std::int64_t first = column * field.stride - field.pad;
  // Without dilation the columns under a kernel line follow each other, and so do their entries.
  const bool joined = field.dilation == 1;
  const std::int64_t ranges = joined ? 1 : field.column_taps;
  for (std::int64_t line_tap = 0; line_tap < field.line_taps; ++line_tap) {
    const std::int64_t input_line = field.input_lines[line * field.line_taps + line_tap];
    if (input_line < 0) continue;
    for (std::int64_t range = 0; range < ranges; ++range) {
      const std::int64_t from = joined ? std::max<std::int64_t>(first, 0) : first + range * field.dilation;
      const std::int64_t to = joined ? std::min(first + field.column_taps, field.columns_in) : from + 1;
      if (from < 0 || from >= to || to > field.columns_in) continue;
      const std::int64_t begin = part.changes.offsets[input_line * field.columns_in + from];
      const std::int64_t size = part.changes.offsets[input_line * field.columns_in + to] - begin;
      if (size != 0) body(begin, size, line_tap * field.column_taps + (joined ? from - first : range), from);
    }
  }
}

// The field of an output pixel of a part, in scratch memory; how many entries that are.
template <class Change>
std::int64_t collect_field(
    const GradedPart& part, std::int64_t line, std::int64_t column, std::uint32_t* rows, Change* changes) {
  typedef u32 Rows __attribute__((vector_size(32)));
  const auto* const from_changes = static_cast<const Change*>(part.changes.changes);
  std::int64_t count = 0;
  each_range(part, line, column, [&](std::int64_t begin, std::int64_t size, std::int64_t tap, std::int64_t from) {
    const auto shift = static_cast<u32>((tap - from) * part.channels);  // modulo 2^32: the sums are numbers of rows
    for (std::int64_t i = 0; i < size; i += copied_at_once) {
      Rows places;
      std::memcpy(&places, part.changes.places + begin + i, sizeof places);
      places += shift;
      std::memcpy(rows + count + i, &places, sizeof places);
      std::memcpy(changes + count + i, from_changes + begin + i, copied_at_once * sizeof(Change));
    }
    count += size;
  });
  return count;
}

// Adds the field of an output pixel; whether there was anything in it.
template <class Rows, int width, bool fetch, class Sums>
SNNC_ALWAYS_INLINE bool add_field(
    Sums& sums, const GradedPart& part, const GradedScratch& scratch, std::int64_t next_tile, std::int64_t line,
    std::int64_t column) {
  using Weight = typename Rows::Weight;
  auto* const changes = static_cast<typename Rows::Change*>(scratch.changes);
  const std::int64_t count = collect_field(part, line, column, scratch.rows, changes);
  // Rows are taken in sets: the last one is filled up with a row that is multiplied by 0.
  for (int i = 0; i + 1 < Sums::sets; ++i) {
    scratch.rows[count + i] = 0;
    changes[count + i] = 0;
  }
  for (std::int64_t i = 0; i < count; i += Sums::sets) {
    const Weight* rows[Sums::sets];
#pragma GCC unroll 4
    for (int set = 0; set < Sums::sets; ++set) {
      rows[set] = static_cast<const Weight*>(part.rows) + std::int64_t{scratch.rows[i + set]} * width;
      if constexpr (fetch) {
        constexpr int cache_line = 64, row_bytes = width * sizeof(Weight);
        const char* const next = reinterpret_cast<const char*>(rows[set]) + next_tile;
        for (int at = 0; at < row_bytes; at += cache_line) __builtin_prefetch(next + at, 0, 2);
      }
    }
    sums.add(changes + i, rows);
  }
  return count != 0;
}

// Adds the field of an output pixel where every neuron sees its own channel alone; whether there was anything in it.
inline bool add_own(
    std::int32_t* sums, const GradedLines& lines, const GradedPart& part, std::int64_t line, std::int64_t column) {
  const auto* const changes = static_cast<const std::int32_t*>(part.changes.changes);
  bool any = false;
  each_range(part, line, column, [&](std::int64_t begin, std::int64_t size, std::int64_t tap, std::int64_t from) {
    any = true;
    for (std::int64_t i = begin; i < begin + size; ++i) {
      const u32 place = part.changes.places[i], at = place / static_cast<u32>(part.channels);
      const std::int64_t channel = std::int64_t{place} - at * part.channels - lines.first_channel;
      if (channel < 0 || channel >= lines.own) continue;
      const std::int32_t weight = part.own[(tap + at - from) * part.channels + channel];
      const u32 product = static_cast<u32>(weight) * static_cast<u32>(changes[i]);
      sums[channel] = static_cast<std::int32_t>(static_cast<u32>(sums[channel]) + product);
    }
  });
  return any;
}

// V <- V + sum; the count goes to clip(S + floor(V / threshold), low, high). The quotient in float32 is at most one off
// where it is not clipped anyway, and cut towards zero one more: two steps set it right. `sums` becomes the changes.
inline void settle(
    std::int32_t* __restrict sums, const GradedLines& lines, std::int32_t* __restrict v,
    std::int32_t* __restrict counts) {
  const float reach = static_cast<float>(static_cast<std::int64_t>(lines.high) - lines.low + 1);
  const std::int32_t low = lines.low, high = lines.high;
  const std::int32_t* const threshold = lines.threshold;
  const float* const inverse = lines.inverse;
  const int own = lines.own;
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
    if (start >= 0 && part.changes.offsets[start] != part.changes.offsets[start + field.columns_in]) return true;
  }
  return false;
}

// The changes of all neurons of a pixel, from the sums of what comes to them.
inline void fire_pixel(std::int32_t* sums, const GradedLines& lines, std::int64_t pixel, ChangeTotals& totals) {
  const std::int64_t first = pixel * lines.channels + lines.first_channel;
  settle(sums, lines, lines.v + first, lines.counts + first);
  const std::int64_t start = lines.first_channel * lines.pixels + pixel;
  std::int32_t* const fired = lines.fired + start;
  const bool each_its_own = lines.fanout_period > lines.pixels;
  std::int64_t events = 0, operations = 0;
  for (int i = 0; i < lines.own; i += Simd::lanes) {
    u32 found = Simd::not_zero(Simd::load(sums + i));
    for (; found != 0; found &= found - 1) {
      const std::int64_t neuron = (i + __builtin_ctz(found)) * lines.pixels;
      fired[neuron] = sums[i + __builtin_ctz(found)];
      ++events;
      if (each_its_own) operations += lines.fanout[start + neuron];
    }
  }
  totals.events += events;
  totals.operations += each_its_own || events == 0 ? operations : events * lines.fanout[pixel % lines.fanout_period];
}

template <class Rows, int width, bool fetch>
ChangeTotals sum_and_fire(const GradedLines& lines) {
  ChangeTotals totals{};
  alignas(64) std::int32_t sums[width];  // of channels that are not there too: their weights are 0
  for (std::int64_t line = lines.first_line; line < lines.last_line; ++line) {
    bool reached = lines.all;
    for (int index = 0; index < lines.part_count; ++index) reached = reached || is_reached(lines.parts[index], line);
    if (!reached) continue;
    for (std::int64_t column = 0; column < lines.columns_out; ++column) {
      const std::int64_t pixel = line * lines.columns_out + column;
      typename Rows::template Sums<width / Simd::lanes> sum;
      sum.clear();
      bool any = lines.all;
      for (int index = 0; index < lines.part_count; ++index) {
        const GradedPart& part = lines.parts[index];
        if (part.own != nullptr) continue;
        any |= add_field<Rows, width, fetch>(sum, part, lines.scratch, lines.next_tile, line, column);
      }
      sum.store(sums);
      for (int index = 0; index < lines.part_count; ++index) {
        const GradedPart& part = lines.parts[index];
        if (part.own != nullptr) any |= add_own(sums, lines, part, line, column);
      }
      if (any) fire_pixel(sums, lines, pixel, totals);
    }
  }
  return totals;
}

template <class Rows, int width>
ChangeTotals graded_lines(const GradedLines& lines) {
  return lines.next_tile != 0 ? sum_and_fire<Rows, width, true>(lines) : sum_and_fire<Rows, width, false>(lines);
}

// The kernel for such rows; none where the vector unit does not take them.
template <class Rows, int width>
constexpr auto lines_of() -> ChangeTotals (*)(const GradedLines&) {
  if constexpr (Rows::template exists<width>) return graded_lines<Rows, width>;
  else return nullptr;
}

}  // namespace snnc::kernels::SNNC_SIMD
