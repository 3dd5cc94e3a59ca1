// The attributes of the convolutions of layers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../kernels/layers/spiking_layer.hpp"
#include "common.hpp"

namespace snnc::ops {

// The attributes of a convolution and the shape of its weight, checked against each other.
struct ConvAttributes {
  Shape weight;
  std::vector<std::int64_t> strides, pads, dilations;
  std::int64_t group;

  std::size_t rank() const { return weight.size() - 2; }
  std::int64_t outputs() const { return weight[0]; }
  std::int64_t inputs() const { return weight[1] * group; }
  std::int64_t kernel(std::size_t axis) const { return weight[axis + 2]; }

  // Throws unless attributes and weight fit each other; `name` and `group_name` are theirs in messages.
  void check(const char* name, const char* group_name) const {
    check_ranks(name);
    check_ranges();
    if (group < 1 || outputs() % group != 0) {
      throw InvalidInput(std::string(group_name) + " is " + std::to_string(group) + ", must divide the " +
                         std::to_string(outputs()) + " output channels of " + name + " " + to_string(weight));
    }
  }

  // `signs`: 2 where the spikes have signs.
  kernels::SynapseShape synapses(std::int64_t signs) const {
    kernels::SynapseShape shape{};
    shape.signs = signs;
    shape.inputs = inputs();
    shape.outputs = outputs();
    shape.groups = group;
    shape.column_taps = weight.back();
    shape.line_taps = 1;
    for (std::size_t axis = 0; axis + 1 < rank(); ++axis) shape.line_taps *= kernel(axis);
    shape.column_stride = strides.back();
    shape.column_dilation = dilations.back();
    shape.input_stride = shape.line_taps * shape.column_taps;
    shape.output_stride = shape.input_stride * weight[1];
    return shape;
  }

  // The axes for an input of this shape; throws if the kernel does not fit into it.
  std::vector<kernels::Axis> axes(const Shape& spikes) const {
    std::vector<kernels::Axis> axes;
    for (std::size_t axis = 0; axis < rank(); ++axis) {
      const std::int64_t in = spikes[axis + 2];
      const std::int64_t reach = (kernel(axis) - 1) * dilations[axis] + 1;
      const std::int64_t padded = in + pads[axis] + pads[axis + rank()];
      if (in < 1 || in > std::numeric_limits<std::int32_t>::max() || padded < reach) {
        throw InvalidInput("spikes " + to_string(spikes) + " do not fit the kernel of weight " + to_string(weight));
      }
      kernels::Axis& lowered = axes.emplace_back();
      lowered.in = in;
      lowered.out = (padded - reach) / strides[axis] + 1;
      lowered.kernel = kernel(axis);
      lowered.stride = strides[axis];
      lowered.pad = pads[axis];
      lowered.dilation = dilations[axis];
    }
    return axes;
  }

 private:
  void check_ranks(const char* name) const {
    if (weight.size() < 3 || weight.size() > 5) {
      throw InvalidInput(std::string(name) + " has shape " + to_string(weight) + ", must have 1 to 3 spatial axes");
    }
    if (strides.size() != rank() || dilations.size() != rank() || pads.size() != 2 * rank()) {
      throw InvalidInput("strides, dilations and pads have " + std::to_string(strides.size()) + ", " +
                         std::to_string(dilations.size()) + " and " + std::to_string(pads.size()) +
                         " values, must have " + std::to_string(rank()) + ", " + std::to_string(rank()) + " and " +
                         std::to_string(2 * rank()) + " for " + name + " " + to_string(weight));
    }
  }

  void check_ranges() const {
    const auto least = [](const std::vector<std::int64_t>& values) {
      return *std::min_element(values.begin(), values.end());
    };
    if (least(strides) < 1 || least(dilations) < 1 || least(pads) < 0) {
      throw InvalidInput("strides and dilations must be at least 1, pads at least 0");
    }
    const auto most = [](const std::vector<std::int64_t>& values) {
      return *std::max_element(values.begin(), values.end());
    };
    constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();  // products then fit into 64 bits
    if (most(strides) > limit || most(dilations) > limit || most(pads) > limit || most(weight) > limit) {
      throw InvalidInput("strides, dilations, pads and the kernel must be below 2^31");
    }
  }
};

// Those of a layer's own convolution.
inline ConvAttributes conv_attributes(const ort::NodeInfo& node, const Shape& weight) {
  ConvAttributes conv{};
  conv.weight = weight;
  conv.strides = node.get_ints("strides");
  conv.pads = node.get_ints("pads");
  conv.dilations = node.get_ints("dilations");
  conv.group = node.get_int("group");
  conv.check("weight", "group");
  return conv;
}

// Those of the second current of a junction: a 1x1 convolution of an input that is already aligned with the neurons.
inline ConvAttributes residual_attributes(const ort::NodeInfo& node, const Shape& weight, const ConvAttributes& main) {
  if (weight.size() != main.weight.size()) {
    throw InvalidInput("residual_weight has shape " + to_string(weight) + ", must have the rank of weight " +
                       to_string(main.weight));
  }
  ConvAttributes conv{};
  conv.weight = weight;
  conv.strides = conv.dilations = Shape(main.rank(), 1);
  conv.pads = Shape(2 * main.rank(), 0);
  conv.group = node.get_int("residual_group");
  conv.check("residual_weight", "residual_group");
  const bool pointwise = std::all_of(weight.begin() + 2, weight.end(), [](auto size) { return size == 1; });
  if (conv.outputs() != main.outputs() || !pointwise) {
    throw InvalidInput("residual_weight has shape " + to_string(weight) + ", must be a 1x1 convolution to " +
                       std::to_string(main.outputs()) + " channels");
  }
  return conv;
}

}  // namespace snnc::ops
