#pragma once

#include "../kernels/neurons.hpp"
#include "common.hpp"

namespace snnc::ops {

// `v` has shape [N, C, ...]; its thresholds [] or [C, 1, ...].
inline void require_threshold_shape(const Shape& threshold, const Shape& v) {
  if (threshold.empty()) return;
  Shape per_channel(v.size() - 1, 1);
  if (!per_channel.empty()) per_channel[0] = v[1];
  if (per_channel.empty() || threshold != per_channel) {
    throw InvalidInput("threshold has shape " + to_string(threshold) + ", must be []" +
                       (per_channel.empty() ? "" : " or " + to_string(per_channel)) + " for v " + to_string(v));
  }
}

// (current: float32 [count * N, ...], v: int32 [N, ...], threshold: int32 [] or [C, 1, ...], count: int64 [])
//     -> (spikes: uint64 [N, ...], v_out: int32 [N, ...])
template <kernels::Reset reset>
struct IntegrateAndFire {
  static constexpr const char* name = reset == kernels::Reset::soft ? "RMP" : "IF";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {
      ElementType::float32, ElementType::int32, ElementType::int32, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::int32};

  explicit IntegrateAndFire(const ort::NodeInfo& node) : leak_(read_leak(node)) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::uint64, 1);
    shapes.output_like(1, ElementType::int32, 1);
  }

  void compute(ort::Context& context) const {
    const auto current = context.input<float>(0);
    const auto v = context.input<std::int32_t>(1);
    const auto threshold = context.input<std::int32_t>(2);
    const int count = read_count(context, 3);
    require_batch_axis(v.shape, "v");
    require_current_shape(current.shape, v.shape, count);
    require_threshold_shape(threshold.shape, v.shape);

    kernels::NeuronBlock block{};
    block.spikes = context.output<std::uint64_t>(0, v.shape);
    block.v_out = context.output<std::int32_t>(1, v.shape);
    block.current = current.data;
    block.v = v.data;
    block.threshold = threshold.data;
    block.neurons = v.size();
    block.count = count;
    block.leak = leak_;
    if (block.neurons == 0) return;
    block.channels = threshold.size();
    block.plane = block.neurons / v.shape[0] / block.channels;
    constexpr double nanoseconds_per_step = 0.2 * kernels::neuron_tile;
    context.parallel_for(
        tiles_of(block.neurons, kernels::neuron_tile), count * nanoseconds_per_step,
        [&](std::int64_t tile) { kernels::simulate_tile<reset>(block, tile); });
  }

 private:
  int leak_;
};

using RMP = IntegrateAndFire<kernels::Reset::soft>;
using IF = IntegrateAndFire<kernels::Reset::hard>;

}  // namespace snnc::ops
