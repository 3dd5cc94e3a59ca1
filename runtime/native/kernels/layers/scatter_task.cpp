// A task by scatter: bands of lines whose membrane potentials fit the first-level cache.

#include <algorithm>
#include <limits>

#include "costs.hpp"
#include "layer_kernels.hpp"
#include "line_memory.hpp"
#include "neuron_memory.hpp"
#include "scatter_part.hpp"

namespace snnc::kernels {

namespace {

constexpr std::int64_t band_bytes = 24 * 1024;

struct Memory {
  LoadedLines loaded[2];
  MaskedParts masked;
  NeuronMemory neurons;
  Scratch<std::uint32_t> events;
};

class ScatterTask {
 public:
  ScatterTask(const SpikingLayer& layer, const LayerCall& call, Memory& memory)
      : layer_(layer), call_(call), tile_(layer.tiles()[0]), memory_(memory) {
    for (std::size_t i = 0; i < layer.synapses().size(); ++i) {
      if (!layer.synapses()[i].shape().depthwise()) add_part(layer.synapses()[i], call.inputs[i], memory.loaded[i]);
    }
    std::int64_t left = 0, right = call.geometry().columns_out();
    for (ScatterPart& part : parts_) reach(part, left, right);
    left_ = -left;
    right_ = right - call.geometry().columns_out();
    columns_ = right - left;
  }

  void run(const LayerTask& task) {
    const std::int64_t lines_out = call_.geometry().lines_out;
    const std::int64_t line_bytes = columns_ * tile_.width * static_cast<std::int64_t>(sizeof(std::int32_t));
    const std::int64_t most = std::max<std::int64_t>(1, band_bytes / line_bytes);
    for (std::int64_t unit = task.first; unit < task.last;) {
      const std::int64_t end_of_image = (unit / lines_out + 1) * lines_out;
      const std::int64_t end = std::min({task.last, end_of_image, unit + most});
      compute(unit / lines_out, unit % lines_out, (end - 1) % lines_out + 1, most);
      unit = end;
    }
  }

 private:
  void add_part(const Synapses& synapses, const LayerInput& input, LoadedLines& loaded) {
    ScatterPart part{};
    part.synapses = &synapses;
    part.input = &input;
    part.loaded = &loaded;
    part.packed = packed_for(synapses.shape());
    part.slots = slots_of(synapses.shape(), input.copies, 0, word_steps / part.packed);
    for (const Slot& slot : part.slots) part.slot_channel.push_back(slot.channel);
    parts_.push_back(std::move(part));
  }

  // Output columns that the events of each input column reach; widens [left, right) to what is ever written.
  void reach(ScatterPart& part, std::int64_t& left, std::int64_t& right) const {
    const Axis& axis = part.input->geometry.column_axis;
    const std::int64_t fields = words_of_line(axis.in, part.packed) * part.packed;
    part.columns.assign(static_cast<std::size_t>(fields), {0, 0, 0});
    const SynapseShape& shape = part.synapses->shape();
    part.run = shape.taps_of_phase() * tile_.width;
    for (std::int64_t column = 0; column < axis.in; ++column) {
      const std::int64_t phase = (column + axis.pad) % axis.stride;
      if (phase >= shape.phases()) {
        part.run = 0;  // not every column reaches a neuron
        continue;
      }
      const std::int64_t first = (column + axis.pad) / axis.stride - (shape.taps_of_phase() - 1);
      part.columns[static_cast<std::size_t>(field_of_column(column, part.packed))] = {
          static_cast<std::int32_t>(first * tile_.width),
          static_cast<std::int32_t>(phase * shape.taps_of_phase() * tile_.width),
          static_cast<std::int32_t>(shape.taps_of_phase() * tile_.width)};
      left = std::min(left, first);
      right = std::max(right, first + shape.taps_of_phase());
    }
  }

  // Elements of the weights of an input channel under one kernel line.
  std::int64_t line_row(const ScatterPart& part) const {
    const SynapseShape& shape = part.synapses->shape();
    return shape.phases() * shape.taps_of_phase() * tile_.width;
  }

