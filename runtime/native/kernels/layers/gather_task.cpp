// A task by gather: list the events of as many lines as fit the cache, then go through the weights tile by tile.

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "layer_kernels.hpp"
#include "line_memory.hpp"
#include "neuron_memory.hpp"
#include "workload.hpp"

namespace snnc::kernels {

namespace {

// Lists are made for several lines at once, so that a tile's weights are used for all of them: about this many events.
constexpr std::int64_t listed_events = 1 << 15;
// Widening sums of 16 bits costs about as much as two rows; and fewer would not fill a part.
constexpr std::int64_t least_rows_at_once = rows_at_a_time;

// Rows that the entries of a list count, from column 0 of the plane to the last column: the row of zeros included.
std::int64_t counted_rows(const Synapses& synapses, const LayerInput& input) {
  const Axis& axis = input.geometry.column_axis;
  return synapses.row_count() + 1 + axis.in / axis.dilation;
}

// Whether 16 bits are enough for the numbers of the rows that an output column reads. The row of zeros has the largest.
bool short_entries(const Synapses& synapses, const LayerInput& input) {
  constexpr std::int64_t most_rows = std::numeric_limits<std::uint16_t>::max();
  const auto fits = [&](const ColumnField& field) {
    const std::int64_t zeros = synapses.row_count() + field.shift;
    return zeros >= 0 && zeros <= most_rows;
  };
  return std::all_of(input.geometry.fields.begin(), input.geometry.fields.end(), fits);
}

// The events of consecutive output lines of all images, for tiles of one group and width.
class Lists {
 public:
  // `entry_bytes`: 2 if `short_entries` of all sources, else 4.
  void clear(const Synapses& synapses, const LayerInput& input, std::int64_t group, int steps, int entry_bytes) {
    synapses_ = &synapses;
    input_ = &input;
    entry_bytes_ = entry_bytes;
    steps_ = steps;
    slots_ = slots_of(synapses.shape(), input.copies, group, word_steps);
    lines_ = 0;
    events_ = 0;
    entry_of_line_.clear();
  }

  void load(const LayerCall& call, std::int64_t image, std::int64_t first_line, std::int64_t last_line) {
    loaded_.load(*input_, slots_, request_of(call, *synapses_, *input_, image, first_line, last_line, 1));
  }

  // Appends the list of an output line of the loaded image.
  void append(std::int64_t line) {
    const std::int64_t events = find_words(line);
    grow(entries_, static_cast<std::size_t>((events_ + events + list_slack) * entry_bytes_));
    grow(starts_, static_cast<std::size_t>((lines_ + 1) * line_starts()));
    entry_of_line_.push_back(events_);
    events_ += vector_kernels().list_line[size_index(entry_bytes_)](list());
    ++lines_;
  }

  GatherSource source(std::int64_t index, std::size_t tile) const {
    GatherSource source{};
    source.entries = entries_.data() + entry_of_line_[static_cast<std::size_t>(index)] * entry_bytes_;
    source.starts = starts_.data() + index * line_starts();
    source.starts_stride = input_->geometry.columns_in() + 1;
    source.fields = input_->geometry.fields.data();
    source.rows = synapses_->tile_rows(tile);
    source.row_count = synapses_->row_count();
    source.rows_at_once = synapses_->rows_at_once(tile);
    return source;
  }

  std::int64_t events() const { return events_; }

 private:
  // Sets the words of the input lines under an output line; returns how many events they have.
  std::int64_t find_words(std::int64_t line) {
    const Geometry& geometry = input_->geometry;
    words_.clear();
    std::int64_t events = 0;
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t from = geometry.input_line(line, tap);
      if (from < 0) continue;
      const std::uint64_t* bits = loaded_.line(from);
      for (const Slot& slot : slots_) {
        const std::int64_t base = tap * synapses_->tap_rows() + slot.channel * synapses_->shape().column_taps;
        words_.push_back({bits, static_cast<std::uint32_t>(base)});
        bits += loaded_.words();
      }
      events += loaded_.spikes(from);
    }
    if (events > std::numeric_limits<std::uint32_t>::max()) {
      throw std::length_error("a line has more events than can be counted in 32 bits");
    }
    return events;
  }

  // The next list, from the words that were found.
  ListLine list() {
    const Geometry& geometry = input_->geometry;
    ListLine list{};
    list.words = words_.data();
    list.word_count = static_cast<int>(words_.size());
    list.step_stride = loaded_.step_stride();
    list.channel_rows = static_cast<std::uint32_t>(synapses_->shape().column_taps);
    list.column_order = geometry.column_order.data();
    list.column_steps = geometry.column_steps.data();
    list.columns = geometry.columns_in();
    list.steps = steps_;
    list.entries = entries_.data() + events_ * entry_bytes_;
    list.starts = starts_.data() + lines_ * line_starts();
    return list;
  }

  std::int64_t line_starts() const { return steps_ * (input_->geometry.columns_in() + 1); }

  template <class T>
  static void grow(std::vector<T>& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size + size / 2);
  }

  const Synapses* synapses_ = nullptr;
  const LayerInput* input_ = nullptr;
  int entry_bytes_ = 4, steps_ = 0;
  std::vector<Slot> slots_;
  std::vector<ListWord> words_;
  LoadedLines loaded_;
  std::vector<std::uint8_t> entries_;
  std::vector<std::uint32_t> starts_;
  std::vector<std::int64_t> entry_of_line_;
  std::int64_t lines_ = 0, events_ = 0;
};

struct Memory {
  Lists lists[2];
  MaskedParts masked;
  std::vector<MaskedTap> taps;
  NeuronMemory neurons;
};

