#pragma once

#include "conv_attributes.hpp"
#include "layer_common.hpp"

namespace snnc::ops {

// Convolution of spikes and neurons: SpikingConv, StaircaseConv; with a second current, of a residual input (`add`):
// SpikingConvAdd, StaircaseConvAdd. See docs/ops.md.
//
// (spikes: uint64 [N, copies*signs*C, x...], weight: float32 [M, C/group, k...],
//  [residual: uint64 [N, residual_copies*signs*R, y...], residual_weight: float32 [M, R/residual_group, 1...],]
//  inputs of `Neurons`, bias: float32 [M], optional) -> outputs of `Neurons`, of shape [N, M, y...]
template <class Neurons, bool add>
class LayerConvolution {
 public:
  static constexpr const char* name = add ? Neurons::conv_add : Neurons::conv;
  static constexpr int version = Neurons::version;
  static constexpr std::size_t first_state = add ? 4 : 2;
  static constexpr std::size_t optional_inputs = 1;
  static constexpr auto inputs = [] {
    if constexpr (add) return join(synapse_types, synapse_types, Neurons::inputs, bias_type);
    else return join(synapse_types, Neurons::inputs, bias_type);
  }();
  static constexpr auto outputs = Neurons::outputs;

  explicit LayerConvolution(const ort::NodeInfo& node)
      : synapses_(read_synapses(node)),
        layer_(make_layer(node)),
        statistics_(layer_statistics(node, layer_)) {}

  static void infer_shapes(ort::ShapeContext& shapes) { Neurons::infer_shapes(shapes, first_state); }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    require_rank(spikes.shape, "spikes");
    const auto& [conv, layout] = synapses_[0];
    const std::vector<kernels::Axis> axes = conv.axes(spikes.shape);
    Shape neurons{spikes.shape[0], conv.outputs()};
    for (const kernels::Axis& axis : axes) neurons.push_back(axis.out);
    kernels::LayerCall call{};
    call.inputs.push_back(
        {spikes.data, layout.copies_in(spikes.shape, "spikes", conv.inputs()), kernels::Geometry(axes)});
    if constexpr (add) call.inputs.push_back(residual_input(context, neurons));
    Neurons::complete(context, call, first_state, neurons);
    run_layer(context, layer_, threads_, *statistics_, call);
  }

 private:
  struct InputSynapses {
    ConvAttributes conv;
    WordLayout layout;
  };

  // Of `spikes`, and of `residual` where there is one.
  static std::vector<InputSynapses> read_synapses(const ort::NodeInfo& node) {
    std::vector<InputSynapses> synapses;
    const ConvAttributes main = conv_attributes(node, node.constant_input<float>(1, "weight").shape);
    synapses.push_back({main, read_layout(node, "", Neurons::version)});
    if constexpr (add) {
      const Shape weight = node.constant_input<float>(3, "residual_weight").shape;
      synapses.push_back({residual_attributes(node, weight, main), read_layout(node, "residual_", Neurons::version)});
      if ((synapses[0].layout.copies == 0) != (synapses[1].layout.copies == 0)) {
        throw InvalidInput("attributes copies and residual_copies must both be there (or neither: version 1)");
      }
    }
    return synapses;
  }

  kernels::SpikingLayer make_layer(const ort::NodeInfo& node) const {
    std::vector<kernels::SpikingLayer::Part> parts;
    for (std::size_t i = 0; i < synapses_.size(); ++i) {
      const auto weight = constant_weight(node, 2 * i + 1, i == 0 ? "weight" : "residual_weight");
      parts.push_back({weight.data, synapses_[i].conv.synapses(synapses_[i].layout.signs)});
    }
    const std::size_t bias_index = first_state + Neurons::inputs.size();
    const std::vector<float> bias = constant_bias(node, bias_index, synapses_[0].conv.outputs());
    return {parts, bias.empty() ? nullptr : bias.data(), Neurons::read(node)};
  }

  // The residual input, which has the plane of the neurons.
  kernels::LayerInput residual_input(const ort::Context& context, const Shape& neurons) const {
    const auto residual = context.input<std::uint64_t>(2);
    require_rank(residual.shape, "residual");
    Shape aligned = neurons;
    aligned[1] = residual.shape[1];
    if (residual.shape != aligned) {
      throw InvalidInput("residual has shape " + to_string(residual.shape) + ", must be aligned with the neurons " +
                         to_string(neurons));
    }
    const auto& [conv, layout] = synapses_[1];
    return {residual.data, layout.copies_in(residual.shape, "residual", conv.inputs()),
            kernels::Geometry(conv.axes(residual.shape))};
  }

  void require_rank(const Shape& shape, const char* input) const {
    const Shape& weight = synapses_[0].conv.weight;
    if (shape.size() != weight.size()) {
      throw InvalidInput(std::string(input) + " has shape " + to_string(shape) + ", must have rank " +
                         std::to_string(weight.size()) + " as weight " + to_string(weight));
    }
  }

  std::vector<InputSynapses> synapses_;
  kernels::SpikingLayer layer_;
  SessionThreads threads_;
  std::unique_ptr<NodeStatistics> statistics_;
};

using SpikingConv = LayerConvolution<ResettingNeurons, false>;
using SpikingConvAdd = LayerConvolution<ResettingNeurons, true>;
using StaircaseConv = LayerConvolution<StaircaseNeurons, false>;
using StaircaseConvAdd = LayerConvolution<StaircaseNeurons, true>;

}  // namespace snnc::ops
