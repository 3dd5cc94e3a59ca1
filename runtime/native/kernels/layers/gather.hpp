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

// Adds the rows of the events [from, to). `somewhere` is the address of any row.
template <class Weight, class Unit = Simd, int vectors>
inline void add_rows(
    Simd::Vector (&sum)[vectors], std::uintptr_t rows, [[maybe_unused]] std::uintptr_t somewhere, const u32* from,
    const u32* to) {
  if constexpr (Unit::two_sums && sizeof(Weight) == 2 && vectors > 1) {
    // Sums that start from 0 do not wait for the neurons' last step, and two of them hide the latency of an addition.
    Simd::Vector even[vectors], odd[vectors];
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) {
      even[i] = odd[i] = Simd::broadcast(0);
      Unit::keep_in_registers(even[i], odd[i]);
    }
    for (; to - from >= 2; from += 2) {
      Unit::add_row(even, reinterpret_cast<const Weight*>(rows + from[0]));
      Unit::add_row(odd, reinterpret_cast<const Weight*>(rows + from[1]));
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) Unit::keep_in_registers(even[i], odd[i]);
    }
    // Whether one is left cannot be predicted: it is added with weight 0 or 1.
    const int left = static_cast<int>(to - from);
    Unit::add_row_if(left, even, reinterpret_cast<const Weight*>(left != 0 ? rows + from[0] : somewhere));
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) sum[i] = Simd::add(sum[i], Simd::add(even[i], odd[i]));
  } else {
    for (; from < to; ++from) Unit::add_row(sum, reinterpret_cast<const Weight*>(rows + *from));
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
  std::int64_t starts_stride;
  std::uintptr_t rows, somewhere;

  ColumnSource(const GatherSource& source, std::int64_t column)
      : entries(source.entries),
        first(source.starts + source.fields[column].first),
        last(source.starts + source.fields[column].last),
        starts_stride(source.starts_stride),
        rows(rows_of(source, column)),
        somewhere(reinterpret_cast<std::uintptr_t>(source.rows)) {}

  template <class Weight, int vectors>
  void add(Simd::Vector (&sum)[vectors], int step) const {
    const std::int64_t row = step * starts_stride;
    add_rows<Weight>(sum, rows, somewhere, entries + first[row], entries + last[row]);
  }
};

// `plain`: one source, no bias, no masked taps.
template <class Weight, int width, Dynamics dynamics, bool plain>
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
        source.add<Weight>(pixel.potential.v, step);
        pixel.fire(constants, fired, fired_plane);
      }
    } else {
      for (int step = 0; step < steps; ++step, fired += fired_stride) {
        pixel.leak(constants);
        for (int i = 0; i < line.source_count; ++i) {
          ColumnSource(line.sources[i], column).add<Weight>(pixel.potential.v, step);
        }
        if (neurons.bias != nullptr) pixel.potential.add(neurons.bias);
        pixel.potential.add_masked(neurons.masked, step, column, place);
        pixel.fire(constants, fired, fired_plane);
      }
    }
    pixel.store(states, column * width);
  }
}

template <class Weight, int width, Dynamics dynamics>
void gather_line(const GatherLine& line) {
  if (line.source_count == 1 && line.neurons.masked.count == 0 && line.neurons.bias == nullptr) {
    gather_columns<Weight, width, dynamics, true>(line);
  } else {
    gather_columns<Weight, width, dynamics, false>(line);
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