  // The output lines of a band that an input line reaches.
  std::vector<ScatterTarget> targets_of(const ScatterPart& part, std::int64_t from, std::int64_t first,
                                        std::int64_t last) const {
    const Geometry& geometry = part.input->geometry;
    std::vector<ScatterTarget> targets;
    for (std::int64_t line = first; line < last; ++line) {
      for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
        if (geometry.input_line(line, tap) == from) {
          targets.push_back({(line - first) * columns_ * tile_.width, tap * line_row(part)});
        }
      }
    }
    return targets;
  }

  static ScatterLines& group_with(std::vector<ScatterLines>& groups, const std::vector<ScatterTarget>& targets) {
    const auto same = [](const ScatterTarget& a, const ScatterTarget& b) {
      return a.potential == b.potential && a.weight == b.weight;
    };
    for (ScatterLines& group : groups) {
      if (std::equal(group.targets.begin(), group.targets.end(), targets.begin(), targets.end(), same)) return group;
    }
    groups.push_back({targets, {}, {}});
    return groups.back();
  }

  // Sorts the loaded input lines by what they reach. Bands of the next images are the same.
  ScatterConnections& connect(ScatterPart& part, std::int64_t first, std::int64_t last) {
    for (ScatterConnections& band : part.bands) {
      if (band.first == first && band.last == last) return band;
    }
    ScatterConnections& band = part.bands.emplace_back();
    band.first = first;
    band.last = last;
    for (std::int64_t from = 0; from < part.input->geometry.lines_in; ++from) {
      if (!part.loaded->has(from)) continue;
      std::vector<ScatterTarget> targets = targets_of(part, from, first, last);
      const std::int64_t base = targets[0].potential;
      for (ScatterTarget& target : targets) target.potential -= base;
      ScatterLines& group = group_with(band.groups, targets);
      group.lines.push_back(from);
      group.views.push_back({nullptr, static_cast<std::uint32_t>(band.columns.size())});
      for (ScatterColumn column : part.columns) {
        column.potential += static_cast<std::int32_t>(base);
        band.columns.push_back(column);
      }
    }
    for (const ScatterLines& group : band.groups) {
      ScatterGroup& view = band.views.emplace_back();
      view.lines = group.views.data();
      view.line_count = static_cast<int>(group.views.size());
      view.targets = group.targets.data();
      view.target_count = static_cast<int>(group.targets.size());
      view.regular = regular(group.targets);
    }
    return band;
  }

  // Loads the input lines of a band of an image.
  void load(ScatterPart& part, std::int64_t image, std::int64_t first, std::int64_t last) {
    part.loaded->load(
        *part.input, part.slots, request_of(call_, *part.synapses, *part.input, image, first, last, part.packed));
    part.band = &connect(part, first, last);
    for (ScatterLines& group : part.band->groups) {
      for (std::size_t i = 0; i < group.lines.size(); ++i) group.views[i].bits = part.loaded->line(group.lines[i]);
    }
  }

  static bool regular(const std::vector<ScatterTarget>& targets) {
    for (std::size_t i = 2; i < targets.size(); ++i) {
      if (targets[i].potential - targets[i - 1].potential != targets[1].potential - targets[0].potential ||
          targets[i].weight - targets[i - 1].weight != targets[1].weight - targets[0].weight) {
        return false;
      }
    }
    return true;
  }

  ScatterSource source(const ScatterPart& part) const {
    ScatterSource source{};
    source.groups = part.band->views.data();
    source.group_count = static_cast<int>(part.band->views.size());
    source.step_stride = part.loaded->step_stride();
    source.packed = part.packed;
    source.channel_bits = channel_bits_of(part.synapses->shape(), part.packed);
    source.slots = static_cast<int>(part.slots.size());
    source.slot_channel = part.slot_channel.data();
    source.words_per_slot = part.loaded->words();
    source.columns = part.band->columns.data();
    source.rows = part.synapses->scatter_rows();
    source.row_size = part.synapses->shape().line_taps * line_row(part);
    source.run = part.run;
    return source;
  }

