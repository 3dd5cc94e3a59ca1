// Layers of given sizes with random values.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "layers_reference.hpp"

namespace snnc::tests {

using Random = std::mt19937_64;

constexpr NeuronModel soft{Dynamics::soft}, hard{Dynamics::hard};
constexpr NeuronModel rising{Dynamics::staircase, 0, 5};     // counts of a quantised ReLU
constexpr NeuronModel symmetric{Dynamics::staircase, -3, 3};
constexpr NeuronModel leaky_soft{Dynamics::leaky_soft, 0, 0, 4}, leaky_hard{Dynamics::leaky_hard, 0, 0, 1};

constexpr std::int64_t current_limit = 1 << 24;

// Where there are two parts, `above_int16` is in the first one alone and `below_int16` in the second.
enum class Weights {
  small, int8, above_int8, below_int8, highest_int8, lowest_int8, bits13, int16, above_int16, below_int16, wide,
  positive, negative
};
// `resting`: 0 but for a few neurons, so that hardly any staircase fires without events.
enum class Potentials { zero, moderate, extreme, bound, resting };

struct Sizes {
  std::int64_t inputs, outputs;
  std::vector<Axis> axes;
  std::int64_t groups = 1, copies = 1, signs = 1;
  std::int64_t residual = 0, residual_groups = 1, residual_copies = 1;  // no second part if `residual` is 0
  std::int64_t residual_signs = 1;
  std::int64_t images = 2;
  int steps = 64;

  Sizes with_groups(std::int64_t count) const { return with(&Sizes::groups, count); }
  Sizes with_copies(std::int64_t count) const { return with(&Sizes::copies, count); }
  Sizes with_signs(std::int64_t main, std::int64_t second = 1) const {
    return with(&Sizes::signs, main).with(&Sizes::residual_signs, second);
  }
  Sizes with_images(std::int64_t count) const { return with(&Sizes::images, count); }
  Sizes with_steps(int count) const { return with(&Sizes::steps, count); }
  Sizes with_residual(std::int64_t channels, std::int64_t group_count = 1, std::int64_t copy_count = 1) const {
    return with(&Sizes::residual, channels).with(&Sizes::residual_groups, group_count)
        .with(&Sizes::residual_copies, copy_count);
  }

 private:
  template <class Member>
  Sizes with(Member Sizes::*member, Member value) const {
    Sizes other = *this;
    other.*member = value;
    return other;
  }
};

struct Values {
  int density = 26;  // spikes in 256 steps
  Weights weights = Weights::small;
  Potentials potentials = Potentials::moderate;
  bool bias = true, per_channel = true;
  NeuronModel neurons = soft;

  Values with_neurons(const NeuronModel& other) const {
    Values values = *this;
    values.neurons = other;
    return values;
  }
};

inline std::int64_t below(Random& random, std::int64_t limit) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit));
}

inline std::int64_t within(Random& random, std::int64_t limit) { return below(random, 2 * limit + 1) - limit; }

template <class T>
T pick(Random& random, const std::vector<T>& choices) {
  return choices[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(choices.size())))];
}

inline std::vector<float> random_weights(Random& random, std::int64_t outputs, std::int64_t fan_in, Weights kind) {
  std::vector<float> weights(static_cast<std::size_t>(outputs * fan_in));
  for (float& weight : weights) {
    const std::int64_t small = within(random, 100);
    weight = static_cast<float>(small);
    if (kind == Weights::positive) weight = std::abs(weight);
    if (kind == Weights::negative) weight = -std::abs(weight);
    if (kind == Weights::highest_int8) weight = 127;
    if (kind == Weights::lowest_int8) weight = -128;
    if (kind == Weights::bits13) weight = static_cast<float>(within(random, 4095));
  }
  // A few large ones for every neuron; their sum stays within the bounds of a current.
  for (std::int64_t output = 0; output < outputs; ++output) {
    const auto place = [&]() -> float& {
      return weights[static_cast<std::size_t>(output * fan_in + below(random, fan_in))];
    };
    if (kind == Weights::int8) place() = -128, place() = 127;
    if (kind == Weights::above_int8) place() = 128;
    if (kind == Weights::below_int8) place() = -129;
    if (kind == Weights::int16) place() = -32768, place() = 32767;
    if (kind == Weights::above_int16) place() = 32768;
    if (kind == Weights::below_int16) place() = -32769;
    for (int i = 0; kind == Weights::wide && i < 5; ++i) place() = static_cast<float>(within(random, 300'000));
  }
  return weights;
}

inline std::vector<std::uint64_t> random_words(Random& random, std::int64_t size, int steps, int density) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>(size));
  std::uint64_t bytes = 0;
  for (std::uint64_t& word : words) {
    for (int step = 0; step < steps; ++step, bytes >>= 8) {
      if (step % 8 == 0) bytes = random();
      word |= std::uint64_t{static_cast<int>(bytes & 255) < density} << step;
    }
  }
  return words;
}

