// Output-stationary: the potentials of a pixel stay in registers for all steps, the weights come by.
#pragma once

#include "neuron_line.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Lists are written once and read soon: fetching their cache lines ahead hides that they were last used long ago.
constexpr int entries_ahead = 128;

// The fields of `line` are copied first: the compiler cannot know that entries do not overwrite them.
inline std::int64_t list_line(const ListLine& line) {
  const ListWord* const words = line.words;
  const std::int64_t columns = line.columns, step_stride = line.step_stride;
  const std::int32_t* const order = line.column_order;
  const std::int32_t* const steps_of_column = line.column_steps;
  const u32 channel_bytes = line.channel_bytes, column_bytes = line.column_bytes;
  const int word_count = line.word_count, steps = line.steps;
  u32* const entries = line.entries;
  u32* starts = line.starts;
  u32* end = entries;
  for (int step = 0; step < steps; ++step) {
    for (std::int64_t place = 0; place < columns; ++place) {
      *starts++ = static_cast<u32>(end - entries);
      __builtin_prefetch(end + entries_ahead, 1);
      const std::int64_t offset = step * step_stride + order[place];
      const u32 column_base = static_cast<u32>(steps_of_column[place]) * column_bytes;
      for (int i = 0; i < word_count; ++i) {
        end += Simd::list_events(words[i].bits[offset], words[i].base + column_base, channel_bytes, end);
      }
    }
    *starts++ = static_cast<u32>(end - entries);
  }
  return end - entries;
}

// What stands for a row where there is none.
alignas(64) constexpr std::int16_t no_row[64] = {};

// Adds the rows of the events [from, to).
template <class Weight, int vectors>
inline void add_rows(Simd::Vector (&sum)[vectors], std::uintptr_t rows, const u32* from, const u32* to) {
  for (; from < to; ++from) Simd::add_row(sum, reinterpret_cast<const Weight*>(rows + *from));
}

// The same with sums in 16 bits, which `at_once` of the rows do not leave.
template <class Weight, int vectors>
inline void add_narrow_rows(
    Simd::Vector (&sum)[vectors], std::uintptr_t rows, const u32* from, const u32* to, std::int64_t at_once) {
  using Row = const Weight*;
  while (from < to) {
    const u32* const end = to - from > at_once ? from + at_once : to;
    typename Simd::template Narrow<vectors * Simd::lanes> narrow;
    narrow.clear();
    for (; end - from >= 2; from += 2) {
      narrow.add(reinterpret_cast<Row>(rows + from[0]));
      narrow.add(reinterpret_cast<Row>(rows + from[1]));
    }
    // Whether one is left cannot be predicted.
    const std::uintptr_t last = rows + from[0];
    narrow.add(reinterpret_cast<Row>(end > from ? last : reinterpret_cast<std::uintptr_t>(no_row)));
    from = end;
    narrow.add_to(sum);
  }
}

// Address of the rows for an output column: offsets in the list count kernel columns from column 0 of the plane.
inline std::uintptr_t rows_of(const GatherSource& source, std::int64_t column) {
  const std::int64_t shift = source.fields[column].shift * source.column_bytes;
  return reinterpret_cast<std::uintptr_t>(source.rows) - static_cast<std::uintptr_t>(shift);
}

// A source as seen from one output column.
struct ColumnSource {
  const u32* entries;
  const u32* first;  // of the events in the field, by step
  const u32* last;
  std::int64_t starts_stride, at_once;
  std::uintptr_t rows;

  ColumnSource(const GatherSource& source, std::int64_t column)
      : entries(source.entries),
        first(source.starts + source.fields[column].first),
        last(source.starts + source.fields[column].last),
        starts_stride(source.starts_stride),
        at_once(source.rows_at_once),
        rows(rows_of(source, column)) {}

  template <class Weight, bool narrow, int vectors>
  void add(Simd::Vector (&sum)[vectors], int step) const {
    const std::int64_t row = step * starts_stride;
    const u32 *const from = entries + first[row], *const to = entries + last[row];
    if constexpr (narrow) {
      add_narrow_rows<Weight>(sum, rows, from, to, at_once);
    } else {
      add_rows<Weight>(sum, rows, from, to);
    }
  }
};

// `plain`: one source, no bias, no masked taps.
template <class Weight, bool narrow, int width, Dynamics dynamics, bool plain>
inline void gather_columns(const GatherLine& line) {
  using Field = typename Pixel<width>::Field;
  using Pixels = Neurons<width, dynamics>;
  constexpr int packed = columns_per_word(width);
  const NeuronLine& neurons = line.neurons;
  const NeuronStates states = neurons.states;
  const int steps = neurons.steps;
  const std::int64_t fired_stride = neurons.fired_stride * packed, fired_plane = neurons.fired_plane * packed;
  const typename Pixels::Constants constants(neurons);
  for (std::int64_t column = 0; column < neurons.columns; ++column) {
    Pixels pixel;
    pixel.load(states, column * width);
    const std::int64_t place = field_of_column(column, packed);
    auto* fired = reinterpret_cast<Field*>(neurons.fired) + place;
    if constexpr (plain) {
      const ColumnSource source(line.sources[0], column);
      for (int step = 0; step < steps; ++step, fired += fired_stride) {
        pixel.leak(constants);
        source.add<Weight, narrow>(pixel.potential.v, step);
        pixel.fire(constants, fired, fired_plane);
      }
    } else {
      for (int step = 0; step < steps; ++step, fired += fired_stride) {
        pixel.leak(constants);
        for (int i = 0; i < line.source_count; ++i) {
          ColumnSource(line.sources[i], column).add<Weight, narrow>(pixel.potential.v, step);
        }
        if (neurons.bias != nullptr) pixel.potential.add(neurons.bias);
        pixel.potential.add_masked(neurons.masked, step, column, place);
        pixel.fire(constants, fired, fired_plane);
      }
    }
    pixel.store(states, column * width);
  }
}

template <class Weight, bool narrow, int width, Dynamics dynamics>
void gather_line(const GatherLine& line) {
  if (line.source_count == 1 && line.neurons.masked.count == 0 && line.neurons.bias == nullptr) {
    gather_columns<Weight, narrow, width, dynamics, true>(line);
  } else {
    gather_columns<Weight, narrow, width, dynamics, false>(line);
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
