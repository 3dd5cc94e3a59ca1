// A layer and its reference: loops over copies, signs, channels, taps and steps, in int64.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "../../runtime/native/kernels/layers/spiking_layer.hpp"

namespace snnc::tests {

using kernels::Axis;
using kernels::Dynamics;
using kernels::Geometry;
using kernels::NeuronModel;
using kernels::SynapseShape;

constexpr std::int64_t potential_limit = std::numeric_limits<std::int32_t>::max();

struct Part {
  SynapseShape shape;
  std::int64_t copies;
  std::vector<Axis> axes;
  std::vector<float> weights;
  std::vector<std::uint64_t> words;

  std::int64_t image_words() const { return copies * shape.copy_channels() * Geometry(axes).plane_in(); }
};

struct Layer {
  std::string name;
  std::int64_t images, outputs, plane;
  int steps;
  NeuronModel neurons;
  bool per_channel;
  std::vector<Part> parts;
  std::vector<float> bias;  // empty: none
  std::vector<std::int32_t> v, counts, threshold;

  std::int64_t image_neurons() const { return outputs * plane; }
  int planes() const { return kernels::planes_of(neurons.dynamics); }
};

struct Result {
  std::vector<std::uint64_t> fired;  // [images][planes][neurons of an image]
  std::vector<std::int32_t> v_out, counts_out;

  // What is not written is seen.
  Result(std::int64_t neurons, int planes)
      : fired(static_cast<std::size_t>(neurons * planes), 0x5a5a5a5a5a5a5a5a),
        v_out(static_cast<std::size_t>(neurons), -77),
        counts_out(v_out) {}
};

// Adds the currents of one neuron in every step that come from one input channel; `weight` is the first of its taps.
inline void add_channel(
    const Part& part, int steps, std::int64_t channel, const float* weight, int sign, std::int64_t pixel,
    std::int64_t* current) {
  std::array<Axis, 3> axes{Axis{1, 1, 1, 1, 0, 1}, Axis{1, 1, 1, 1, 0, 1}, Axis{1, 1, 1, 1, 0, 1}};
  std::copy_backward(part.axes.begin(), part.axes.end(), axes.end());
  const auto& [a, b, c] = axes;
  const std::int64_t at[] = {pixel / (b.out * c.out), pixel / c.out % b.out, pixel % c.out};
  for (std::int64_t i = 0; i < a.kernel; ++i) {
    for (std::int64_t j = 0; j < b.kernel; ++j) {
      for (std::int64_t k = 0; k < c.kernel; ++k, ++weight) {
        const std::int64_t x = at[0] * a.stride - a.pad + i * a.dilation;
        const std::int64_t y = at[1] * b.stride - b.pad + j * b.dilation;
        const std::int64_t z = at[2] * c.stride - c.pad + k * c.dilation;
        if (x < 0 || x >= a.in || y < 0 || y >= b.in || z < 0 || z >= c.in) continue;
        const std::uint64_t word = part.words[static_cast<std::size_t>(((channel * a.in + x) * b.in + y) * c.in + z)];
        if (word == 0) continue;
        for (int step = 0; step < steps; ++step) {
          if (word >> step & 1) current[step] += sign * static_cast<std::int64_t>(*weight);
        }
      }
    }
  }
}

// Adds the currents of one neuron in every step; `pixel` counts through the output plane in C order.
inline void add_currents(
    const Part& part, int steps, std::int64_t image, std::int64_t output, std::int64_t pixel, std::int64_t* current) {
  const std::int64_t group_inputs = part.shape.inputs / part.shape.groups;
  const std::int64_t group = output / (part.shape.outputs / part.shape.groups);
  for (std::int64_t copy = 0; copy < part.copies; ++copy) {
    for (std::int64_t sign = 0; sign < part.shape.signs; ++sign) {
      for (std::int64_t input = 0; input < group_inputs; ++input) {
        const std::int64_t block = (image * part.copies + copy) * part.shape.signs + sign;
        const std::int64_t channel = block * part.shape.inputs + group * group_inputs + input;
        const float* weight = part.weights.data() + output * part.shape.output_stride + input * part.shape.input_stride;
        add_channel(part, steps, channel, weight, sign == 0 ? 1 : -1, pixel, current);
      }
    }
  }
}

struct Neuron {
  std::int64_t v, count;
  std::uint64_t plus = 0, minus = 0;  // what it fired

  void step(const NeuronModel& model, std::int64_t current, std::int64_t threshold, int step) {
    const std::int64_t unit = std::int64_t{1} << model.leak;
    if (model.leak > 0) v -= v / unit - (v % unit < 0 ? 1 : 0);  // rounded down
    v += current;
    if (v < -potential_limit - 1 || v > potential_limit) std::abort();  // no layer to test with
    const std::uint64_t bit = std::uint64_t{1} << step;
    if (model.dynamics != Dynamics::staircase) {
      if (v < threshold) return;
      plus |= bit;
      v = kernels::keeps_excess(model.dynamics) ? v - threshold : 0;
    } else if (v >= threshold && count < model.high) {
      plus |= bit;
      v -= threshold;
      ++count;
    } else if (v < 0 && count > model.low) {
      minus |= bit;
      v += threshold;
      --count;
    }
  }
};

// All steps of one neuron; `index` counts the neurons of all images.
inline Neuron simulate(const Layer& layer, std::int64_t index) {
  const std::int64_t pixel = index % layer.plane, output = index / layer.plane % layer.outputs;
  const auto channel = static_cast<std::size_t>(output), neuron = static_cast<std::size_t>(index);
  std::int64_t current[64] = {};
  for (const Part& part : layer.parts) {
    add_currents(part, layer.steps, index / layer.image_neurons(), output, pixel, current);
  }
  Neuron result{layer.v[neuron], layer.counts[neuron]};
  for (int step = 0; step < layer.steps; ++step) {
    const std::int64_t bias = layer.bias.empty() ? 0 : static_cast<std::int64_t>(layer.bias[channel]);
    result.step(layer.neurons, current[step] + bias, layer.threshold[layer.per_channel ? channel : 0], step);
  }
  return result;
}

inline Result reference(const Layer& layer) {
  const std::int64_t neurons = layer.images * layer.image_neurons();
  Result result(neurons, layer.planes());
  for (std::int64_t index = 0; index < neurons; ++index) {
    const Neuron neuron = simulate(layer, index);
    const std::int64_t image = index / layer.image_neurons(), in_image = index % layer.image_neurons();
    const auto word = static_cast<std::size_t>(image * layer.planes() * layer.image_neurons() + in_image);
    result.fired[word] = neuron.plus;
    if (layer.planes() == 2) result.fired[word + static_cast<std::size_t>(layer.image_neurons())] = neuron.minus;
    result.v_out[static_cast<std::size_t>(index)] = static_cast<std::int32_t>(neuron.v);
    if (layer.planes() == 2) result.counts_out[static_cast<std::size_t>(index)] = static_cast<std::int32_t>(neuron.count);
  }
  return result;
}

}  // namespace snnc::tests
