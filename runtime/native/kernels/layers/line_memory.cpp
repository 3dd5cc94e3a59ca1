#include "line_memory.hpp"

#include <algorithm>

namespace snnc::kernels {

std::vector<Slot> slots_of(const SynapseShape& shape, std::int64_t copies, std::int64_t group, int most) {
  std::vector<Slot> slots;
  const std::int64_t inputs = shape.group_inputs();
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    for (std::int64_t channel = 0; channel < inputs; channel += most) {
      const auto channels = static_cast<int>(std::min<std::int64_t>(most, inputs - channel));
      slots.push_back({copy * shape.inputs + group * inputs + channel, channels, static_cast<std::uint32_t>(channel)});
    }
  }
  return slots;
}

std::int64_t place_input_lines(
    const Geometry& geometry, std::int64_t first, std::int64_t last, std::vector<std::int64_t>& place) {
  std::int64_t placed = 0;
  place.assign(static_cast<std::size_t>(geometry.lines_in), -1);
  for (std::int64_t line = first; line < last; ++line) {
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t from = geometry.input_line(line, tap);
      if (from >= 0 && place[static_cast<std::size_t>(from)] < 0) place[static_cast<std::size_t>(from)] = placed++;
    }
  }
  return placed;
}

NeuronLine LineNeurons::prepare(const SpikingLayer& layer, const LayerCall& call, const Tile& tile) {
  const std::int64_t columns = call.geometry().columns_out();
  NeuronLine line{};
  line.columns = columns;
  line.steps = call.steps;
  line.v = potentials_.reserve(static_cast<std::size_t>(columns * tile.width));
  layer.tile_threshold(call, tile, threshold_);
  line.threshold = threshold_;
  line.bias = layer.has_bias() ? layer.tile_bias(tile) : nullptr;
  line.fired_stride = words_of_line(columns, columns_per_word(tile.width));
  line.fired = fired_.reserve(static_cast<std::size_t>(word_steps * line.fired_stride));
  std::fill_n(line.fired, word_steps * line.fired_stride, 0);
  return line;
}

void LoadedLines::load(
    const LayerInput& input, std::int64_t input_channels, std::int64_t image, int steps,
    const std::vector<Slot>& slots, int packed, std::int64_t first_line, std::int64_t last_line) {
  const Geometry& geometry = input.geometry;
  const std::int64_t loaded = place_input_lines(geometry, first_line, last_line, place_);
  spikes_.assign(static_cast<std::size_t>(geometry.lines_in), 0);
  words_ = words_of_line(geometry.columns_in(), packed);
  step_stride_ = words_ * static_cast<std::int64_t>(slots.size());
  line_stride_ = step_stride_ * steps;
  std::uint64_t* memory = bits_.reserve(static_cast<std::size_t>(loaded * line_stride_));
  const std::uint64_t* words =
      input.words + image * input.copies * input_channels * geometry.plane_in();
  const auto load_line = vector_kernels().load_line;
  for (std::int64_t line = 0; line < geometry.lines_in; ++line) {
    if (!has(line)) continue;
    std::uint64_t* bits = memory + place_[static_cast<std::size_t>(line)] * line_stride_;
    for (const Slot& slot : slots) {
      load_line({words + slot.first * geometry.plane_in() + line * geometry.columns_in(), geometry.plane_in(),
                 slot.channels, geometry.columns_in(), packed, steps, bits, step_stride_});
      bits += words_;
    }
    spikes_[static_cast<std::size_t>(line)] = vector_kernels().count_spikes(this->line(line), line_stride_);
  }
}

namespace {

// Where channel 0 of a tile's line begins in [image][channel][line][column].
std::int64_t line_offset(
    const LayerCall& call, const SpikingLayer& layer, const Tile& tile, std::int64_t image, std::int64_t line) {
  const Geometry& geometry = call.geometry();
  return (image * layer.outputs() + tile.first) * geometry.plane_out() + line * geometry.columns_out();
}

}  // namespace

void load_potentials(
    const LayerCall& call, const SpikingLayer& layer, const Tile& tile, std::int64_t image, std::int64_t line,
    std::int32_t* potentials) {
  const std::int64_t columns = call.geometry().columns_out(), plane = call.geometry().plane_out();
  const std::int32_t* v = call.v + line_offset(call, layer, tile, image, line);
  for (std::int64_t channel = 0; channel < tile.channels; ++channel) {
    for (std::int64_t column = 0; column < columns; ++column) {
      potentials[column * tile.width + channel] = v[channel * plane + column];
    }
  }
  for (std::int64_t column = 0; column < columns && tile.channels < tile.width; ++column) {
    std::fill_n(potentials + column * tile.width + tile.channels, tile.width - tile.channels, 0);
  }
}

