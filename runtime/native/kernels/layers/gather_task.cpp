// A task by gather: list the events of as many lines as fit the cache, then go through the weights tile by tile.

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "line_memory.hpp"

namespace snnc::kernels {

namespace {

// Lists are made for several lines at once, so that a tile's weights are used for all of them: about this many events.
constexpr std::int64_t listed_events = 1 << 15;

// The events of consecutive output lines of all images, for tiles of one group and width.
class Lists {
 public:
  void clear(const Synapses& synapses, const LayerInput& input, int width, std::int64_t group, int steps) {
    synapses_ = &synapses;
    input_ = &input;
    width_ = width;
    steps_ = steps;
    slots_ = slots_of(synapses.shape(), input.copies, group, word_steps);
    lines_ = 0;
    events_ = 0;
    entry_of_line_.clear();
  }

  void load(std::int64_t image, std::int64_t first_line, std::int64_t last_line) {
    loaded_.load(*input_, synapses_->shape().inputs, image, steps_, slots_, 1, first_line, last_line);
  }

  // Appends the list of an output line of the loaded image.
  void append(std::int64_t line) {
    const Geometry& geometry = input_->geometry;
    words_.clear();
    std::int64_t events = 0;
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t from = geometry.input_line(line, tap);
      if (from < 0) continue;
      const std::uint64_t* bits = loaded_.line(from);
      for (const Slot& slot : slots_) {
        const std::int64_t base = tap * synapses_->tap_bytes(width_) + slot.channel * synapses_->channel_bytes(width_);
        words_.push_back({bits, static_cast<std::uint32_t>(base)});
        bits += loaded_.words();
      }
      events += loaded_.spikes(from);
    }
    if (events > std::numeric_limits<std::uint32_t>::max()) {
      throw std::length_error("a line has more events than can be counted in 32 bits");
    }
    grow(entries_, static_cast<std::size_t>(events_ + events + list_slack));
    grow(starts_, static_cast<std::size_t>((lines_ + 1) * line_starts()));
    ListLine list{};
    list.words = words_.data();
    list.word_count = static_cast<int>(words_.size());
    list.step_stride = loaded_.step_stride();
    list.channel_bytes = static_cast<std::uint32_t>(synapses_->channel_bytes(width_));
    list.column_bytes = static_cast<std::uint32_t>(synapses_->column_bytes(width_));
    list.column_order = geometry.column_order.data();
    list.column_steps = geometry.column_steps.data();
    list.columns = geometry.columns_in();
    list.steps = steps_;
    list.entries = entries_.data() + events_;
    list.starts = starts_.data() + lines_ * line_starts();
    entry_of_line_.push_back(events_);
    events_ += vector_kernels().list_line(list);
    ++lines_;
  }

  GatherSource source(std::int64_t index, std::size_t tile) const {
    return {entries_.data() + entry_of_line_[static_cast<std::size_t>(index)],
            starts_.data() + index * line_starts(),
            input_->geometry.columns_in() + 1,
            input_->geometry.fields.data(),
            synapses_->tile_rows(tile),
            synapses_->column_bytes(width_)};
  }

  std::int64_t events() const { return events_; }

 private:
  std::int64_t line_starts() const { return steps_ * (input_->geometry.columns_in() + 1); }

  static void grow(std::vector<std::uint32_t>& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size + size / 2);
  }

  const Synapses* synapses_ = nullptr;
  const LayerInput* input_ = nullptr;
  int width_ = 0, steps_ = 0;
  std::vector<Slot> slots_;
  std::vector<ListWord> words_;
  LoadedLines loaded_;
  std::vector<std::uint32_t> entries_, starts_;
  std::vector<std::int64_t> entry_of_line_;
  std::int64_t lines_ = 0, events_ = 0;
};

struct Memory {
  Lists lists[2];
  MaskedParts masked;
  std::vector<MaskedTap> taps;
  LineNeurons neurons;
};

