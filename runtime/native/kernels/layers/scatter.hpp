// Input-stationary: the potentials of a band of lines stay in the cache, every event adds its row of weights to them.
#pragma once

#include "neuron_line.hpp"

namespace snnc::kernels::SNNC_SIMD {

template <class Weight>
inline void add_vector(std::int32_t* potentials, const Weight* row) {
  Simd::store(potentials, Simd::add(Simd::load(potentials), Simd::load_row(row)));
}

// `run` elements are added for every event and target; 0: as many as the event's column says.
template <class Weight, int run>
inline void scatter_events(
    const ScatterSource& source, const ScatterLine& line, const u32* events, std::int64_t count, std::int32_t* band) {
  const u32 channel_mask = (u32{1} << source.channel_bits) - 1;
  const auto* rows = static_cast<const Weight*>(source.rows);
  for (std::int64_t i = 0; i < count; ++i) {
    const ScatterColumn& column = source.columns[events[i] >> source.channel_bits];
    const Weight* row = rows + (events[i] & channel_mask) * source.row_size + column.weight;
    std::int32_t* potentials = band + column.potential;
    for (int target = 0; target < line.target_count; ++target) {
      const Weight* weights = row + line.targets[target].weight;
      std::int32_t* to = potentials + line.targets[target].potential;
      if constexpr (run > 0) {
#pragma GCC unroll 12
        for (int element = 0; element < run; element += Simd::lanes) add_vector(to + element, weights + element);
      } else {
        for (int element = 0; element < column.size; element += Simd::lanes) {
          add_vector(to + element, weights + element);
        }
      }
    }
  }
}

inline std::int64_t list_step(const ScatterSource& source, const ScatterLine& line, int step, u32* events) {
  u32* end = events;
  const u64* words = line.bits + step * source.step_stride;
  for (int slot = 0; slot < source.slots; ++slot, words += source.words_per_slot) {
    for (std::int64_t word = 0; word < source.words_per_slot; ++word) {
      const u32 field = static_cast<u32>(word * source.packed);
      end += Simd::list_events(words[word], (field << source.channel_bits) + source.slot_channel[slot], 1, end);
    }
  }
  return end - events;
}

template <class Weight>
inline void scatter_step(const ScatterSource& source, int step, std::int32_t* band, u32* events) {
  for (int i = 0; i < source.line_count; ++i) {
    const ScatterLine& line = source.lines[i];
    const std::int64_t count = list_step(source, line, step, events);
    switch (source.run) {
      case 48: scatter_events<Weight, 48>(source, line, events, count, band); break;
      case 96: scatter_events<Weight, 96>(source, line, events, count, band); break;
      case 192: scatter_events<Weight, 192>(source, line, events, count, band); break;
      default: scatter_events<Weight, 0>(source, line, events, count, band);
    }
  }
}

template <int width, bool soft>
inline void fire_line(const NeuronLine& neurons, const MaskedTaps& masked, int step, std::int32_t* v, u64* fired) {
  using Field = typename Pixel<width>::Field;
  constexpr int packed = columns_per_word(width);
  auto* fields = reinterpret_cast<Field*>(fired + step * neurons.fired_stride);
  for (std::int64_t column = 0; column < neurons.columns; ++column) {
    Pixel<width> pixel;
    pixel.load(v + column * width);
    if (neurons.bias != nullptr) pixel.add(neurons.bias);
    pixel.add_masked(masked, step, column);
    fields[field_of_column(column, packed)] = pixel.template fire<soft>(neurons.threshold);
    pixel.store(v + column * width);
  }
}

template <class Weight, int width, bool soft>
void scatter_band(const ScatterBand& band) {
  for (int step = 0; step < band.neurons.steps; ++step) {
    for (int i = 0; i < band.source_count; ++i) {
      scatter_step<Weight>(band.sources[i], step, band.neurons.v, band.events);
    }
    for (int line = 0; line < band.line_count; ++line) {
      fire_line<width, soft>(
          band.neurons, band.masked[line], step, band.neurons.v + line * band.line_size,
          band.neurons.fired + line * band.fired_line);
    }
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