inline Part random_part(Random& random, const Sizes& sizes, const Values& values, bool residual) {
  Part part{};
  part.axes = sizes.axes;
  if (residual) {
    for (Axis& axis : part.axes) axis = {axis.out, axis.out, 1, 1, 0, 1};
  }
  part.copies = residual ? sizes.residual_copies : sizes.copies;
  SynapseShape& shape = part.shape;
  shape.inputs = residual ? sizes.residual : sizes.inputs;
  shape.outputs = sizes.outputs;
  shape.groups = residual ? sizes.residual_groups : sizes.groups;
  shape.signs = residual ? sizes.residual_signs : sizes.signs;
  shape.column_taps = part.axes.back().kernel;
  shape.column_stride = part.axes.back().stride;
  shape.column_dilation = part.axes.back().dilation;
  shape.line_taps = Geometry(part.axes).line_taps;
  shape.input_stride = shape.line_taps * shape.column_taps;
  shape.output_stride = shape.input_stride * shape.group_inputs();
  Weights kind = values.weights;
  if (kind == Weights::above_int16 && residual) kind = Weights::small;
  if (kind == Weights::below_int16 && !residual && sizes.residual > 0) kind = Weights::small;
  part.weights = random_weights(random, shape.outputs, shape.output_stride, kind);
  part.words = random_words(random, sizes.images * part.image_words(), sizes.steps, values.density);
  return part;
}

// The largest magnitude of a current of output channel `output`.
inline std::int64_t bound_of(const Layer& layer, std::int64_t output) {
  double sum = layer.bias.empty() ? 0 : std::abs(layer.bias[static_cast<std::size_t>(output)]);
  for (const Part& part : layer.parts) {
    const float* row = part.weights.data() + output * part.shape.output_stride;
    double weights = 0;
    for (std::int64_t i = 0; i < part.shape.output_stride; ++i) weights += std::abs(row[i]);
    sum += weights * static_cast<double>(part.copies);
  }
  if (sum >= current_limit) std::abort();  // no layer to test with
  return static_cast<std::int64_t>(sum);
}

inline std::int64_t random_potential(Random& random, const Values& values, std::int64_t room, std::int64_t moderate) {
  const std::int64_t extreme = values.weights == Weights::negative || below(random, 2) ? -room : room;
  switch (values.potentials) {
    case Potentials::zero: return 0;
    case Potentials::moderate: return within(random, moderate);
    case Potentials::extreme: return extreme;
    case Potentials::bound: return values.weights == Weights::negative ? -room : room;
    case Potentials::resting: return below(random, 100) == 0 ? within(random, moderate) : 0;
  }
  return 0;
}

inline std::string describe(const Sizes& sizes, const Values& values) {
  const auto number = [](std::int64_t value) { return std::to_string(value) + " "; };
  std::string text = number(sizes.inputs) + "x " + number(sizes.copies) + "to " + number(sizes.outputs) + "groups " +
                     number(sizes.groups) + "residual " + number(sizes.residual) + "x " +
                     number(sizes.residual_copies) + "groups " + number(sizes.residual_groups) + "signs " +
                     number(sizes.signs) + number(sizes.residual_signs) + "images " +
                     number(sizes.images) + "steps " + number(sizes.steps);
  for (const Axis& axis : sizes.axes) {
    text += "axis { " + number(axis.in) + number(axis.out) + number(axis.kernel) + number(axis.stride) +
            number(axis.pad) + number(axis.dilation) + "} ";
  }
  return text + "density " + number(values.density) + "weights " + number(static_cast<int>(values.weights)) + "v " +
         number(static_cast<int>(values.potentials)) + "bias " + number(values.bias) + "per channel " +
         number(values.per_channel) + "dynamics " + number(static_cast<int>(values.neurons.dynamics)) + "low " +
         number(values.neurons.low) + "high " + number(values.neurons.high) + "leak " + number(values.neurons.leak);
}

inline Layer random_layer(Random& random, const Sizes& sizes, const Values& values) {
  Layer layer{};
  layer.name = describe(sizes, values);
  layer.images = sizes.images;
  layer.outputs = sizes.outputs;
  layer.plane = Geometry(sizes.axes).plane_out();
  layer.steps = sizes.steps;
  layer.neurons = values.neurons;
  layer.per_channel = values.per_channel;
  layer.parts.push_back(random_part(random, sizes, values, false));
  if (sizes.residual > 0) layer.parts.push_back(random_part(random, sizes, values, true));
  if (values.bias) {
    for (std::int64_t i = 0; i < sizes.outputs; ++i) layer.bias.push_back(static_cast<float>(within(random, 60)));
  }
  // About the current of a few steps, so that neurons fire, but not always.
  std::vector<std::int64_t> bounds;
  for (std::int64_t output = 0; output < sizes.outputs; ++output) bounds.push_back(bound_of(layer, output));
  const std::int64_t moderate = 1 + bounds[0] * (values.density + 3) / 256;
  for (std::int64_t i = 0; i < (values.per_channel ? sizes.outputs : 1); ++i) {
    const bool highest = values.potentials == Potentials::bound ||
                         (values.potentials == Potentials::extreme && below(random, 3) == 0);
    const std::int64_t threshold = highest ? potential_limit : 1 + below(random, moderate);
    layer.threshold.push_back(static_cast<std::int32_t>(threshold));
  }
  for (std::int64_t neuron = 0; neuron < sizes.images * sizes.outputs * layer.plane; ++neuron) {
    const std::int64_t bound = bounds[static_cast<std::size_t>(neuron / layer.plane % sizes.outputs)];
    layer.v.push_back(
        static_cast<std::int32_t>(random_potential(random, values, potential_limit - sizes.steps * bound, moderate)));
    const std::int64_t range = std::int64_t{layer.neurons.high} - layer.neurons.low;
    layer.counts.push_back(static_cast<std::int32_t>(layer.neurons.low + below(random, range + 1)));
  }
  return layer;
}

}  // namespace snnc::tests
