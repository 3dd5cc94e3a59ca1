#pragma once

#include <algorithm>
#include <iterator>
#include <type_traits>

#include "../kernels/readout.hpp"
#include "spiking_gemm.hpp"

namespace snnc::ops {

// (spikes: uint64 [N, copies*signs*K], weight: float32 [K, M], v: [N, M], count: int64 [], bias: float32 [M], optional)
//     -> v_out: [N, M]
//
// Potentials are int64; those of version 1, which has no attributes, are int32. onnxruntime tells both apart by this
// type, whatever version a file imports: `version` is the oldest of the operator.
template <class Potential>
class Readout {
 public:
  static constexpr const char* name = "SpikeReadout";
  static constexpr int version = 1;
  static constexpr bool first_version = std::is_same_v<Potential, std::int32_t>;
  static constexpr std::size_t optional_inputs = 1;
  static constexpr std::array inputs{ElementType::uint64, ElementType::float32, ort::element_type<Potential>,
                                     ElementType::int64, ElementType::float32};
  static constexpr std::array outputs{ort::element_type<Potential>};

  explicit Readout(const ort::NodeInfo& node)
      : layout_(read_layout(node, "", first_version ? 1 : 2)),
        statistics_(std::make_unique<NodeStatistics>(node.node_name(), RowsByPath{})) {
    if (first_version && layout_.copies != 0) {
      throw InvalidInput("v is int32, must be int64 where there are attributes copies and signed");
    }
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

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_like(0, ort::element_type<Potential>, 2); }

  void compute(ort::Context& context) const {
    const BlockTimer timer;
    const auto spikes = context.input<std::uint64_t>(0);
    const auto v = context.input<Potential>(2);
    detail::require_matrix(spikes.shape, "spikes");
    const Shape potentials{spikes.shape[0], outputs_};
    if (v.shape != potentials) {
      throw InvalidInput("v has shape " + to_string(v.shape) + ", must be " + to_string(potentials));
    }
    kernels::Readout readout{};
    readout.copies = layout_.copies_in(spikes.shape, "spikes", inputs_);
    readout.signs = layout_.signs;
    readout.inputs = inputs_;
    readout.outputs = outputs_;
    readout.weights = weights_.data();
    readout.bias = bias_.data();
    readout.count = read_count(context, 3);
    auto* v_out = context.output<Potential>(0, potentials);
    const double nanoseconds = static_cast<double>(spikes.shape[1]) * (1 + 0.1 * static_cast<double>(outputs_));
    context.parallel_for(spikes.shape[0], nanoseconds, [&](std::int64_t sample) {
      kernels::read_out(readout, spikes.data + sample * spikes.shape[1], v.data + sample * outputs_,
                        v_out + sample * outputs_);
    });
    if (!timer.running()) return;
    const auto time = timer.elapsed();
    const std::int64_t fired = kernels::vector_kernels().count_spikes(spikes.data, spikes.size());
    statistics_->add({readout_path, spikes.shape[0], readout.count, fired}, time);
  }

 private:
  WordLayout layout_;
  std::int64_t inputs_, outputs_;
  std::vector<std::int32_t> weights_;  // [inputs, outputs]
  std::vector<std::int32_t> bias_;     // [outputs]
  std::unique_ptr<NodeStatistics> statistics_;
};

using SpikeReadout1 = Readout<std::int32_t>;
using SpikeReadout = Readout<std::int64_t>;

}  // namespace snnc::ops
