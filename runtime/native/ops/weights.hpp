// Constant weights of the operators of whole layers.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "common.hpp"

namespace snnc::ops {

// float32 holds every integer up to here; so do the function forms of the operators.
constexpr float integer_limit = 16777216.0f;

inline void require_integers(const ort::Input<float>& values, const char* name) {
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const float value = values.data[i];
    if (!(std::fabs(value) < integer_limit)) {
      throw InvalidInput(std::string(name) + " has the value " + std::to_string(value) + ", must be finite and below 2^24 in magnitude");
    }
    if (value != std::nearbyint(value)) {
      throw InvalidInput(std::string(name) + " has the value " + std::to_string(value) + ", which is not an integer");
    }
  }
}

inline ort::Input<float> constant_weight(const ort::NodeInfo& node, std::size_t index, const char* name) {
  const auto weight = node.constant_input<float>(index, name);
  require_integers(weight, name);
  if (weight.size() == 0) {
    throw InvalidInput(std::string(name) + " has shape " + to_string(weight.shape) + ", no axis may be empty");
  }
  return weight;
}

// An optional constant [outputs], as its last input; empty if it is not there.
inline std::vector<float> constant_bias(const ort::NodeInfo& node, std::size_t index, std::int64_t outputs) {
  if (!node.has_input(index)) return {};
  const auto bias = node.constant_input<float>(index, "bias");
  require_integers(bias, "bias");
  if (bias.shape != Shape{outputs}) {
    throw InvalidInput("bias has shape " + to_string(bias.shape) + ", must be " + to_string(Shape{outputs}));
  }
  return {bias.data, bias.data + bias.size()};
}

// `copies` of `channels` in the second axis of `spikes`.
inline std::int64_t copies_of(std::int64_t channels, const Shape& spikes, const char* name) {
  if (spikes[1] % channels != 0 || spikes[1] == 0) {
    throw InvalidInput(std::string(name) + " has shape " + to_string(spikes) +
                       ", its second axis must be a multiple of " + std::to_string(channels) +
                       ", the channels of its weight");
  }
  return spikes[1] / channels;
}

}  // namespace snnc::ops
