// First layers: few input channels and many spikes. The bits of a field are the number of a row in a table of sums.
#pragma once

#include "neuron_line.hpp"
#include "transpose.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Bit `column * channels + channel` of a string is a spike; eight strings are made at once.
inline void load_strings(const LoadStrings& line) {
  const int columns_of_string = word_steps / line.channels;
  for (std::int64_t first = 0; first < line.strings; first += columns_at_once) {
    alignas(64) u64 matrix[word_steps][columns_at_once] = {};
    const std::int64_t strings = line.strings - first < columns_at_once ? line.strings - first : columns_at_once;
    for (std::int64_t i = 0; i < strings; ++i) {
      const std::int64_t first_column = (first + i) * line.columns_per_string - line.pad;
      for (int j = 0; j < columns_of_string; ++j) {
        const std::int64_t column = first_column + j;
        if (column < 0 || column >= line.columns) continue;
        for (int channel = 0; channel < line.existing; ++channel) {
          matrix[j * line.channels + channel][i] = line.words[channel * line.plane + column];
        }
      }
    }
    auto* rows = reinterpret_cast<Columns*>(matrix);
    channels_to_steps(rows, line.steps);
    for (int step = 0; step < line.steps; ++step) {
      *reinterpret_cast<Columns*>(line.bits + step * line.stride + first) = rows[step];
    }
  }
}

// `Row`: a number of the tables.
template <class Row, int width, Dynamics dynamics, bool masked>
struct LookedUpLine {
  const TableLine& line;
  typename Neurons<width, dynamics>::Constants constants{line.neurons};

  template <int columns>
  void go(std::int64_t column) const {
    using Pixels = Neurons<width, dynamics, columns>;
    using Field = typename Pixels::Field;
    constexpr int packed = columns_per_word(width), fields = sizeof(u64) / sizeof(Field);
    const NeuronLine& neurons = line.neurons;
    const TableLookup* const lookups = line.lookups;
    const int lookup_count = line.lookup_count;
    const u64 mask = line.mask;
    const std::int64_t fired_stride = neurons.fired_stride * fields, fired_plane = neurons.fired_plane * fields;
    const std::int64_t field = field_of_column(column, packed);
    auto* fired = reinterpret_cast<Field*>(neurons.fired) + field * fields / packed;
    TableColumn places[columns];
    for (int i = 0; i < columns; ++i) places[i] = line.columns[column + i * columns_at_once];
    Pixels pixel;
    pixel.load(neurons.states, column * width);
    for (int step = 0; step < neurons.steps; ++step, fired += fired_stride) {
      pixel.leak(constants);
      for (int lookup = 0; lookup < lookup_count; ++lookup) {
        const u64* const strings = lookups[lookup].strings + step * line.step_stride;
        const auto* const rows = static_cast<const Row*>(lookups[lookup].rows);
#pragma GCC unroll 4
        for (int i = 0; i < columns; ++i) {
          pixel.potential.add_to(i, rows + (strings[places[i].string] >> places[i].shift & mask) * width);
        }
      }
      if (neurons.bias != nullptr) pixel.potential.add_bias(neurons.bias);
      if constexpr (masked) pixel.potential.add_masked(neurons.masked, step, column, field);
      pixel.fire(constants, fired, fired_plane);
    }
    pixel.store(neurons.states, column * width);
  }
};

template <class Row, int width, Dynamics dynamics>
void table_line(const TableLine& line) {
  if (line.neurons.masked.count > 0) {
    walk_words<1>(line.neurons.columns, LookedUpLine<Row, width, dynamics, true>{line});
  } else {
    walk_words<columns_together<width, dynamics>>(
        line.neurons.columns, LookedUpLine<Row, width, dynamics, false>{line});
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
