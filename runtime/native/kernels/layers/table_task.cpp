// A task by table: strings of bits of the input lines, then every neuron looks its sums up.

#include <algorithm>

#include "layer_kernels.hpp"
#include "line_memory.hpp"
#include "neuron_memory.hpp"
#include "workload.hpp"

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
    bits_.reserve(static_cast<std::size_t>(loaded * sets_ * set_stride_));
    silent_.assign(static_cast<std::size_t>(loaded * sets_), false);
    const std::uint64_t* words = input.words + image * shape.copy_channels() * geometry.plane_in();
    for (std::int64_t line = 0; line < geometry.lines_in; ++line) {
      const std::int64_t place = place_[static_cast<std::size_t>(line)];
      if (place >= 0) load_line(layer, call, words + line * axis.in, place);
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
  // The strings of all sets of an input line; `words` are those of its channel 0.
  void load_line(const SpikingLayer& layer, const LayerCall& call, const std::uint64_t* words, std::int64_t place) {
    const Geometry& geometry = call.inputs[0].geometry;
    const std::int64_t channels = layer.synapses()[0].shape().copy_channels();
    LoadStrings task{};
    task.plane = geometry.plane_in();
    task.channels = layer.tables().channels();
    task.columns = geometry.columns_in();
    task.pad = geometry.column_axis.pad;
    task.columns_per_string = static_cast<int>(columns_per_string_);
    task.strings = strings_;
    task.steps = call.steps;
    task.stride = step_stride_;
    for (std::int64_t set = 0; set < sets_; ++set) {
      const std::int64_t channel = set * task.channels;
      task.words = words + channel * task.plane;
      task.existing = static_cast<int>(std::min<std::int64_t>(task.channels, channels - channel));
      task.bits = bits_.data() + (place * sets_ + set) * set_stride_;
      vector_kernels().load_strings(task);
      silent_[static_cast<std::size_t>(place * sets_ + set)] =
          vector_kernels().count_spikes(task.bits, set_stride_) == 0;
    }
  }

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
  NeuronMemory neurons;
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
    line.neurons = memory_.neurons.prepare(layer_, call_, tile, call_.geometry().columns_out());
    line.step_stride = memory_.strings.step_stride();
    line.columns = memory_.columns.data();
    line.mask = layer_.tables().mask();
    const bool masked = layer_.synapses().size() > 1;
    if (masked) memory_.masked.load(layer_, call_, tile, image, first, last);
    const auto kernel =
        vector_kernels().table_line[size_index(layer_.tables().bytes())][width_index(tile.width)][dynamics_index(layer_.neurons().dynamics)];
    for (std::int64_t out_line = first; out_line < last; ++out_line) {
      const TileLine at{layer_, call_, tile, image, out_line};
      if (masked) line.neurons.masked = memory_.masked.taps(layer_, call_, tile, out_line, memory_.taps);
      find_lookups(out_line, tile_index);
      line.lookups = memory_.lookups.data();
      line.lookup_count = static_cast<int>(memory_.lookups.size());
      prefetch_outputs(at);
      load_states(at, line.neurons.states);
      kernel(line);
      store_states(at, line.neurons.states);
      store_spikes(at, line.neurons);
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

// Strings reach from the first field to the last: fields far outside the line would make them long.
bool table_fits(const SpikingLayer& layer, const LayerCall& call) {
  const Axis& axis = call.geometry().column_axis;
  const bool near = axis.pad < axis.kernel && (axis.out - 1) * axis.stride - axis.pad < axis.in + axis.kernel;
  return layer.tables().exist() && call.inputs[0].copies == 1 && near;
}

double table_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
  const TableCosts& costs = vector_kernels().costs.table;
  const Workload work(layer, call, input_spikes);
  const auto lookups = static_cast<double>(layer.synapses()[0].shape().line_taps * layer.tables().sets());
  const double lookup = costs.lookup * work.tiles + costs.lookup_vector * work.vectors;
  return work.pixel_steps * (work.tiles * costs.pixel + lookups * lookup);
}

void run_table(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  TableTask(layer, call, memory).run(task);
}

}  // namespace snnc::kernels
