// A task by pixels: only those that are awake are computed, side by side as if they were one line. Where most of them are,
// chunk computes all.
//
// The sums of an event, a run of weights, go to neighbouring columns. These are all awake, so they stay neighbours; those
// beside the plane get places too. For staircases without bias.

#include <algorithm>
#include <limits>

#include "awake_pixels.hpp"
#include "layer_kernels.hpp"
#include "neuron_memory.hpp"
#include "runs.hpp"
#include "workload.hpp"

namespace snnc::kernels {

namespace {

// Pixels are looked for in so many at a time, in whole lines, so that what is found stays in the first-level cache.
constexpr std::int64_t pixels_at_once = 2048;
// So are the sums of the pixels that are computed together, in the second-level cache.
constexpr std::int64_t sums_bytes = 192 * 1024;
// Pixels that a spike wakes, times the channels: the spikes of a block stand close together, and pixels have more of them
// the more channels there are. Of a ResNet-20 on frames that change a little 2 (counted), of cold frames 4.
constexpr double woken_by_spike = 3.2;

// Of the pixels of some lines, those from which on chunk is faster.
constexpr double most_awake = 0.4;

// An output line under a kernel line of a part reads an input line.
struct Reading {
  std::int64_t from, line, tap;
};

struct Memory {
  AwakePixels awake;
  std::vector<std::uint8_t> wanted;     // [line][column of the span]
  std::vector<std::int32_t> places;     // [line][column of the span], where `wanted`
  std::vector<std::int64_t> pixels;     // of each place: its pixel in the plane, -1 beside it
  std::vector<Reading> readings;
  Scratch<std::uint32_t> events;
  Scratch<std::int32_t> sums;
  Scratch<std::uint64_t> words;
  NeuronMemory neurons;
};

class SparseTask {
 public:
  SparseTask(const SpikingLayer& layer, const LayerCall& call, Memory& memory)
      : layer_(layer),
        call_(call),
        memory_(memory),
        tile_(layer.tiles()[0]),
        span_(span_of(layer, call)),
        chunk_(std::max(1, std::min(call.steps, chunk_steps))),
        columns_(call.geometry().columns_out()),
        most_places_(most_places()) {}

  void run(const LayerTask& task) {
    const std::int64_t lines_out = call_.geometry().lines_out;
    const std::int64_t lines_at_once = std::max<std::int64_t>(1, pixels_at_once / columns_);
    for (std::int64_t unit = task.first; unit < task.last;) {
      image_ = unit / lines_out;
      const std::int64_t end = std::min({task.last, (image_ + 1) * lines_out, unit + lines_at_once});
      const std::int64_t first = unit % lines_out, last = (end - 1) % lines_out + 1;
      memory_.awake.find(layer_, call_, image_, first, last);
      find_wanted(first, last);
      const auto wanted = static_cast<double>(std::count(memory_.wanted.begin(), memory_.wanted.end(), 1));
      if (wanted > most_awake * static_cast<double>((last - first) * columns_)) {
        run_chunk(layer_, call_, {unit, end, task.first_tile, task.last_tile});
      } else {
        compute_lines(first, last);
      }
      unit = end;
    }
  }

 private:
  std::int64_t most_places() const {
    const std::int64_t by_memory = sums_bytes / (chunk_ * tile_.width * std::int64_t{sizeof(std::int32_t)});
    const std::int64_t by_events = std::numeric_limits<std::uint16_t>::max() / (chunk_ * tile_.width / chunk_unit);
    return std::max(span_.last - span_.first, std::min(by_memory, by_events));
  }

