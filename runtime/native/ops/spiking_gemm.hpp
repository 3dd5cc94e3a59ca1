#pragma once

#include "../kernels/readout.hpp"
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

inline kernels::SpikingLayer gemm_layer(const ort::NodeInfo& node) {
  const auto weight = constant_weight(node, 1, "weight");
  require_matrix(weight.shape, "weight");
  const std::int64_t inputs = weight.shape[0], outputs = weight.shape[1], columns = columns_of(inputs);
  kernels::SynapseShape shape{};
  shape.inputs = inputs / columns;
  shape.outputs = outputs;
  shape.groups = 1;
  shape.line_taps = 1;
  shape.column_taps = columns;
  shape.column_stride = 1;
  shape.column_dilation = 1;
  // The taps of a convolution follow each other: [M, K] instead of [K, M].
  std::vector<float> transposed(static_cast<std::size_t>(weight.size()));
  for (std::int64_t k = 0; k < inputs; ++k) {
    for (std::int64_t m = 0; m < outputs; ++m) {
      transposed[static_cast<std::size_t>(m * inputs + k)] = weight.data[k * outputs + m];
    }
  }
  shape.input_stride = columns;
  shape.output_stride = inputs;
  const std::vector<float> bias = constant_bias(node, 5, outputs);
  return {{{transposed.data(), shape}}, bias.empty() ? nullptr : bias.data(), read_soft_reset(node)};
}

}  // namespace detail

// (spikes: uint64 [N, m*K], weight: float32 [K, M], v: int32 [N, M], threshold: int32 [] or [M], count: int64 [],
//  bias: float32 [M], optional) -> (fired: uint64 [N, M], v_out: int32 [N, M])
class SpikingGemm {
 public:
  static constexpr const char* name = "SpikingGemm";
  static constexpr int version = 1;
  static constexpr std::size_t optional_inputs = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64, ElementType::float32, ElementType::int32,
                                           ElementType::int32,  ElementType::int64,   ElementType::float32};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::int32};

  explicit SpikingGemm(const ort::NodeInfo& node)
      : layer_(detail::gemm_layer(node)), statistics_(layer_statistics(node, layer_)) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::uint64, 2);
    shapes.output_like(1, ElementType::int32, 2);
  }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    detail::require_matrix(spikes.shape, "spikes");
    const kernels::SynapseShape& shape = layer_.synapses()[0].shape();
    const std::int64_t columns = shape.column_taps;
    kernels::LayerCall call{};
    call.inputs.push_back({spikes.data, copies_of(shape.inputs * columns, spikes.shape, "spikes"),
                           kernels::Geometry({{columns, 1, columns, 1, 0, 1}})});
    require_neurons(context, 2, {spikes.shape[0], shape.outputs});
    complete_call(context, call, 2);
    run_layer(context, layer_, threads_, *statistics_, call);
  }

 private:
  kernels::SpikingLayer layer_;
  SessionThreads threads_;
  std::unique_ptr<NodeStatistics> statistics_;
};

// (spikes: uint64 [N, m*K], weight: float32 [K, M], v: int32 [N, M], count: int64 [], bias: float32 [M], optional)
//     -> v_out: int32 [N, M]
class SpikeReadout {
 public:
  static constexpr const char* name = "SpikeReadout";
  static constexpr int version = 1;
  static constexpr std::size_t optional_inputs = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64, ElementType::float32, ElementType::int32,
                                           ElementType::int64, ElementType::float32};
  static constexpr ElementType outputs[] = {ElementType::int32};

  explicit SpikeReadout(const ort::NodeInfo& node)
      : statistics_(std::make_unique<NodeStatistics>(node.node_name(), RowsByPath{})) {
    const auto weight = constant_weight(node, 1, "weight");
    detail::require_matrix(weight.shape, "weight");
    inputs_ = weight.shape[0];
    outputs_ = weight.shape[1];
    const auto integer = [](float value) { return static_cast<std::int32_t>(value); };
    std::transform(weight.data, weight.data + weight.size(), std::back_inserter(weights_), integer);
    const std::vector<float> bias = constant_bias(node, 4, outputs_);
    std::transform(bias.begin(), bias.end(), std::back_inserter(bias_), integer);
    bias_.resize(static_cast<std::size_t>(outputs_), 0);
  }

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_like(0, ElementType::int32, 2); }

  void compute(ort::Context& context) const {
    const BlockTimer timer;
    const auto spikes = context.input<std::uint64_t>(0);
    const auto v = context.input<std::int32_t>(2);
    const int count = read_count(context, 3);
    detail::require_matrix(spikes.shape, "spikes");
    const Shape potentials{spikes.shape[0], outputs_};
    if (v.shape != potentials) {
      throw InvalidInput("v has shape " + to_string(v.shape) + ", must be " + to_string(potentials));
    }
    kernels::Readout readout{};
    readout.copies = copies_of(inputs_, spikes.shape, "spikes");
    readout.inputs = inputs_;
    readout.outputs = outputs_;
    readout.weights = weights_.data();
    readout.bias = bias_.data();
    readout.count = count;
    auto* v_out = context.output<std::int32_t>(0, potentials);
    const double nanoseconds = static_cast<double>(spikes.shape[1]) * (1 + 0.1 * static_cast<double>(outputs_));
    context.parallel_for(spikes.shape[0], nanoseconds, [&](std::int64_t sample) {
      kernels::read_out(readout, spikes.data + sample * spikes.shape[1], v.data + sample * outputs_,
                        v_out + sample * outputs_);
    });
    if (!timer.running()) return;
    const auto time = timer.elapsed();
    const std::int64_t fired = kernels::vector_kernels().count_spikes(spikes.data, spikes.size());
    statistics_->add({Path::readout, spikes.shape[0], count, fired}, time);
  }

 private:
  std::int64_t inputs_, outputs_;
  std::vector<std::int32_t> weights_;  // [inputs, outputs]
  std::vector<std::int32_t> bias_;     // [outputs]
  std::unique_ptr<NodeStatistics> statistics_;
};

}  // namespace snnc::ops
