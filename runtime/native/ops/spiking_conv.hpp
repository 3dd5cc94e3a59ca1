#pragma once

#include "layer_common.hpp"

namespace snnc::ops {

namespace detail {

inline ConvAttributes conv_attributes(const ort::NodeInfo& node, const Shape& weight) {
  ConvAttributes conv{
      weight, node.get_ints("strides"), node.get_ints("pads"), node.get_ints("dilations"), node.get_int("group")};
  conv.check("weight", "group");
  return conv;
}

// 1x1 convolution of an input that is already aligned with the neurons.
inline ConvAttributes residual_attributes(const ort::NodeInfo& node, const Shape& weight, const ConvAttributes& main) {
  const std::size_t rank = main.rank();
  ConvAttributes conv{weight, Shape(rank, 1), Shape(2 * rank, 0), Shape(rank, 1), node.get_int("residual_group")};
  if (weight.size() != main.weight.size()) {
    throw InvalidInput("residual_weight has shape " + to_string(weight) + ", must have the rank of weight " +
                       to_string(main.weight));
  }
  conv.check("residual_weight", "residual_group");
  const bool pointwise = std::all_of(weight.begin() + 2, weight.end(), [](auto size) { return size == 1; });
  if (conv.outputs() != main.outputs() || !pointwise) {
    throw InvalidInput("residual_weight has shape " + to_string(weight) + ", must be a 1x1 convolution to " +
                       std::to_string(main.outputs()) + " channels");
  }
  return conv;
}

}  // namespace detail

// (spikes: uint64 [N, m*C, x...], weight: float32 [M, C/group, k...],
//  [residual: uint64 [N, r*R, y...], residual_weight: float32 [M, R/residual_group, 1...],]
//  v: int32 [N, M, y...], threshold: int32 [] or [M, 1...], count: int64 [], bias: float32 [M], optional)
//     -> (fired: uint64 [N, M, y...], v_out: int32 [N, M, y...])
template <bool add>
class SpikingConvolution {
 public:
  static constexpr const char* name = add ? "SpikingConvAdd" : "SpikingConv";
  static constexpr int version = 1;
  static constexpr std::size_t first_state = add ? 4 : 2;
  static constexpr std::size_t optional_inputs = 1;
  static constexpr ElementType with_residual[] = {
      ElementType::uint64, ElementType::float32, ElementType::uint64, ElementType::float32,
      ElementType::int32,  ElementType::int32,   ElementType::int64,  ElementType::float32};
  static constexpr ElementType without_residual[] = {
      ElementType::uint64, ElementType::float32, ElementType::int32,
      ElementType::int32,  ElementType::int64,   ElementType::float32};
  static constexpr auto& inputs = [] () -> auto& {
    if constexpr (add) return with_residual; else return without_residual;
  }();
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::int32};

  explicit SpikingConvolution(const ort::NodeInfo& node)
      : convs_(attributes(node)), layer_(make_layer(node)), statistics_(layer_statistics(node, layer_)) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::uint64, first_state);
    shapes.output_like(1, ElementType::int32, first_state);
  }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    const ConvAttributes& conv = convs_[0];
    require_rank(spikes.shape, "spikes");
    const std::vector<kernels::Axis> axes = conv.axes(spikes.shape);
    Shape neurons{spikes.shape[0], conv.outputs()};
    for (const kernels::Axis& axis : axes) neurons.push_back(axis.out);
    require_neurons(context, first_state, neurons);
    kernels::LayerCall call{};
    call.inputs.push_back({spikes.data, copies_of(conv.inputs(), spikes.shape, "spikes"), kernels::Geometry(axes)});
    if constexpr (add) {
      const auto residual = context.input<std::uint64_t>(2);
      require_rank(residual.shape, "residual");
      Shape aligned = neurons;
      aligned[1] = residual.shape[1];
      if (residual.shape != aligned) {
        throw InvalidInput("residual has shape " + to_string(residual.shape) + ", must be aligned with the neurons " +
                           to_string(neurons));
      }
      call.inputs.push_back({residual.data, copies_of(convs_[1].inputs(), residual.shape, "residual"),
                             kernels::Geometry(convs_[1].axes(residual.shape))});
    }
    complete_call(context, call, first_state);
    run_layer(context, layer_, threads_, *statistics_, call);
  }

 private:
  static std::vector<ConvAttributes> attributes(const ort::NodeInfo& node) {
    const Shape weight = node.constant_input<float>(1, "weight").shape;
    std::vector<ConvAttributes> convs{detail::conv_attributes(node, weight)};
    if constexpr (add) {
      const Shape residual = node.constant_input<float>(3, "residual_weight").shape;
      convs.push_back(detail::residual_attributes(node, residual, convs[0]));
    }
    return convs;
  }

  kernels::SpikingLayer make_layer(const ort::NodeInfo& node) const {
    std::vector<kernels::SpikingLayer::Part> parts{
        {constant_weight(node, 1, "weight").data, convs_[0].synapses()}};
    if constexpr (add) parts.push_back({constant_weight(node, 3, "residual_weight").data, convs_[1].synapses()});
    const std::vector<float> bias = constant_bias(node, first_state + 3, convs_[0].outputs());
    return {parts, bias.empty() ? nullptr : bias.data(), read_soft_reset(node)};
  }

  void require_rank(const Shape& shape, const char* input) const {
    if (shape.size() != convs_[0].weight.size()) {
      throw InvalidInput(std::string(input) + " has shape " + to_string(shape) + ", must have rank " +
                         std::to_string(convs_[0].weight.size()) + " as weight " + to_string(convs_[0].weight));
    }
  }

  std::vector<ConvAttributes> convs_;
  kernels::SpikingLayer layer_;
  SessionThreads threads_;
  std::unique_ptr<NodeStatistics> statistics_;
};

using SpikingConv = SpikingConvolution<false>;
using SpikingConvAdd = SpikingConvolution<true>;

}  // namespace snnc::ops
