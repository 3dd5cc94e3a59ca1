// A task by chunks: line by line, the events of some steps are added up, then the neurons go through these steps.

#include <algorithm>
#include <limits>

#include "layer_kernels.hpp"
#include "line_memory.hpp"
#include "neuron_memory.hpp"
#include "runs.hpp"
#include "workload.hpp"

namespace snnc::kernels {

ColumnSpan span_of(const SpikingLayer& layer, const LayerCall& call) {
  ColumnSpan span{0, call.geometry().columns_out()};
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const SynapseShape& shape = layer.synapses()[part].shape();
    const Axis& axis = call.inputs[part].geometry.column_axis;
    for (std::int64_t column = 0; column < axis.in; ++column) {
      const SynapseShape::Reach reach = shape.reach(axis, column);
      if (reach.phase >= shape.phases()) continue;
      span.first = std::min(span.first, reach.first);
      span.last = std::max(span.last, reach.first + shape.taps_of_phase());
    }
  }
  return span;
}

namespace {

// Sums of a chunk should leave room for weights and events in the first-level cache.
constexpr std::int64_t sums_bytes = 24 * 1024;
constexpr int fewest_steps = 4;
// Lines under a kernel are looked for one by one.
constexpr std::int64_t most_line_taps = 32;
// Memory for so many events is taken whether or not there are so many.
constexpr std::int64_t uncounted_events = 1 << 16;

int steps_of_chunk(std::int64_t step_bytes, int simulated) {
  int steps = simulated <= chunk_steps / 2 ? chunk_steps / 2 : chunk_steps;
  while (steps > fewest_steps && steps * step_bytes > sums_bytes) steps /= 2;
  return steps;
}

// Whether sums stay within 16 bits whatever spikes come in a step.
bool narrow_sums(const SpikingLayer& layer, const LayerCall& call) {
  std::int64_t most = 0;
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    most += call.inputs[part].copies * layer.synapses()[part].most_sum();
  }
  return most <= std::numeric_limits<std::int16_t>::max();
}

// The events of an input line, chunk by chunk.
struct ListedLine {
  std::int64_t line = -1;
  Scratch<std::uint32_t> events;
  std::uint32_t starts[word_steps / fewest_steps + 1];
};

struct Memory {
  std::vector<ListedLine> listed[2];
  Scratch<std::uint64_t> pieces;
  Scratch<std::uint8_t> sums;
  NeuronMemory neurons;
};

// A part of the layer.
class Part {
 public:
  // `step_elements`: of the sums of a step, which begin with those of `first_column`.
  Part(const Synapses& synapses, const LayerInput& input, std::int64_t first_column, std::int64_t step_elements,
       int width, int chunk)
      : synapses_(synapses), input_(input), width_(width), chunk_(chunk), field_(chunk <= 8 ? 8 : 16) {
    const SynapseShape& shape = synapses.shape();
    const std::int64_t channel_units = shape.line_taps * synapses.run_line(width) / chunk_unit;
    for (std::int64_t copy = 0; copy < input.copies; ++copy) {
      for (std::int64_t channel = 0; channel < shape.copy_channels(); channel += word_steps / field_) {
        const std::int64_t channels = std::min<std::int64_t>(word_steps / field_, shape.copy_channels() - channel);
        slots_.push_back({copy * shape.copy_channels() + channel, static_cast<int>(channels),
                          event_of(channel * channel_units, 0)});
      }
    }
    // Neighbours, which reach the same neurons, do not follow each other: their additions would wait for each other.
    const std::int64_t columns = input.geometry.columns_in(), apart = shape.taps_of_phase() + 1;
    for (std::int64_t first = 0; first < apart; ++first) {
      for (std::int64_t column = first; column < columns; column += apart) {
        const SynapseShape::Reach reach = shape.reach(input.geometry.column_axis, column);
        if (reach.phase >= shape.phases()) continue;
        const std::int64_t row = reach.phase * shape.taps_of_phase() * width / chunk_unit;
        const std::int64_t sum = (reach.first - first_column) * width / chunk_unit;
        reaching_.push_back({static_cast<std::int32_t>(column), event_of(row, sum)});
      }
    }
    for (int bit = 0; bit < word_steps; ++bit) {
      bit_events_[bit] = event_of(bit / field_ * channel_units, bit % field_ * step_elements / chunk_unit);
    }
  }

  // What input line `from` of an image adds to an output line under kernel line `tap`, in a chunk.
  ChunkEvents events(const ListedLine& listed, std::int64_t tap, int chunk, void* sums) const {
    const SynapseShape& shape = synapses_.shape();
    ChunkEvents events{};
    events.first = listed.events.data() + listed.starts[chunk];
    events.last = listed.events.data() + listed.starts[chunk + 1];
    events.rows = static_cast<const std::uint8_t*>(synapses_.run_rows()) +
                  tap * synapses_.run_line(width_) * synapses_.weight_bytes();
    events.run = shape.taps_of_phase() * width_;
    events.sums = sums;
    return events;
  }