  void compute_lines(std::int64_t first, std::int64_t last) {
    rest(layer_, call_, image_, first, last);
    const std::int64_t span = span_.last - span_.first;
    for (std::int64_t line = first, from = first; line <= last; ++line) {
      const auto* const of_line = memory_.wanted.data() + (line - first) * span;
      const std::int64_t more = line == last ? 0 : std::count(of_line, of_line + span, 1);
      const auto placed = static_cast<std::int64_t>(memory_.pixels.size());
      if (placed > 0 && (line == last || placed + more > most_places_)) {
        compute_placed(from, line);
        memory_.pixels.clear();
      }
      if (memory_.pixels.empty()) {
        from = first_of_places_ = line;
        memory_.places.clear();
      }
      if (line < last) place(line, of_line);
    }
    memory_.pixels.clear();
  }

  // Marks what events reach, and neurons that fire without.
  void find_wanted(std::int64_t first, std::int64_t last) {
    const std::int64_t span = span_.last - span_.first;
    memory_.wanted.assign(static_cast<std::size_t>((last - first) * span), 0);
    for (std::int64_t line = first; line < last; ++line) {
      std::uint8_t* const wanted = memory_.wanted.data() + (line - first) * span - span_.first;
      const std::int32_t* const restless = memory_.awake.restless(line);
      for (std::int64_t column = 0; column < columns_; ++column) wanted[column] = restless[column] != 0;
      for (std::size_t part = 0; part < call_.inputs.size(); ++part) {
        const Geometry& geometry = call_.inputs[part].geometry;
        for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
          const std::int64_t from = geometry.input_line(line, tap);
          if (from >= 0) want_reached(part, memory_.awake.steps(part, from), wanted);
        }
      }
    }
  }

  void want_reached(std::size_t part, const std::uint64_t* steps, std::uint8_t* wanted) const {
    const SynapseShape& shape = layer_.synapses()[part].shape();
    const Axis& axis = call_.inputs[part].geometry.column_axis;
    for (std::int64_t column = 0; column < axis.in; ++column) {
      if (steps[column] == 0) continue;
      const SynapseShape::Reach reach = shape.reach(axis, column);
      if (reach.phase < shape.phases()) std::fill_n(wanted + reach.first, shape.taps_of_phase(), std::uint8_t{1});
    }
  }

  // Gives places to the wanted columns of the next line.
  void place(std::int64_t line, const std::uint8_t* wanted) {
    for (std::int64_t column = span_.first; column < span_.last; ++column) {
      const bool exists = column >= 0 && column < columns_;
      memory_.places.push_back(static_cast<std::int32_t>(memory_.pixels.size()));
      if (wanted[column - span_.first]) memory_.pixels.push_back(exists ? line * columns_ + column : -1);
    }
  }

  // The pixels with places, of output lines [first, last).
  void compute_placed(std::int64_t first, std::int64_t last) {
    const auto size = static_cast<std::int64_t>(memory_.pixels.size());
    NeuronLine& neurons = memory_.neurons.prepare(layer_, call_, tile_, size);
    load(call_.v, neurons.states.v);
    load(call_.counts, neurons.states.counts);
    const std::int64_t step_elements = size * tile_.width;
    std::int32_t* const sums = memory_.sums.reserve(static_cast<std::size_t>(chunk_ * step_elements));
    std::fill_n(sums, chunk_ * step_elements, 0);
    const auto fire = vector_kernels().fire_chunk[size_index(sizeof(std::int32_t))][width_index(tile_.width)]
                                                 [dynamics_index(layer_.neurons().dynamics)];
    StepSums<void> steps{0, 0, sums, step_elements};
    for (; steps.first < call_.steps; steps.first += chunk_) {
      steps.last = std::min(steps.first + chunk_, call_.steps);
      for (std::size_t part = 0; part < call_.inputs.size(); ++part) add_part(part, first, last, steps, sums);
      fire(neurons, steps);
    }
    store(neurons.states.v, call_.v_out);
    store(neurons.states.counts, call_.counts_out);
    store_spikes(neurons);
  }

