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

template <int width, Dynamics dynamics>
void table_line(const TableLine& line) {
  using Field = typename Pixel<width>::Field;
  using Pixels = Neurons<width, dynamics>;
  constexpr int packed = columns_per_word(width);
  const NeuronLine& neurons = line.neurons;
  const NeuronStates states = neurons.states;
  const TableLookup* const lookups = line.lookups;
  const int lookup_count = line.lookup_count;
  const u64 mask = line.mask;
  const std::int64_t fired_plane = neurons.fired_plane * packed;
  const typename Pixels::Constants constants(neurons);
  for (std::int64_t column = 0; column < neurons.columns; ++column) {
    Pixels pixel;
    pixel.load(states, column * width);
    const std::int64_t field = field_of_column(column, packed);
    auto* fired = reinterpret_cast<Field*>(neurons.fired) + field;
    const int shift = line.columns[column].shift;
    std::int64_t string = line.columns[column].string;
    for (int step = 0; step < neurons.steps; ++step, string += line.step_stride) {
      pixel.leak(constants);
      for (int i = 0; i < lookup_count; ++i) {
        pixel.potential.add(lookups[i].rows + (lookups[i].strings[string] >> shift & mask) * width);
      }
      if (neurons.bias != nullptr) pixel.potential.add(neurons.bias);
      pixel.potential.add_masked(neurons.masked, step, column, field);
      pixel.fire(constants, fired + step * neurons.fired_stride * packed, fired_plane);
    }
    pixel.store(states, column * width);
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