  // `next`: how many lines may follow.
  void compute(std::int64_t image, std::int64_t first, std::int64_t last, std::int64_t next) {
    ScatterBand band{};
    band.steps = call_.steps;
    connect_sources(band, image, first, last);
    std::vector<NeuronLine>& lines = memory_.neurons.prepare(layer_, call_, tile_, last - first, left_, right_);
    std::vector<std::vector<MaskedTap>> taps(lines.size());
    const bool masked = parts_.size() < layer_.synapses().size();
    if (masked) memory_.masked.load(layer_, call_, tile_, image, first, last);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const TileLine at{layer_, call_, tile_, image, first + static_cast<std::int64_t>(i)};
      if (masked) lines[i].masked = memory_.masked.taps(layer_, call_, tile_, at.line, taps[i]);
      prefetch_outputs(at);
      load_states(at, lines[i].states);
    }
    band.lines = lines.data();
    band.line_count = static_cast<int>(lines.size());
    band.v = lines[0].states.v;
    prefetch_next(image, last, next);
    kernel()(band);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const TileLine at{layer_, call_, tile_, image, first + static_cast<std::int64_t>(i)};
      store_states(at, lines[i].states);
      store_spikes(at, lines[i]);
    }
  }

  // Loads the parts for output lines [first, last) and makes room for the events of a step.
  void connect_sources(ScatterBand& band, std::int64_t image, std::int64_t first, std::int64_t last) {
    std::int64_t most_events = 0;
    for (ScatterPart& part : parts_) {
      load(part, image, first, last);
      band.sources[band.source_count++] = source(part);
      const auto lines_in = static_cast<std::int64_t>(part.band->columns.size() / part.columns.size());
      most_events = std::max(most_events, lines_in * part.loaded->step_stride() * word_steps);
    }
    band.events = memory_.events.reserve(static_cast<std::size_t>(most_events + list_slack));
  }

  // What the task will read after line `last` of an image: up to `next` lines of it, or of the next image.
  void prefetch_next(std::int64_t image, std::int64_t last, std::int64_t next) const {
    const bool same_image = last < call_.geometry().lines_out;
    const TileLine at{layer_, call_, tile_, same_image ? image : image + 1, same_image ? last : 0};
    prefetch_inputs(at, at.line + next);
  }

  auto kernel() const -> void (*)(const ScatterBand&) {
    const int bytes = parts_[0].synapses->weight_bytes(), dynamics = dynamics_index(layer_.neurons().dynamics);
    return vector_kernels().scatter_band[bytes_index(bytes)][width_index(tile_.width)][dynamics];
  }

  const SpikingLayer& layer_;
  const LayerCall& call_;
  const Tile tile_;
  Memory& memory_;
  std::vector<ScatterPart> parts_;
  std::int64_t left_ = 0, right_ = 0, columns_ = 0;  // of a line in scratch memory: beside the plane, and all
};

}  // namespace

// Some part must be packed for it. Events are (field << channel bits) + channel; potentials and weights are found by
// signed 32-bit numbers.
bool scatter_fits(const SpikingLayer& layer, const LayerCall& call) {
  constexpr std::int64_t most_events = std::numeric_limits<std::uint32_t>::max();
  constexpr std::int64_t most_elements = std::numeric_limits<std::int32_t>::max();
  const std::int64_t width = layer.tiles()[0].width;
  bool packed_part = false;
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const SynapseShape& shape = layer.synapses()[part].shape();
    if (shape.depthwise()) continue;
    packed_part = packed_part || layer.synapses()[part].can_scatter();
    const Geometry& geometry = call.inputs[part].geometry;
    const Axis& axis = geometry.column_axis;
    const int packed = packed_for(shape);
    const std::int64_t fields = geometry.lines_in * words_of_line(axis.in, packed) * packed;
    const std::int64_t columns = axis.out + axis.in + axis.pad + 2 * shape.taps_of_phase();
    if (fields > most_events >> channel_bits_of(shape, packed) || columns > most_elements / width ||
        shape.phases() * shape.taps_of_phase() > most_elements / width) {
      return false;
    }
  }
  return packed_part;
}

// Runs have the same length at the borders, where not all of it reaches a neuron.
double scatter_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
  const Workload work(layer, call, input_spikes);
  return work.pixel_steps * (work.vectors * ScatterCosts::vector_step + ScatterCosts::pixel) +
         work.runs * (ScatterCosts::run + work.vectors * ScatterCosts::run_vector);
}

void run_scatter(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  ScatterTask(layer, call, memory).run(task);
}

}  // namespace snnc::kernels
