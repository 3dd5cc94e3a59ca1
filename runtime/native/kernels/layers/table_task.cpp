// A task by table: strings of bits of the input lines, then every neuron looks its sums up.

#include <algorithm>

#include "line_memory.hpp"

namespace snnc::kernels {

namespace {

// The strings of the input lines that some output lines of one image read: [line][set][step][string].
class Strings {
 public:
  void load(const SpikingLayer& layer, const LayerCall& call, std::int64_t image, std::int64_t first,
            std::int64_t last) {
    const LayerInput& input = call.inputs[0];
    const Geometry& geometry = input.geometry;
    const Axis& axis = geometry.column_axis;
    const Tables& tables = layer.tables();
    const SynapseShape& shape = layer.synapses()[0].shape();
    const std::int64_t loaded = place_input_lines(geometry, first, last, place_);
    sets_ = tables.sets();
    columns_per_string_ = word_steps / tables.channels() - axis.kernel + 1;
    const std::int64_t last_column = (axis.out - 1) * axis.stride;  // the first of its field, counted from -pad
    strings_ = last_column / columns_per_string_ + 1;
    step_stride_ = words_of_line(strings_, 1);
    set_stride_ = step_stride_ * call.steps;
    std::uint64_t* memory = bits_.reserve(static_cast<std::size_t>(loaded * sets_ * set_stride_));
    silent_.assign(static_cast<std::size_t>(loaded * sets_), false);
    const std::uint64_t* words = input.words + image * shape.inputs * geometry.plane_in();
    for (std::int64_t line = 0; line < geometry.lines_in; ++line) {
      const std::int64_t place = place_[static_cast<std::size_t>(line)];
      if (place < 0) continue;
      for (std::int64_t set = 0; set < sets_; ++set) {
        const std::int64_t channel = set * tables.channels();
        std::uint64_t* bits = memory + (place * sets_ + set) * set_stride_;
        const LoadStrings task = {words + channel * geometry.plane_in() + line * axis.in,
                                  geometry.plane_in(),
                                  tables.channels(),
                                  static_cast<int>(std::min<std::int64_t>(tables.channels(), shape.inputs - channel)),
                                  axis.in,
                                  axis.pad,
                                  static_cast<int>(columns_per_string_),
                                  strings_,
                                  call.steps,
                                  bits,
                                  step_stride_};
        vector_kernels().load_strings(task);
        silent_[static_cast<std::size_t>(place * sets_ + set)] =
            vector_kernels().count_spikes(bits, set_stride_) == 0;
      }
    }
  }

  // Null if no channel of the set spikes in the line.
  const std::uint64_t* strings(std::int64_t line, std::int64_t set) const {
    const std::int64_t place = place_[static_cast<std::size_t>(line)] * sets_ + set;
    return silent_[static_cast<std::size_t>(place)] ? nullptr : bits_.data() + place * set_stride_;
  }

  TableColumn column(const Axis& axis, int channels, std::int64_t column) const {
    const std::int64_t first = column * axis.stride;
    return {static_cast<std::int32_t>(first / columns_per_string_),
            static_cast<std::int32_t>(first % columns_per_string_ * channels)};
  }

  std::int64_t step_stride() const { return step_stride_; }

 private:
  Scratch<std::uint64_t> bits_;
  std::vector<std::int64_t> place_;
  std::vector<bool> silent_;
  std::int64_t sets_ = 0, strings_ = 0, columns_per_string_ = 0, step_stride_ = 0, set_stride_ = 0;
};

struct Memory {
  Strings strings;
  MaskedParts masked;
  std::vector<MaskedTap> taps;
  std::vector<TableLookup> lookups;
  std::vector<TableColumn> columns;
  LineNeurons neurons;
};

class TableTask {
 public:
  TableTask(const SpikingLayer& layer, const LayerCall& call, Memory& memory)
      : layer_(layer), call_(call), memory_(memory) {}

  void run(const LayerTask& task) {
    const std::int64_t lines_out = call_.geometry().lines_out;
    for (std::int64_t unit = task.first; unit < task.last;) {
      const std::int64_t end_of_image = (unit / lines_out + 1) * lines_out;
      const std::int64_t end = std::min({task.last, end_of_image, unit + lines_at_once});
      const std::int64_t image = unit / lines_out, first = unit % lines_out, last = (end - 1) % lines_out + 1;
      memory_.strings.load(layer_, call_, image, first, last);
      for (std::size_t tile = task.first_tile; tile < task.last_tile; ++tile) compute(image, first, last, tile);
      unit = end;
    }
  }

 private:
  void compute(std::int64_t image, std::int64_t first, std::int64_t last, std::size_t tile_index) {
    const Tile& tile = layer_.tiles()[tile_index];
    const Geometry& geometry = call_.geometry();
    const std::int64_t columns = geometry.columns_out();
    memory_.columns.clear();
    for (std::int64_t column = 0; column < columns; ++column) {
      memory_.columns.push_back(
          memory_.strings.column(geometry.column_axis, layer_.tables().channels(), column));
    }
    TableLine line{};
    line.neurons = memory_.neurons.prepare(layer_, call_, tile);
    line.step_stride = memory_.strings.step_stride();
    line.columns = memory_.columns.data();
    line.mask = layer_.tables().mask();
    const bool masked = layer_.synapses().size() > 1;
    if (masked) memory_.masked.load(layer_, call_, tile, image, first, last);
    const auto kernel = vector_kernels().table_line[width_index(tile.width)][layer_.soft_reset()];
    for (std::int64_t out_line = first; out_line < last; ++out_line) {
      if (masked) line.neurons.masked = memory_.masked.taps(layer_, call_, tile, out_line, memory_.taps);
      find_lookups(out_line, tile_index);
      line.lookups = memory_.lookups.data();
      line.lookup_count = static_cast<int>(memory_.lookups.size());
      prefetch_outputs(call_, layer_, tile, image, out_line);
      load_potentials(call_, layer_, tile, image, out_line, line.neurons.v);
      kernel(line);
      store_potentials(call_, layer_, tile, image, out_line, line.neurons.v);
      store_spikes(call_, layer_, tile, image, out_line, line.neurons.fired);
    }
  }

  void find_lookups(std::int64_t out_line, std::size_t tile) {
    const Geometry& geometry = call_.geometry();
    memory_.lookups.clear();
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t from = geometry.input_line(out_line, tap);
      for (std::int64_t set = 0; from >= 0 && set < layer_.tables().sets(); ++set) {
        const std::uint64_t* strings = memory_.strings.strings(from, set);
        if (strings != nullptr) memory_.lookups.push_back({strings, layer_.tables().rows(tile, tap, set)});
      }
    }
  }

  const SpikingLayer& layer_;
  const LayerCall& call_;
  Memory& memory_;
};

}  // namespace

void run_table(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  TableTask(layer, call, memory).run(task);
}

}  // namespace snnc::kernels
