#include "neuron_memory.hpp"

#include <algorithm>
#include <cstring>

namespace snnc::kernels {

namespace {

// Where channel 0 of a tile's line begins in [image][channel][line][column], if an image has `planes` times the
// channels of the layer.
std::int64_t offset_of(const TileLine& at, std::int64_t planes = 1) {
  const Geometry& geometry = at.call.geometry();
  return (at.image * planes * at.layer.outputs() + at.tile.first) * geometry.plane_out() +
         at.line * geometry.columns_out();
}

typedef std::int32_t Four __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define SNNC_CHOOSE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SNNC_CHOOSE(a, b, ...) __builtin_shuffle(a, b, Four{__VA_ARGS__})
#endif

// Four numbers of each of four rows, `from_stride` elements apart, become four of each of four columns.
void transpose_four(const std::int32_t* from, std::int64_t from_stride, std::int32_t* to, std::int64_t to_stride) {
  Four rows[4];
  for (int row = 0; row < 4; ++row) std::memcpy(&rows[row], from + row * from_stride, sizeof rows[row]);
  const Four low[] = {SNNC_CHOOSE(rows[0], rows[1], 0, 4, 1, 5), SNNC_CHOOSE(rows[2], rows[3], 0, 4, 1, 5)};
  const Four high[] = {SNNC_CHOOSE(rows[0], rows[1], 2, 6, 3, 7), SNNC_CHOOSE(rows[2], rows[3], 2, 6, 3, 7)};
  const Four columns[] = {
      SNNC_CHOOSE(low[0], low[1], 0, 1, 4, 5), SNNC_CHOOSE(low[0], low[1], 2, 3, 6, 7),
      SNNC_CHOOSE(high[0], high[1], 0, 1, 4, 5), SNNC_CHOOSE(high[0], high[1], 2, 3, 6, 7)};
  for (int column = 0; column < 4; ++column) std::memcpy(to + column * to_stride, &columns[column], sizeof(Four));
}

// to[column][row] = from[row][column]; rows of `from` and of `to` are so many elements apart.
void transpose(const std::int32_t* from, std::int64_t from_stride, std::int64_t rows, std::int64_t columns,
               std::int32_t* to, std::int64_t to_stride) {
  const std::int64_t even_rows = rows / 4 * 4, even_columns = columns / 4 * 4;
  for (std::int64_t row = 0; row < even_rows; row += 4) {
    for (std::int64_t column = 0; column < even_columns; column += 4) {
      transpose_four(from + row * from_stride + column, from_stride, to + column * to_stride + row, to_stride);
    }
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = row < even_rows ? even_columns : 0; column < columns; ++column) {
      to[column * to_stride + row] = from[row * from_stride + column];
    }
  }
}

void load(const TileLine& at, const std::int32_t* from, std::int32_t* to) {
  const std::int64_t columns = at.call.geometry().columns_out(), plane = at.call.geometry().plane_out();
  const Tile& tile = at.tile;
  transpose(from + offset_of(at), plane, tile.channels, columns, to, tile.width);
  for (std::int64_t column = 0; column < columns && tile.channels < tile.width; ++column) {
    std::fill_n(to + column * tile.width + tile.channels, tile.width - tile.channels, 0);
  }
}

void store(const TileLine& at, const std::int32_t* from, std::int32_t* to) {
  const std::int64_t columns = at.call.geometry().columns_out(), plane = at.call.geometry().plane_out();
  transpose(from, at.tile.width, columns, at.tile.channels, to + offset_of(at), plane);
}

}  // namespace

NeuronLine& NeuronMemory::prepare(
    const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t columns) {
  const Dynamics dynamics = layer.neurons().dynamics;
  const auto size = static_cast<std::size_t>(columns * tile.width);
  layer.tile_threshold(call, tile, threshold_);
  line_ = {};
  line_.columns = columns;
  line_.steps = call.steps;
  line_.states.v = potentials_.reserve(size);
  line_.states.counts = has_counts(dynamics) ? counts_.reserve(size) : nullptr;
  line_.threshold = threshold_;
  line_.low = layer.neurons().low;
  line_.high = layer.neurons().high;
  line_.leak = layer.neurons().leak;
  line_.bias = layer.has_bias() ? layer.tile_bias(tile) : nullptr;
  line_.fired_stride = words_of_line(columns, columns_per_word(tile.width));
  line_.fired_plane = call.steps * line_.fired_stride;
  const std::int64_t fired_size = planes_of(dynamics) * line_.fired_plane;
  line_.fired = fired_.reserve(static_cast<std::size_t>(fired_size));
  std::fill_n(line_.fired, fired_size, 0);
  return line_;
}