class GatherTask {
 public:
  GatherTask(const SpikingLayer& layer, const LayerCall& call, Memory& memory)
      : layer_(layer), call_(call), memory_(memory), lines_out_(call.geometry().lines_out) {
    for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
      if (!layer.synapses()[part].shape().depthwise()) weighted_.push_back(part);
    }
  }

  void run(const LayerTask& task) {
    for (std::size_t tile = task.first_tile; tile < task.last_tile;) {
      const std::size_t end = end_of_run(tile, task.last_tile);
      for (std::int64_t unit = task.first; unit < task.last;) {
        const std::int64_t listed = list(unit, task.last, layer_.tiles()[tile]);
        for (std::size_t i = tile; i < end; ++i) compute(unit, listed, i);
        unit = listed;
      }
      tile = end;
    }
  }

 private:
  std::int64_t group_of(std::size_t part, const Tile& tile) const {
    return tile.first / layer_.synapses()[part].shape().group_outputs();
  }

  // Tiles that can share lists follow each other: the same groups and the same width.
  std::size_t end_of_run(std::size_t first, std::size_t last) const {
    const Tile& tile = layer_.tiles()[first];
    std::size_t end = first + 1;
    while (end < last && layer_.tiles()[end].width == tile.width &&
           std::all_of(weighted_.begin(), weighted_.end(), [&](std::size_t part) {
             return group_of(part, layer_.tiles()[end]) == group_of(part, tile);
           })) {
      ++end;
    }
    return end;
  }

  // The last output line of the image of `unit`, as a unit.
  std::int64_t end_of_image(std::int64_t unit, std::int64_t last) const {
    return std::min(last, (unit / lines_out_ + 1) * lines_out_);
  }

  // Lists lines from `first` on until there are enough events; returns the first one that is not listed.
  std::int64_t list(std::int64_t first, std::int64_t last, const Tile& tile) {
    if (weighted_.empty()) return end_of_image(first, last);
    for (const std::size_t part : weighted_) {
      memory_.lists[part].clear(
          layer_.synapses()[part], call_.inputs[part], tile.width, group_of(part, tile), call_.steps);
    }
    std::int64_t unit = first;
    while (unit < last) {
      // A few lines at a time are transposed: at most as many as one output line reads, and some more.
      const std::int64_t end = std::min(end_of_image(unit, last), unit + lines_at_once);
      for (const std::size_t part : weighted_) {
        memory_.lists[part].load(unit / lines_out_, unit % lines_out_, (end - 1) % lines_out_ + 1);
      }
      for (; unit < end; ++unit) {
        std::int64_t events = 0;
        for (const std::size_t part : weighted_) {
          memory_.lists[part].append(unit % lines_out_);
          events += memory_.lists[part].events();
        }
        if (events >= listed_events) return unit + 1;
      }
    }
    return last;
  }

  void compute(std::int64_t first, std::int64_t last, std::size_t tile_index) {
    const Tile& tile = layer_.tiles()[tile_index];
    GatherLine line{};
    NeuronLine& neurons = line.neurons;
    neurons = memory_.neurons.prepare(layer_, call_, tile);
    line.source_count = static_cast<int>(weighted_.size());
    const int bytes = layer_.synapses()[weighted_.empty() ? 0 : weighted_[0]].weight_bytes();
    const auto kernel = vector_kernels().gather_line[bytes == 2 ? 0 : 1][width_index(tile.width)][layer_.soft_reset()];

    for (std::int64_t unit = first; unit < last; ++unit) {
      const std::int64_t image = unit / lines_out_, out_line = unit % lines_out_;
      if (weighted_.size() < layer_.synapses().size()) {
        if (unit == first || out_line == 0) {
          memory_.masked.load(layer_, call_, tile, image, out_line, (end_of_image(unit, last) - 1) % lines_out_ + 1);
        }
        neurons.masked = memory_.masked.taps(layer_, call_, tile, out_line, memory_.taps);
      }
      for (std::size_t i = 0; i < weighted_.size(); ++i) {
        line.sources[i] = memory_.lists[weighted_[i]].source(unit - first, tile_index);
      }
      prefetch_outputs(call_, layer_, tile, image, out_line);
      load_potentials(call_, layer_, tile, image, out_line, neurons.v);
      kernel(line);
      store_potentials(call_, layer_, tile, image, out_line, neurons.v);
      store_spikes(call_, layer_, tile, image, out_line, neurons.fired);
    }
  }

  const SpikingLayer& layer_;
  const LayerCall& call_;
  Memory& memory_;
  std::int64_t lines_out_;
  std::vector<std::size_t> weighted_;
};

}  // namespace

// Entries of a list count bytes from the first row of a tile to that of an event, as if column 0 were under the kernel.
bool gather_fits(const SpikingLayer& layer, const LayerCall& call) {
  constexpr std::int64_t most_bytes = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const Synapses& synapses = layer.synapses()[part];
    if (synapses.shape().depthwise()) continue;
    const SynapseShape& shape = synapses.shape();
    const Axis& axis = call.inputs[part].geometry.column_axis;
    const std::int64_t rows =
        shape.line_taps * shape.group_inputs() * shape.column_taps + (axis.in - 1) / axis.dilation;
    for (const Tile& tile : layer.tiles()) {
      if (rows > most_bytes / synapses.column_bytes(tile.width)) return false;
    }
  }
  return true;
}

void run_gather(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  GatherTask(layer, call, memory).run(task);
}

}  // namespace snnc::kernels
