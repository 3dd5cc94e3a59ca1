// Input-stationary: the potentials of a band of lines stay in the cache, every event adds its row of weights to them.
#pragma once

#include "neuron_line.hpp"

namespace snnc::kernels::SNNC_SIMD {

template <class Weight>
inline void add_vector(std::int32_t* potentials, const Weight* row) {
  Simd::store(potentials, Simd::add(Simd::load(potentials), Simd::load_row(row)));
}

template <class Weight>
inline void add_run(std::int32_t* potentials, const Weight* weights, int size) {
  for (int element = 0; element < size; element += Simd::lanes) add_vector(potentials + element, weights + element);
}

template <class Weight, int size>
inline void add_run(std::int32_t* potentials, const Weight* weights) {
#pragma GCC unroll 12
  for (int element = 0; element < size; element += Simd::lanes) add_vector(potentials + element, weights + element);
}

// Every event reaches any number of lines, with runs of any size.
template <class Weight>
inline void scatter_any(
    const ScatterSource& source, const ScatterGroup& group, const u32* events, std::int64_t count, std::int32_t* band) {
  const u32 channel_mask = (u32{1} << source.channel_bits) - 1;
  const auto* rows = static_cast<const Weight*>(source.rows);
  for (std::int64_t i = 0; i < count; ++i) {
    const ScatterColumn column = source.columns[events[i] >> source.channel_bits];
    const Weight* row = rows + (events[i] & channel_mask) * source.row_size + column.weight;
    for (int target = 0; target < group.target_count; ++target) {
      const ScatterTarget to = group.targets[target];
      add_run<Weight>(band + column.potential + to.potential, row + to.weight, column.size);
    }
  }
}

// Every event reaches `targets` lines at equal distances, with runs of `run` elements.
template <class Weight, int run, int targets>
inline void scatter_runs(
    const ScatterSource& source, const ScatterGroup& group, const u32* events, std::int64_t count, std::int32_t* band) {
  const int channel_bits = source.channel_bits;
  const u32 channel_mask = (u32{1} << channel_bits) - 1;
  const std::int64_t row_size = source.row_size;
  const ScatterColumn* const columns = source.columns;
  const std::int64_t next_line = targets > 1 ? group.targets[1].potential : 0;
  const std::int64_t next_weight = targets > 1 ? group.targets[1].weight - group.targets[0].weight : 0;
  const auto* const rows = static_cast<const Weight*>(source.rows) + group.targets[0].weight;
  for (const u32* event = events; event < events + count; ++event) {
    const ScatterColumn& column = columns[*event >> channel_bits];
    const Weight* weights = rows + (*event & channel_mask) * row_size + column.weight;
    std::int32_t* potentials = band + column.potential;
#pragma GCC unroll 3
    for (int target = 0; target < targets; ++target) {
      add_run<Weight, run>(potentials, weights);
      potentials += next_line;
      weights += next_weight;
    }
  }
}

template <class Weight, int run>
inline void scatter_events(
    const ScatterSource& source, const ScatterGroup& group, const u32* events, std::int64_t count, std::int32_t* band) {
  switch (group.regular ? group.target_count : 0) {
    case 1: return scatter_runs<Weight, run, 1>(source, group, events, count, band);
    case 2: return scatter_runs<Weight, run, 2>(source, group, events, count, band);
    case 3: return scatter_runs<Weight, run, 3>(source, group, events, count, band);
    default: return scatter_any<Weight>(source, group, events, count, band);
  }
}

inline u32* list_step(const ScatterSource& source, const ScatterLine& line, int step, u32* end) {
  const u64* words = line.bits + step * source.step_stride;
  const std::int64_t words_per_slot = source.words_per_slot;
  const u32 next_word = static_cast<u32>(source.packed) << source.channel_bits;
  for (int slot = 0; slot < source.slots; ++slot, words += words_per_slot) {
    u32 base = (line.first_field << source.channel_bits) + source.slot_channel[slot];
    for (std::int64_t word = 0; word < words_per_slot; ++word, base += next_word) {
      end += Simd::list_events(words[word], base, 1, end);
    }
  }
  return end;
}

template <class Weight>
inline void scatter_step(const ScatterSource& source, int step, std::int32_t* band, u32* events) {
  for (int i = 0; i < source.group_count; ++i) {
    const ScatterGroup& group = source.groups[i];
    u32* end = events;
    for (int line = 0; line < group.line_count; ++line) end = list_step(source, group.lines[line], step, end);
    const std::int64_t count = end - events;
    switch (source.run) {
      case 16: scatter_events<Weight, 16>(source, group, events, count, band); break;
      case 32: scatter_events<Weight, 32>(source, group, events, count, band); break;
      case 48: scatter_events<Weight, 48>(source, group, events, count, band); break;
      case 64: scatter_events<Weight, 64>(source, group, events, count, band); break;
      case 96: scatter_events<Weight, 96>(source, group, events, count, band); break;
      case 128: scatter_events<Weight, 128>(source, group, events, count, band); break;
      case 192: scatter_events<Weight, 192>(source, group, events, count, band); break;
      default: scatter_any<Weight>(source, group, events, count, band);
    }
  }
}

// What else a neuron receives: nothing, the spikes of one identity path, or any bias and masked taps.
enum class Extra { none, identity, any };

template <int width, Dynamics dynamics, Extra extra>
inline void fire_columns(const NeuronLine& neurons, int step) {
  using Field = typename Pixel<width>::Field;
  using Pixels = Neurons<width, dynamics>;
  constexpr int packed = columns_per_word(width);
  constexpr int at_once = columns_at_once * packed;
  const NeuronStates states = neurons.states;
  auto* const fields = reinterpret_cast<Field*>(neurons.fired + step * neurons.fired_stride);
  const std::int64_t columns = neurons.columns, fired_plane = neurons.fired_plane * packed;
  const std::int32_t* const bias = neurons.bias;
  const MaskedTaps masked = neurons.masked;
  const typename Pixels::Constants constants(neurons);
  const std::int32_t* identity_weights = nullptr;
  const Field* identity_fields = nullptr;
  if constexpr (extra == Extra::identity) {
    identity_weights = masked.taps[0].weights;
    identity_fields = reinterpret_cast<const Field*>(masked.taps[0].bits + step * masked.taps[0].step_stride);
  }
  for (std::int64_t first = 0; first < columns; first += columns_at_once) {
    std::int64_t field = first / at_once * at_once + first % at_once / columns_at_once;
    const std::int64_t last = first + columns_at_once < columns ? first + columns_at_once : columns;
    for (std::int64_t column = first; column < last; ++column, field += packed) {
      Pixels pixel;
      pixel.load(states, column * width);
      if constexpr (extra == Extra::identity) pixel.potential.add_where(identity_fields[field], identity_weights);
      if constexpr (extra == Extra::any) {
        if (bias != nullptr) pixel.potential.add(bias);
        pixel.potential.add_masked(masked, step, column, field);
      }
      pixel.fire(constants, fields + field, fired_plane);
      pixel.store(states, column * width);
    }
  }
}

template <int width, Dynamics dynamics>
inline void fire_line(const NeuronLine& neurons, int step) {
  const MaskedTaps& masked = neurons.masked;
  const bool no_bias = neurons.bias == nullptr;
  if (no_bias && masked.count == 0) {
    fire_columns<width, dynamics, Extra::none>(neurons, step);
  } else if (no_bias && masked.count == 1 && masked.taps[0].aligned(neurons.columns)) {
    fire_columns<width, dynamics, Extra::identity>(neurons, step);
  } else {
    fire_columns<width, dynamics, Extra::any>(neurons, step);
  }
}

template <int width, Dynamics dynamics>
inline void leak_line(const NeuronLine& neurons) {
  using Pixels = Neurons<width, dynamics>;
  const typename Pixels::Constants constants(neurons);
  for (std::int64_t column = 0; column < neurons.columns; ++column) {
    Pixels pixel;
    pixel.load(neurons.states, column * width);
    pixel.leak(constants);
    pixel.store(neurons.states, column * width);
  }
}

template <class Weight, int width, Dynamics dynamics>
void scatter_band(const ScatterBand& band) {
  for (int step = 0; step < band.steps; ++step) {
    if constexpr (leaks(dynamics)) {
      for (int line = 0; line < band.line_count; ++line) leak_line<width, dynamics>(band.lines[line]);
    }
    for (int i = 0; i < band.source_count; ++i) scatter_step<Weight>(band.sources[i], step, band.v, band.events);
    for (int line = 0; line < band.line_count; ++line) fire_line<width, dynamics>(band.lines[line], step);
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