void load_states(const TileLine& at, const NeuronStates& states) {
  load(at, at.call.v, states.v);
  if (states.counts != nullptr) load(at, at.call.counts, states.counts);
}

void store_states(const TileLine& at, const NeuronStates& states) {
  store(at, states.v, at.call.v_out);
  if (states.counts != nullptr) store(at, states.counts, at.call.counts_out);
}

void store_spikes(const TileLine& at, const NeuronLine& neurons) {
  const int planes = planes_of(at.layer.neurons().dynamics);
  StoreLine line{};
  line.steps = neurons.steps;
  line.columns = neurons.columns;
  line.packed = columns_per_word(at.tile.width);
  line.channels = static_cast<int>(at.tile.channels);
  line.plane = at.call.geometry().plane_out();
  line.fired = neurons.fired;
  line.words = at.call.fired + offset_of(at, planes);
  for (int plane = 0; plane < planes; ++plane) {
    vector_kernels().store_line(line);
    line.fired += neurons.fired_plane;
    line.words += at.layer.outputs() * line.plane;
  }
}

namespace {

constexpr int for_reading = 0, for_writing = 1, second_level_cache = 2;

template <int purpose, class T>
void prefetch(const T* from, std::int64_t size) {
  constexpr std::int64_t per_line = cache_line / sizeof(T);
  for (std::int64_t i = 0; i < size; i += per_line) __builtin_prefetch(from + i, purpose, second_level_cache);
}

// The input lines that output lines [first, last) of an image read, of all channels.
void prefetch_words(const LayerInput& input, std::int64_t channels, std::int64_t image, std::int64_t first,
                    std::int64_t last) {
  const Geometry& geometry = input.geometry;
  std::int64_t lowest = geometry.lines_in, highest = -1;
  for (const std::int64_t line : {first, last - 1}) {
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t from = geometry.input_line(line, tap);
      if (from < 0) continue;
      lowest = std::min(lowest, from);
      highest = std::max(highest, from);
    }
  }
  for (std::int64_t channel = 0; channel < channels && lowest <= highest; ++channel) {
    const std::int64_t plane = (image * channels + channel) * geometry.plane_in();
    prefetch<for_reading>(
        input.words + plane + lowest * geometry.columns_in(), (highest + 1 - lowest) * geometry.columns_in());
  }
}

}  // namespace

void prefetch_inputs(const TileLine& at, std::int64_t last) {
  const LayerCall& call = at.call;
  last = std::min(last, call.geometry().lines_out);
  if (at.image >= call.images || at.line >= last) return;
  for (std::size_t part = 0; part < call.inputs.size(); ++part) {
    const std::int64_t channels = call.inputs[part].copies * at.layer.synapses()[part].shape().copy_channels();
    prefetch_words(call.inputs[part], channels, at.image, at.line, last);
  }
  const std::int64_t size = (last - at.line) * call.geometry().columns_out();
  for (std::int64_t channel = 0; channel < at.tile.channels; ++channel) {
    const std::int64_t first = offset_of(at) + channel * call.geometry().plane_out();
    prefetch<for_reading>(call.v + first, size);
    if (call.counts != nullptr) prefetch<for_reading>(call.counts + first, size);
  }
}

void prefetch_outputs(const TileLine& at) {
  const LayerCall& call = at.call;
  const std::int64_t columns = call.geometry().columns_out(), plane = call.geometry().plane_out();
  const int planes = planes_of(at.layer.neurons().dynamics);
  const std::int64_t states = offset_of(at), words = offset_of(at, planes);
  for (std::int64_t channel = 0; channel < at.tile.channels; ++channel) {
    for (int sign = 0; sign < planes; ++sign) {
      prefetch<for_writing>(call.fired + words + (sign * at.layer.outputs() + channel) * plane, columns);
    }
    prefetch<for_writing>(call.v_out + states + channel * plane, columns);
    if (call.counts_out != nullptr) prefetch<for_writing>(call.counts_out + states + channel * plane, columns);
  }
}

}  // namespace snnc::kernels
