// Constant weights of the operators of whole layers.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
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
      throw InvalidInput(std::string(name) + " has the value " + std::to_string(value) +
                         ", must be finite and below 2^24 in magnitude");
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

// How the second axis of an input of spikes holds its channels: in copies, each of them all channels, or the positive
// spikes of all channels and then the negative ones.
struct WordLayout {
  std::string prefix;        // of the attributes
  std::int64_t copies = 0;   // 0: as many as there are (version 1)
  std::int64_t signs = 1;    // 2 where spikes have signs

  // The copies in `spikes`; throws where it has another number of channels.
  std::int64_t copies_in(const Shape& spikes, const char* name, std::int64_t channels) const {
    if (copies == 0) return copies_that_divide(spikes, name, channels);
    if (spikes[1] == copies * signs * channels) return copies;
    throw InvalidInput(std::string(name) + " has shape " + to_string(spikes) + ", its second axis must be " +
                       std::to_string(copies * signs * channels) + ": " + std::to_string(channels) +
                       " channels of its weight, attribute " + prefix + "copies is " + std::to_string(copies) +
                       " and " + prefix + "signed is " + std::to_string(signs - 1));
  }

 private:
  static std::int64_t copies_that_divide(const Shape& spikes, const char* name, std::int64_t channels) {
    if (spikes[1] % channels == 0 && spikes[1] != 0) return spikes[1] / channels;
    throw InvalidInput(std::string(name) + " has shape " + to_string(spikes) +
                       ", its second axis must be a multiple of " + std::to_string(channels) +
                       ", the channels of its weight");
  }
};

// The attributes `copies` and `signed`, with a prefix. Where an operator has a version 1, a node without both is one
// of version 1: onnxruntime gives all versions of an operator to the same kernel and does not tell it which they are.
inline WordLayout read_layout(const ort::NodeInfo& node, const std::string& prefix, int first_version) {
  const std::string copies_name = prefix + "copies", signed_name = prefix + "signed";
  WordLayout layout{};
  layout.prefix = prefix;
  if (first_version == 1 && !node.has_int(copies_name.c_str()) && !node.has_int(signed_name.c_str())) return layout;
  layout.copies = node.get_int(copies_name.c_str());
  const std::int64_t has_signs = node.get_int(signed_name.c_str());
  constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();
  if (layout.copies < 1 || layout.copies > limit) {
    throw InvalidInput("attribute " + copies_name + " is " + std::to_string(layout.copies) +
                       ", must be at least 1 and below 2^31");
  }
  if (has_signs != 0 && has_signs != 1) {
    throw InvalidInput("attribute " + signed_name + " is " + std::to_string(has_signs) + ", must be 0 or 1");
  }
  layout.signs = 1 + has_signs;
  return layout;
}

}  // namespace snnc::ops