  // Adds the events of a part in some steps to the sums of the pixels with places.
  void add_part(std::size_t part, std::int64_t first, std::int64_t last, const StepSums<void>& steps,
                std::int32_t* sums) {
    const Geometry& geometry = call_.inputs[part].geometry;
    std::vector<Reading>& readings = memory_.readings;
    readings.clear();
    for (std::int64_t line = first; line < last; ++line) {
      for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
        const std::int64_t from = geometry.input_line(line, tap);
        if (from >= 0) readings.push_back({from, line, tap});
      }
    }
    std::sort(readings.begin(), readings.end(), [](const auto& a, const auto& b) { return a.from < b.from; });
    for (auto reading = readings.begin(); reading != readings.end();) {
      const auto end = std::find_if(reading, readings.end(), [&](const auto& r) { return r.from != reading->from; });
      add_line(part, &*reading, &*reading + (end - reading), steps, sums);
      reading = end;
    }
  }

  // The events of an input line, for all output lines that read it.
  void add_line(std::size_t part, const Reading* first, const Reading* last, const StepSums<void>& steps,
                std::int32_t* sums) {
    const Synapses& synapses = layer_.synapses()[part];
    const SynapseShape& shape = synapses.shape();
    const Axis& axis = call_.inputs[part].geometry.column_axis;
    const std::uint64_t* const of_columns = memory_.awake.steps(part, first->from);
    const std::uint64_t mask = (std::uint64_t{1} << (steps.last - steps.first)) - 1;
    const auto add = vector_kernels().add_events[bytes_index(synapses.weight_bytes())][size_index(sizeof *sums)];
    ChunkEvents events{};
    events.run = shape.taps_of_phase() * tile_.width;
    for (std::int64_t column = 0; column < axis.in; ++column) {
      if ((of_columns[column] >> steps.first & mask) == 0) continue;
      const SynapseShape::Reach reach = shape.reach(axis, column);
      if (reach.phase >= shape.phases()) continue;
      const std::int64_t row = reach.phase * events.run / chunk_unit;
      list_pixel(part, first->from * axis.in + column, row, steps, mask, events);
      for (const Reading* reading = first; reading < last; ++reading) {
        const std::int64_t line_units = reading->tap * synapses.run_line(tile_.width);
        events.rows = static_cast<const std::uint8_t*>(synapses.run_rows()) + line_units * synapses.weight_bytes();
        events.sums = sums + place_of(reading->line, reach.first) * tile_.width;
        add(events);
      }
    }
  }

  std::int64_t place_of(std::int64_t line, std::int64_t column) const {
    const std::int64_t span = span_.last - span_.first;
    return memory_.places[static_cast<std::size_t>((line - first_of_places_) * span + column - span_.first)];
  }

  // The events of an input pixel in some steps, channel by channel: those of a channel are of different steps, so that
  // their additions do not wait for each other.
  void list_pixel(std::size_t part, std::int64_t pixel, std::int64_t row, const StepSums<void>& steps,
                  std::uint64_t mask, ChunkEvents& events) {
    const LayerInput& input = call_.inputs[part];
    const Synapses& synapses = layer_.synapses()[part];
    const std::int64_t copy_channels = synapses.shape().copy_channels(), channels = input.copies * copy_channels;
    const std::int64_t channel_units = synapses.shape().line_taps * synapses.run_line(tile_.width) / chunk_unit;
    const auto step_units = static_cast<std::uint32_t>(steps.stride / chunk_unit);
    const std::int64_t plane = input.geometry.plane_in();
    const std::uint64_t* words = input.words + image_ * channels * plane + pixel;
    std::uint32_t* end = memory_.events.reserve(static_cast<std::size_t>(channels * chunk_));
    events.first = end;
    for (std::int64_t channel = 0; channel < channels; ++channel, words += plane) {
      const auto of_channel = static_cast<std::uint32_t>((channel % copy_channels * channel_units + row) << 16);
      for (std::uint64_t word = *words >> steps.first & mask; word != 0; word &= word - 1) {
        *end++ = of_channel + static_cast<std::uint32_t>(__builtin_ctzll(word)) * step_units;
      }
    }
    events.last = end;
  }