class GatherTask {
 public:
  GatherTask(const SpikingLayer& layer, const LayerCall& call, Memory& memory)
      : layer_(layer), call_(call), memory_(memory), lines_out_(call.geometry().lines_out) {
    for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
      if (layer.synapses()[part].shape().depthwise()) continue;
      weighted_.push_back(part);
      if (!short_entries(layer.synapses()[part], call.inputs[part])) entry_bytes_ = 4;
    }
  }

  void run(const LayerTask& task) {
    for (std::size_t tile = task.first_tile; tile < task.last_tile;) {
      const std::size_t end = end_of_run(tile, task.last_tile);
      for (std::int64_t unit = task.first; unit < task.last;) {
        const std::int64_t listed = list(unit, task.last, layer_.tiles()[tile]);
        for (std::size_t i = tile; i < end; ++i) compute(unit, listed, i, i + 1 < end);
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
          layer_.synapses()[part], call_.inputs[part], group_of(part, tile), call_.steps, entry_bytes_);
    }
    std::int64_t unit = first;
    while (unit < last) {
      // A few lines at a time are transposed: at most as many as one output line reads, and some more.
      const std::int64_t end = std::min(end_of_image(unit, last), unit + lines_at_once);
      for (const std::size_t part : weighted_) {
        memory_.lists[part].load(call_, unit / lines_out_, unit % lines_out_, (end - 1) % lines_out_ + 1);
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

  // `goes_on`: the next tile follows.
  void compute(std::int64_t first, std::int64_t last, std::size_t tile_index, bool goes_on) {
    const Tile& tile = layer_.tiles()[tile_index];
    const bool masked = weighted_.size() < layer_.synapses().size();
    GatherLine line{};
    line.neurons = memory_.neurons.prepare(layer_, call_, tile, call_.geometry().columns_out());
    line.source_count = static_cast<int>(weighted_.size());
    line.fire = vector_kernels().fire_column[width_index(tile.width)][dynamics_index(layer_.neurons().dynamics)];
    const auto kernel = kernel_of(tile);
    for (std::int64_t unit = first; unit < last; ++unit) {
      const TileLine at{layer_, call_, tile, unit / lines_out_, unit % lines_out_};
      if (masked && (unit == first || at.line == 0)) {
        memory_.masked.load(layer_, call_, tile, at.image, at.line, (end_of_image(unit, last) - 1) % lines_out_ + 1);
      }
      if (masked) line.neurons.masked = memory_.masked.taps(layer_, call_, tile, at.line, memory_.taps);
      for (std::size_t i = 0; i < weighted_.size(); ++i) {
        line.sources[i] = memory_.lists[weighted_[i]].source(unit - first, tile_index);
      }
      if (goes_on) fetch_ahead(line, tile_index + 1, unit - first, last - first);
      prefetch_outputs(at);
      load_states(at, line.neurons.states);
      kernel(line);
      store_states(at, line.neurons.states);
      store_spikes(at, line.neurons);
    }
  }

  // The weights of the next tile, a part of them with each of the lines of this one; none where so few events read few
  // of them.
  void fetch_ahead(GatherLine& line, std::size_t next, std::int64_t part, std::int64_t parts) const {
    line.ahead_bytes = 0;
    if (weighted_.empty()) return;
    const Synapses& synapses = layer_.synapses()[weighted_[0]];
    if (memory_.lists[weighted_[0]].events() < synapses.row_count()) return;
    const auto* const from = static_cast<const char*>(synapses.tile_rows(next));
    const std::int64_t bytes = synapses.row_count() * layer_.tiles()[next].width * synapses.weight_bytes();
    line.ahead = from + bytes * part / parts;
    line.ahead_bytes = bytes * (part + 1) / parts - bytes * part / parts;
  }

  // Of the kernels for rows of int8, of int16 of which sums of 16 bits hold several or hardly one, and of int32.
  int rows_index() const {
    const Synapses& synapses = layer_.synapses()[weighted_.empty() ? 0 : weighted_[0]];
    if (synapses.weight_bytes() != 2) return synapses.weight_bytes() == 1 ? 0 : 3;
    const bool narrow = std::all_of(weighted_.begin(), weighted_.end(), [&](std::size_t part) {
      return layer_.synapses()[part].fewest_at_once() >= least_rows_at_once;
    });
    return narrow ? 1 : 2;
  }

  auto kernel_of(const Tile& tile) const -> void (*)(const GatherLine&) {
    return vector_kernels().gather_line[rows_index()][width_index(tile.width)][size_index(entry_bytes_)];
  }

  const SpikingLayer& layer_;
  const LayerCall& call_;
  Memory& memory_;
  std::int64_t lines_out_;
  std::vector<std::size_t> weighted_;
  int entry_bytes_ = 2;
};

}  // namespace

bool gather_fits(const SpikingLayer& layer, const LayerCall& call) {
  constexpr std::int64_t most_rows = std::numeric_limits<std::int32_t>::max();
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    if (layer.synapses()[part].shape().depthwise()) continue;
    if (counted_rows(layer.synapses()[part], call.inputs[part]) > most_rows) return false;
  }
  return true;
}

double gather_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
  const GatherCosts& costs = vector_kernels().costs.gather;
  const Workload work(layer, call, input_spikes);
  const SynapseShape& shape = layer.synapses()[0].shape();
  const std::int64_t words = call.inputs[0].copies * ((shape.copy_channels() + word_steps - 1) / word_steps);
  const auto listed_words = static_cast<double>(shape.line_taps * words);
  return work.pixel_steps * (work.tiles * costs.pixel + listed_words * costs.listed_word) +
         work.rows * (work.tiles * costs.row + work.vectors * costs.vector);
}

void run_gather(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  GatherTask(layer, call, memory).run(task);
}

}  // namespace snnc::kernels