  // The input lines under an output line, listed; those of the line before are still there.
  void list(const LayerCall& call, std::int64_t image, std::int64_t line, std::vector<ListedLine>& listed,
            Scratch<std::uint64_t>& pieces) const {
    const Geometry& geometry = input_.geometry;
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t from = geometry.input_line(line, tap);
      if (from < 0 || find(listed, from) != nullptr) continue;
      list_line(call, image, from, replaced(listed, line), pieces);
    }
  }

  static const ListedLine* find(const std::vector<ListedLine>& listed, std::int64_t line) {
    const auto found = std::find_if(listed.begin(), listed.end(), [&](const auto& each) { return each.line == line; });
    return found == listed.end() ? nullptr : &*found;
  }

  const Geometry& geometry() const { return input_.geometry; }

 private:
  static std::uint32_t event_of(std::int64_t row, std::int64_t sum) {
    return static_cast<std::uint32_t>(row << 16 | sum);
  }

  // A list that output line `line` does not need.
  ListedLine& replaced(std::vector<ListedLine>& listed, std::int64_t line) const {
    const auto needed = [&](std::int64_t from) {
      for (std::int64_t tap = 0; tap < geometry().line_taps; ++tap) {
        if (from >= 0 && geometry().input_line(line, tap) == from) return true;
      }
      return false;
    };
    return *std::find_if(listed.begin(), listed.end(), [&](const auto& each) { return !needed(each.line); });
  }

  void list_line(const LayerCall& call, std::int64_t image, std::int64_t from, ListedLine& listed,
                 Scratch<std::uint64_t>& pieces) const {
    const std::int64_t columns = geometry().columns_in(), plane = geometry().plane_in();
    const std::int64_t channels = input_.copies * synapses_.shape().copy_channels();
    ListChunks line{};
    line.words = input_.words + image * channels * plane + from * columns;
    line.plane = plane;
    line.columns = columns;
    line.slots = slots_.data();
    line.slot_count = static_cast<int>(slots_.size());
    line.reaching = reaching_.data();
    line.reaching_count = static_cast<std::int64_t>(reaching_.size());
    line.steps = call.steps;
    line.chunk = chunk_;
    line.field = field_;
    line.bit_events = bit_events_;
    line.scratch = pieces.reserve(slots_.size() * static_cast<std::size_t>(pieces_of_slot(columns)));
    line.events = listed.events.reserve(static_cast<std::size_t>(most_events(line, channels) + list_slack));
    line.starts = listed.starts;
    listed.line = from;
    vector_kernels().list_chunks(line);
  }

  // Of all its steps, and columns up to a multiple of eight.
  std::int64_t pieces_of_slot(std::int64_t columns) const {
    return word_steps / field_ * ((columns + columns_at_once - 1) / columns_at_once * columns_at_once);
  }

  // At least as many as a line's events; those of long lines are counted.
  static std::int64_t most_events(const ListChunks& line, std::int64_t channels) {
    const std::int64_t most = channels * line.columns * line.steps;
    if (most <= uncounted_events) return most;
    std::int64_t events = 0;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      events += vector_kernels().count_spikes(line.words + channel * line.plane, line.columns);
    }
    return events;
  }

  const Synapses& synapses_;
  const LayerInput& input_;
  int width_, chunk_, field_;
  std::vector<ChunkSlot> slots_;
  std::vector<ChunkColumn> reaching_;
  std::uint32_t bit_events_[word_steps + 1] = {};
};

// `Sum`: of 16 bits where `narrow_sums` allows them, else of 32.
template <class Sum>
class ChunkTask {
 public:
  ChunkTask(const SpikingLayer& layer, const LayerCall& call, Memory& memory)
      : layer_(layer), call_(call), tile_(layer.tiles()[0]), memory_(memory), span_(span_of(layer, call)) {
    step_elements_ = (span_.last - span_.first) * tile_.width;
    chunk_ = steps_of_chunk(step_elements_ * sum_bytes, call.steps);
    for (std::size_t i = 0; i < layer.synapses().size(); ++i) {
      parts_.emplace_back(layer.synapses()[i], call.inputs[i], span_.first, step_elements_, tile_.width, chunk_);
    }
    const std::int64_t size = chunk_ * step_elements_;
    sums_ = reinterpret_cast<Sum*>(memory.sums.reserve(static_cast<std::size_t>(size * sum_bytes)));
    std::fill_n(sums_, size, Sum{0});
  }

