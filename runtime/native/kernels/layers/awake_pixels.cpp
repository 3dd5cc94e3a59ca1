#include "awake_pixels.hpp"

#include <algorithm>

#include "../vector.hpp"

namespace snnc::kernels {

namespace {

SNNC_VECTOR_CLONES void add_steps(const std::uint64_t* __restrict words, std::int64_t size,
                                  std::uint64_t* __restrict steps) {
  for (std::int64_t i = 0; i < size; ++i) steps[i] |= words[i];
}

SNNC_VECTOR_CLONES void find_restless(
    const std::int32_t* __restrict v, const std::int32_t* __restrict counts, std::int64_t size, std::int32_t threshold,
    std::int32_t low, std::int32_t high, std::int32_t* __restrict restless) {
  for (std::int64_t i = 0; i < size; ++i) {
    const bool rises = (v[i] >= threshold) & (counts[i] < high);
    const bool falls = (v[i] < 0) & (counts[i] > low);
    restless[i] |= static_cast<std::int32_t>(rises | falls);
  }
}

}  // namespace

void AwakePixels::find(
    const SpikingLayer& layer, const LayerCall& call, std::int64_t image, std::int64_t first, std::int64_t last) {
  for (std::size_t part = 0; part < call.inputs.size(); ++part) {
    const LayerInput& input = call.inputs[part];
    find_events(input, input.copies * layer.synapses()[part].shape().copy_channels(), image, first, last,
                inputs_[part]);
  }
  first_ = first;
  columns_out_ = call.geometry().columns_out();
  const std::int64_t plane = call.geometry().plane_out(), size = (last - first) * columns_out_;
  std::int32_t* const restless = restless_.reserve(static_cast<std::size_t>(size));
  std::fill_n(restless, size, 0);
  const NeuronModel& neurons = layer.neurons();
  for (std::int64_t channel = 0; channel < layer.outputs(); ++channel) {
    const std::int64_t at = (image * layer.outputs() + channel) * plane + first * columns_out_;
    const std::int32_t threshold = call.threshold[call.threshold_per_channel ? channel : 0];
    find_restless(call.v + at, call.counts + at, size, threshold, neurons.low, neurons.high, restless);
  }
}

void AwakePixels::find_events(
    const LayerInput& from, std::int64_t channels, std::int64_t image, std::int64_t first_line,
    std::int64_t last_line, Input& input) {
  const Geometry& geometry = from.geometry;
  input.first = geometry.lines_in;
  input.last = 0;
  input.columns = geometry.columns_in();
  for (std::int64_t line = first_line; line < last_line; ++line) {
    for (std::int64_t tap = 0; tap < geometry.line_taps; ++tap) {
      const std::int64_t read = geometry.input_line(line, tap);
      if (read < 0) continue;
      input.first = std::min(input.first, read);
      input.last = std::max(input.last, read + 1);
    }
  }
  if (input.first >= input.last) return;  // only pads
  const std::int64_t size = (input.last - input.first) * input.columns;
  std::uint64_t* const steps = input.steps.reserve(static_cast<std::size_t>(size));
  std::fill_n(steps, size, 0);
  const std::uint64_t* words = from.words + image * channels * geometry.plane_in() + input.first * input.columns;
  for (std::int64_t channel = 0; channel < channels; ++channel, words += geometry.plane_in()) {
    add_steps(words, size, steps);
  }
}

void rest(
    const SpikingLayer& layer, const LayerCall& call, std::int64_t image, std::int64_t first, std::int64_t last) {
  const std::int64_t columns = call.geometry().columns_out(), plane = call.geometry().plane_out();
  const std::int64_t size = (last - first) * columns, planes = planes_of(layer.neurons().dynamics) * layer.outputs();
  for (std::int64_t channel = 0; channel < layer.outputs(); ++channel) {
    const std::int64_t at = (image * layer.outputs() + channel) * plane + first * columns;
    if (call.v_out != call.v) std::copy_n(call.v + at, size, call.v_out + at);
    if (call.counts_out != call.counts) std::copy_n(call.counts + at, size, call.counts_out + at);
  }
  for (std::int64_t channel = 0; channel < planes; ++channel) {
    std::fill_n(call.fired + (image * planes + channel) * plane + first * columns, size, 0);
  }
}

}  // namespace snnc::kernels