void store_potentials(
    const LayerCall& call, const SpikingLayer& layer, const Tile& tile, std::int64_t image, std::int64_t line,
    const std::int32_t* potentials) {
  const std::int64_t columns = call.geometry().columns_out(), plane = call.geometry().plane_out();
  std::int32_t* v = call.v_out + line_offset(call, layer, tile, image, line);
  for (std::int64_t channel = 0; channel < tile.channels; ++channel) {
    for (std::int64_t column = 0; column < columns; ++column) {
      v[channel * plane + column] = potentials[column * tile.width + channel];
    }
  }
}

namespace {

constexpr int for_reading = 0, for_writing = 1, second_level_cache = 2;

template <int purpose, class T>
void prefetch(const T* from, std::int64_t size) {
  constexpr std::int64_t per_line = cache_line / sizeof(T);
  for (std::int64_t i = 0; i < size; i += per_line) __builtin_prefetch(from + i, purpose, second_level_cache);
}

}  // namespace

void prefetch_inputs(
    const LayerCall& call, const SpikingLayer& layer, const Tile& tile, std::int64_t image, std::int64_t first,
    std::int64_t last) {
  last = std::min(last, call.geometry().lines_out);
  if (image >= call.images || first >= last) return;
  for (std::size_t part = 0; part < call.inputs.size(); ++part) {
    const LayerInput& input = call.inputs[part];
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
    const std::int64_t channels = input.copies * layer.synapses()[part].shape().inputs;
    for (std::int64_t channel = 0; channel < channels && lowest <= highest; ++channel) {
      const std::int64_t plane = (image * channels + channel) * geometry.plane_in();
      prefetch<for_reading>(
          input.words + plane + lowest * geometry.columns_in(), (highest + 1 - lowest) * geometry.columns_in());
    }
  }
  const std::int64_t begin = line_offset(call, layer, tile, image, first);
  for (std::int64_t channel = 0; channel < tile.channels; ++channel) {
    prefetch<for_reading>(call.v + begin + channel * call.geometry().plane_out(),
                          (last - first) * call.geometry().columns_out());
  }
}

void prefetch_outputs(
    const LayerCall& call, const SpikingLayer& layer, const Tile& tile, std::int64_t image, std::int64_t line) {
  const std::int64_t first = line_offset(call, layer, tile, image, line);
  const std::int64_t columns = call.geometry().columns_out(), plane = call.geometry().plane_out();
  for (std::int64_t channel = 0; channel < tile.channels; ++channel) {
    prefetch<for_writing>(call.fired + first + channel * plane, columns);
    prefetch<for_writing>(call.v_out + first + channel * plane, columns);
  }
}

void store_spikes(
    const LayerCall& call, const SpikingLayer& layer, const Tile& tile, std::int64_t image, std::int64_t line,
    const std::uint64_t* fired) {
  vector_kernels().store_line({fired, call.geometry().columns_out(), columns_per_word(tile.width),
                               static_cast<int>(tile.channels),
                               call.fired + line_offset(call, layer, tile, image, line), call.geometry().plane_out()});
}

void MaskedParts::load(
    const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t image, std::int64_t first,
    std::int64_t last) {
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const SynapseShape& shape = layer.synapses()[part].shape();
    if (!shape.depthwise()) continue;
    std::vector<Slot> slots;
    for (std::int64_t copy = 0; copy < call.inputs[part].copies; ++copy) {
      slots.push_back({copy * shape.inputs + tile.first, static_cast<int>(tile.channels), 0});
    }
    lines_[part].load(
        call.inputs[part], shape.inputs, image, call.steps, slots, columns_per_word(tile.width), first, last);
  }
}

MaskedTaps MaskedParts::taps(
    const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t line,
    std::vector<MaskedTap>& memory) const {
  memory.clear();
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const Synapses& synapses = layer.synapses()[part];
    if (!synapses.shape().depthwise()) continue;
    const Geometry& geometry = call.inputs[part].geometry;
    const Axis& axis = geometry.column_axis;
    for (std::int64_t line_tap = 0; line_tap < geometry.line_taps; ++line_tap) {
      const std::int64_t from = geometry.input_line(line, line_tap);
      if (from < 0) continue;
      for (std::int64_t column_tap = 0; column_tap < axis.kernel; ++column_tap) {
        const std::int32_t* weights = synapses.masked_row(line_tap * axis.kernel + column_tap) + tile.first;
        for (std::int64_t copy = 0; copy < call.inputs[part].copies; ++copy) {
          memory.push_back({lines_[part].line(from) + copy * lines_[part].words(), lines_[part].step_stride(), weights,
                            axis.stride, column_tap * axis.dilation - axis.pad, axis.in});
        }
      }
    }
  }
  return {memory.data(), static_cast<int>(memory.size())};
}

}  // namespace snnc::kernels