  void run(const LayerTask& task) {
    const std::int64_t lines_out = call_.geometry().lines_out;
    NeuronLine& neurons = memory_.neurons.prepare(layer_, call_, tile_, call_.geometry().columns_out());
    for (std::int64_t unit = task.first; unit < task.last; ++unit) {
      const TileLine at{layer_, call_, tile_, unit / lines_out, unit % lines_out};
      if (unit == task.first || at.line == 0) start_image();
      compute(at, neurons);
    }
  }

 private:
  void start_image() {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      std::vector<ListedLine>& listed = memory_.listed[part];
      const auto taps = static_cast<std::size_t>(parts_[part].geometry().line_taps);
      if (listed.size() < taps) listed.resize(taps);
      for (ListedLine& line : listed) line.line = -1;
    }
  }

  void compute(const TileLine& at, NeuronLine& neurons) {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      parts_[part].list(call_, at.image, at.line, memory_.listed[part], memory_.pieces);
    }
    prefetch_outputs(at);
    load_states(at, neurons.states);
    prefetch_inputs(TileLine{layer_, call_, tile_, at.image, at.line + 1}, at.line + 2);
    find_lines(at.line);
    StepSums<void> steps{0, 0, sums_ - span_.first * tile_.width, step_elements_};
    const int dynamics = dynamics_index(layer_.neurons().dynamics);
    const auto fire = vector_kernels().fire_chunk[size_index(sum_bytes)][width_index(tile_.width)][dynamics];
    for (int chunk = 0; steps.first < call_.steps; ++chunk, steps.first += chunk_) {
      add_events(chunk);
      steps.last = std::min(steps.first + chunk_, call_.steps);
      fire(neurons, steps);
    }
    store_states(at, neurons.states);
    store_spikes(at, neurons);
  }

  // The listed lines under an output line.
  void find_lines(std::int64_t line) {
    under_.clear();
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      const Geometry& geometry = parts_[part].geometry();
      for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
        const std::int64_t from = geometry.input_line(line, tap);
        if (from >= 0) under_.push_back({part, tap, Part::find(memory_.listed[part], from)});
      }
    }
  }

  void add_events(int chunk) {
    for (const LineUnder& under : under_) {
      const int bytes = layer_.synapses()[under.part].weight_bytes();
      const auto add = vector_kernels().add_events[bytes_index(bytes)][size_index(sum_bytes)];
      add(parts_[under.part].events(*under.listed, under.tap, chunk, sums_));
    }
  }

  struct LineUnder {
    std::size_t part;
    std::int64_t tap;
    const ListedLine* listed;
  };

  static constexpr int sum_bytes = sizeof(Sum);

  const SpikingLayer& layer_;
  const LayerCall& call_;
  const Tile tile_;
  Memory& memory_;
  const ColumnSpan span_;
  std::int64_t step_elements_;
  int chunk_;
  std::vector<Part> parts_;
  std::vector<LineUnder> under_;
  Sum* sums_;
};

}  // namespace

// Events have 16 bits each for the places of rows and of sums.
bool chunk_fits(const SpikingLayer& layer, const LayerCall& call) {
  constexpr std::int64_t most_places = std::numeric_limits<std::uint16_t>::max();
  const std::int64_t width = layer.tiles()[0].width;
  for (std::size_t part = 0; part < layer.synapses().size(); ++part) {
    const Synapses& synapses = layer.synapses()[part];
    const SynapseShape& shape = synapses.shape();
    if (!synapses.has_runs() || shape.line_taps > most_line_taps) return false;
    if (shape.copy_channels() * shape.line_taps > most_places * chunk_unit / synapses.run_line(width)) return false;
    const Axis& axis = call.inputs[part].geometry.column_axis;
    if (axis.in > most_places || axis.pad > most_places) return false;
  }
  const ColumnSpan span = span_of(layer, call);
  return (span.last - span.first) * width * chunk_steps / chunk_unit <= most_places;
}

double chunk_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
  const ChunkCosts& costs = vector_kernels().costs.chunk;
  const Workload work(layer, call, input_spikes);
  const double run_vector = narrow_sums(layer, call) ? costs.run_vector : costs.wide_run_vector;
  return work.pixel_steps * work.vectors * costs.vector_step + work.pieces * costs.piece +
         work.runs * (costs.run + work.vectors * run_vector);
}

void run_chunk(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  if (narrow_sums(layer, call)) {
    ChunkTask<std::int16_t>(layer, call, memory).run(task);
  } else {
    ChunkTask<std::int32_t>(layer, call, memory).run(task);
  }
}

}  // namespace snnc::kernels
