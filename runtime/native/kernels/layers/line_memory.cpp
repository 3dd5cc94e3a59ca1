#include "line_memory.hpp"

#include <algorithm>

namespace snnc::kernels {

// Without groups all channels of a copy, of either sign, follow each other; with groups those of a sign do.
std::vector<Slot> slots_of(const SynapseShape& shape, std::int64_t copies, std::int64_t group, int most) {
  std::vector<Slot> slots;
  const std::int64_t inputs = shape.group_inputs();
  const std::int64_t run = shape.groups == 1 ? shape.group_channels() : inputs;
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    for (std::int64_t channel = 0; channel < shape.group_channels();) {
      const std::int64_t sign = channel / run, in_run = channel % run;
      const std::int64_t first = copy * shape.copy_channels() + sign * shape.inputs + group * inputs + in_run;
      const std::int64_t channels = std::min<std::int64_t>(most, run - in_run);
      slots.push_back({first, static_cast<int>(channels), static_cast<std::uint32_t>(channel)});
      channel += channels;
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

void LoadedLines::load(const LayerInput& input, const std::vector<Slot>& slots, const LineRequest& request) {
  const Geometry& geometry = input.geometry;
  const std::int64_t loaded = place_input_lines(geometry, request.first, request.last, place_);
  spikes_.assign(static_cast<std::size_t>(geometry.lines_in), 0);
  words_ = words_of_line(geometry.columns_in(), request.packed);
  step_stride_ = words_ * static_cast<std::int64_t>(slots.size());
  line_stride_ = step_stride_ * request.steps;
  std::uint64_t* memory = bits_.reserve(static_cast<std::size_t>(loaded * line_stride_));
  const std::uint64_t* words = input.words + request.image * request.image_words;
  LoadLine task{};
  task.plane = geometry.plane_in();
  task.columns = geometry.columns_in();
  task.packed = request.packed;
  task.steps = request.steps;
  task.stride = step_stride_;
  for (std::int64_t line = 0; line < geometry.lines_in; ++line) {
    if (!has(line)) continue;
    task.bits = memory + place_[static_cast<std::size_t>(line)] * line_stride_;
    for (const Slot& slot : slots) {
      task.words = words + slot.first * geometry.plane_in() + line * geometry.columns_in();
      task.channels = slot.channels;
      vector_kernels().load_line(task);
      task.bits += words_;
    }
    spikes_[static_cast<std::size_t>(line)] = vector_kernels().count_spikes(this->line(line), line_stride_);
  }
}

LineRequest request_of(
    const LayerCall& call, const Synapses& synapses, const LayerInput& input, std::int64_t image, std::int64_t first,
    std::int64_t last, int packed) {
  LineRequest request{};
  request.image_words = input.copies * synapses.shape().copy_channels() * input.geometry.plane_in();
  request.image = image;
  request.steps = call.steps;
  request.packed = packed;
  request.first = first;
  request.last = last;
  return request;
}

void MaskedParts::load(
    const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t image, std::int64_t first,
    std::int64_t last) {
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const Synapses& synapses = layer.synapses()[part];
    const SynapseShape& shape = synapses.shape();
    if (!shape.depthwise()) continue;
    const LayerInput& input = call.inputs[part];
    std::vector<Slot> slots;
    for (std::int64_t block = 0; block < input.copies * shape.signs; ++block) {  // of the channels of a sign
      slots.push_back({block * shape.inputs + tile.first, static_cast<int>(tile.channels), 0});
    }
    const int packed = columns_per_word(tile.width);
    lines_[part].load(input, slots, request_of(call, synapses, input, image, first, last, packed));
  }
}

MaskedTaps MaskedParts::taps(
    const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t line,
    std::vector<MaskedTap>& memory) const {
  memory.clear();
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const Synapses& synapses = layer.synapses()[part];
    if (synapses.shape().depthwise()) append_taps(synapses, call.inputs[part], lines_[part], tile, line, memory);
  }
  return {memory.data(), static_cast<int>(memory.size())};
}

void MaskedParts::append_taps(
    const Synapses& synapses, const LayerInput& input, const LoadedLines& lines, const Tile& tile, std::int64_t line,
    std::vector<MaskedTap>& memory) const {
  const Geometry& geometry = input.geometry;
  const Axis& axis = geometry.column_axis;
  const std::int64_t signs = synapses.shape().signs;
  MaskedTap tap{};
  tap.step_stride = lines.step_stride();
  tap.column_stride = axis.stride;
  tap.columns_in = axis.in;
  for (std::int64_t line_tap = 0; line_tap < geometry.line_taps; ++line_tap) {
    const std::int64_t from = geometry.input_line(line, line_tap);
    if (from < 0) continue;
    for (std::int64_t column_tap = 0; column_tap < axis.kernel; ++column_tap) {
      tap.offset = column_tap * axis.dilation - axis.pad;
      for (std::int64_t block = 0; block < input.copies * signs; ++block) {
        tap.bits = lines.line(from) + block * lines.words();
        tap.weights = synapses.masked_row(block % signs, line_tap * axis.kernel + column_tap) + tile.first;
        memory.push_back(tap);
      }
    }
  }
}

}  // namespace snnc::kernels