  void load(const std::int32_t* from, std::int32_t* to) const {
    const auto size = static_cast<std::int64_t>(memory_.pixels.size());
    if (tile_.channels < tile_.width) std::fill_n(to, size * tile_.width, 0);
    from += image_ * layer_.outputs() * call_.geometry().plane_out();
    for (std::int64_t place = 0; place < size; ++place) {
      const std::int64_t pixel = memory_.pixels[static_cast<std::size_t>(place)];
      for (std::int64_t channel = 0; channel < tile_.channels; ++channel) {
        to[place * tile_.width + channel] = pixel < 0 ? 0 : from[channel * call_.geometry().plane_out() + pixel];
      }
    }
  }

  void store(const std::int32_t* from, std::int32_t* to) const {
    to += image_ * layer_.outputs() * call_.geometry().plane_out();
    for (std::size_t place = 0; place < memory_.pixels.size(); ++place, from += tile_.width) {
      if (memory_.pixels[place] < 0) continue;
      for (std::int64_t channel = 0; channel < tile_.channels; ++channel) {
        to[channel * call_.geometry().plane_out() + memory_.pixels[place]] = from[channel];
      }
    }
  }

  // Words of pixels without spikes are zeros already.
  void store_spikes(const NeuronLine& neurons) {
    const auto size = static_cast<std::int64_t>(memory_.pixels.size());
    StoreLine line{};
    line.steps = neurons.steps;
    line.columns = size;
    line.packed = columns_per_word(tile_.width);
    line.channels = static_cast<int>(tile_.channels);
    line.plane = size;
    line.words = memory_.words.reserve(static_cast<std::size_t>(size * tile_.channels));
    const std::int64_t plane = call_.geometry().plane_out();
    const int signs = planes_of(layer_.neurons().dynamics);
    for (int sign = 0; sign < signs; ++sign) {
      line.fired = neurons.fired + sign * neurons.fired_plane;
      vector_kernels().store_line(line);
      std::uint64_t* to = call_.fired + (image_ * signs + sign) * layer_.outputs() * plane;
      const std::uint64_t* words = line.words;
      for (std::int64_t channel = 0; channel < tile_.channels; ++channel, to += plane, words += size) {
        for (std::int64_t place = 0; place < size; ++place) {
          if (words[place] != 0 && memory_.pixels[static_cast<std::size_t>(place)] >= 0) {
            to[memory_.pixels[static_cast<std::size_t>(place)]] = words[place];
          }
        }
      }
    }
  }

  const SpikingLayer& layer_;
  const LayerCall& call_;
  Memory& memory_;
  const Tile tile_;
  const ColumnSpan span_;
  const int chunk_;
  const std::int64_t columns_;
  const std::int64_t most_places_;
  std::int64_t image_ = 0, first_of_places_ = 0;
};

}  // namespace

bool sparse_fits(const SpikingLayer& layer, const LayerCall& call) {
  return layer.neurons().dynamics == Dynamics::staircase && !layer.has_bias() && chunk_fits(layer, call);
}

double sparse_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
  const VectorKernels& vector = vector_kernels();
  const Workload work(layer, call, input_spikes);
  const auto plane = static_cast<double>(call.geometry().plane_out());
  const double looked_at = plane * static_cast<double>(layer.outputs());
  const double awake = std::min(1.0, woken_by_spike * input_spikes / looked_at);
  return vector.costs.sparse.neuron * looked_at + vector.costs.sparse.awake_neuron * looked_at * awake +
         awake * work.pixel_steps * work.vectors * vector.costs.chunk.vector_step +
         work.runs * (vector.costs.chunk.run + work.vectors * vector.costs.chunk.wide_run_vector);
}

void run_sparse(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task) {
  static thread_local Memory memory;
  SparseTask(layer, call, memory).run(task);
}

}  // namespace snnc::kernels
