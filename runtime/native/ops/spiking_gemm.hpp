#pragma once

#include "layer_common.hpp"

namespace snnc::ops {

namespace detail {

inline void require_matrix(const Shape& shape, const char* name) {
  if (shape.size() == 2) return;
  throw InvalidInput(std::string(name) + " has shape " + to_string(shape) + ", must have rank 2");
}

// Eight columns are transposed at once: input k is seen as channel k / 8 and column k % 8 where that is possible.
inline std::int64_t columns_of(std::int64_t inputs) {
  return inputs % kernels::columns_at_once == 0 ? kernels::columns_at_once : 1;
}

// A dense layer as a convolution whose kernel is the whole line.
inline kernels::SynapseShape gemm_shape(const Shape& weight, std::int64_t signs) {
  kernels::SynapseShape shape{};
  shape.column_taps = columns_of(weight[0]);
  shape.inputs = weight[0] / shape.column_taps;
  shape.outputs = weight[1];
  shape.signs = signs;
  shape.groups = shape.line_taps = shape.column_stride = shape.column_dilation = 1;
  shape.input_stride = shape.column_taps;
  shape.output_stride = weight[0];
  return shape;
}

// [outputs, inputs]: the taps of a convolution follow each other.
inline std::vector<float> transposed(const ort::Input<float>& weight) {
  const std::int64_t inputs = weight.shape[0], outputs = weight.shape[1];
  std::vector<float> result(static_cast<std::size_t>(weight.size()));
  for (std::int64_t k = 0; k < inputs; ++k) {
    for (std::int64_t m = 0; m < outputs; ++m) {
      result[static_cast<std::size_t>(m * inputs + k)] = weight.data[k * outputs + m];
    }
  }
  return result;
}

}  // namespace detail

// A fully connected layer: SpikingGemm, StaircaseGemm. See docs/ops.md.
//
// (spikes: uint64 [N, copies*signs*K], weight: float32 [K, M], inputs of `Neurons`, bias: float32 [M], optional)
//     -> outputs of `Neurons`, of shape [N, M]
template <class Neurons>
class LayerGemm {
 public:
  static constexpr const char* name = Neurons::gemm;
  static constexpr int version = Neurons::version;
  static constexpr std::size_t first_state = 2, optional_inputs = 1;
  static constexpr auto inputs = join(synapse_types, Neurons::inputs, bias_type);
  static constexpr auto outputs = Neurons::outputs;

  explicit LayerGemm(const ort::NodeInfo& node)
      : layout_(read_layout(node, "", Neurons::version)),
        layer_(make_layer(node)),
        statistics_(layer_statistics(node, layer_)) {}

  static void infer_shapes(ort::ShapeContext& shapes) { Neurons::infer_shapes(shapes, first_state); }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    detail::require_matrix(spikes.shape, "spikes");
    const kernels::SynapseShape& shape = layer_.synapses()[0].shape();
    kernels::Axis axis{};
    axis.in = axis.kernel = shape.column_taps;
    axis.out = axis.stride = axis.dilation = 1;
    kernels::LayerCall call{};
    call.inputs.push_back({spikes.data, layout_.copies_in(spikes.shape, "spikes", shape.inputs * shape.column_taps),
                           kernels::Geometry({axis})});
    Neurons::complete(context, call, first_state, {spikes.shape[0], shape.outputs});
    run_layer(context, layer_, threads_, *statistics_, call);
  }

 private:
  kernels::SpikingLayer make_layer(const ort::NodeInfo& node) const {
    const auto weight = constant_weight(node, 1, "weight");
    detail::require_matrix(weight.shape, "weight");
    const std::vector<float> by_output = detail::transposed(weight);
    const std::vector<float> bias = constant_bias(node, first_state + Neurons::inputs.size(), weight.shape[1]);
    return {{{by_output.data(), detail::gemm_shape(weight.shape, layout_.signs)}},
            bias.empty() ? nullptr : bias.data(), Neurons::read(node)};
  }

  WordLayout layout_;
  kernels::SpikingLayer layer_;
  SessionThreads threads_;
  std::unique_ptr<NodeStatistics> statistics_;
};

using SpikingGemm = LayerGemm<ResettingNeurons>;
using StaircaseGemm = LayerGemm<StaircaseNeurons>;

}  // namespace snnc::ops
