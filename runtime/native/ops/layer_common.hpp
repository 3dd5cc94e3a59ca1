// What the operators of layers share: from checked tensors to a block of a layer.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "../kernels/layers/layer_kernels.hpp"
#include "../statistics.hpp"
#include "neurons.hpp"
#include "session_threads.hpp"
#include "weights.hpp"

namespace snnc::ops {

// Element types one after the other.
template <std::size_t... sizes>
constexpr auto join(const std::array<ElementType, sizes>&... parts) {
  std::array<ElementType, (sizes + ...)> all{};
  std::size_t end = 0;
  const auto append = [&](const auto& part) {
    for (const ElementType type : part) all[end++] = type;
  };
  (append(parts), ...);
  return all;
}

constexpr std::array synapse_types{ElementType::uint64, ElementType::float32};  // spikes, weight
constexpr std::array bias_type{ElementType::float32};

// The two kinds of neurons of a layer. Their inputs follow each other behind those of the synapses; `complete` fills a
// call from them and creates the outputs, for states of the shape `neurons`, [N, M, y...].

// v, threshold, count -> fired, v_out
struct ResettingNeurons {
  static constexpr const char *conv = "SpikingConv", *conv_add = "SpikingConvAdd", *gemm = "SpikingGemm";
  static constexpr int version = 1;
  static constexpr std::array inputs{ElementType::int32, ElementType::int32, ElementType::int64};
  static constexpr std::array outputs{ElementType::uint64, ElementType::int32};

  static kernels::NeuronModel read(const ort::NodeInfo& node) {
    using kernels::Dynamics;
    const int leak = read_leak(node);
    const bool soft = read_soft_reset(node);
    if (leak == 0) return {soft ? Dynamics::soft : Dynamics::hard};
    kernels::NeuronModel model{soft ? Dynamics::leaky_soft : Dynamics::leaky_hard};
    model.leak = leak;
    return model;
  }

  static void infer_shapes(ort::ShapeContext& shapes, std::size_t first) {
    shapes.output_like(0, ElementType::uint64, first);
    shapes.output_like(1, ElementType::int32, first);
  }

  static void complete(ort::Context& context, kernels::LayerCall& call, std::size_t first, const Shape& neurons);
};

// v, counts, threshold, count -> fired (plus of all channels, then minus), v_out, counts_out
struct StaircaseNeurons {
  static constexpr const char *conv = "StaircaseConv", *conv_add = "StaircaseConvAdd", *gemm = "StaircaseGemm";
  static constexpr int version = 2;
  static constexpr std::array inputs{ElementType::int32, ElementType::int32, ElementType::int32, ElementType::int64};
  static constexpr std::array outputs{ElementType::uint64, ElementType::int32, ElementType::int32};

  static kernels::NeuronModel read(const ort::NodeInfo& node) {
    const std::int64_t low = node.get_int("low"), high = node.get_int("high");
    using Limits = std::numeric_limits<std::int32_t>;
    if (low < Limits::min() || high > Limits::max() || low > high) {
      throw InvalidInput("attributes low and high are " + std::to_string(low) + " and " + std::to_string(high) +
                         ", must be int32 and low at most high");
    }
    return {kernels::Dynamics::staircase, static_cast<std::int32_t>(low), static_cast<std::int32_t>(high)};
  }

  static void infer_shapes(ort::ShapeContext& shapes, std::size_t first) {
    shapes.output_joined(0, first);
    shapes.output_like(1, ElementType::int32, first);
    shapes.output_like(2, ElementType::int32, first);
  }

  static void complete(ort::Context& context, kernels::LayerCall& call, std::size_t first, const Shape& neurons);
};

// An int32 input of the shape of the neurons.
inline const std::int32_t* read_state(
    const ort::Context& context, std::size_t index, const char* name, const Shape& neurons) {
  const auto state = context.input<std::int32_t>(index);
  if (state.shape != neurons) {
    throw InvalidInput(std::string(name) + " has shape " + to_string(state.shape) + ", must be " + to_string(neurons));
  }
  return state.data;
}

// The inputs threshold and count, which follow each other from `first`.
inline void read_drive(const ort::Context& context, kernels::LayerCall& call, std::size_t first, const Shape& neurons) {
  const auto threshold = context.input<std::int32_t>(first);
  require_threshold_shape(threshold.shape, neurons);
  call.threshold = threshold.data;
  call.threshold_per_channel = !threshold.shape.empty();
  call.steps = read_count(context, first + 1);
  call.images = neurons[0];
}

inline void ResettingNeurons::complete(
    ort::Context& context, kernels::LayerCall& call, std::size_t first, const Shape& neurons) {
  call.v = read_state(context, first, "v", neurons);
  read_drive(context, call, first + 1, neurons);
  call.fired = context.output<std::uint64_t>(0, neurons);
  call.v_out = context.output<std::int32_t>(1, neurons);
}

inline void StaircaseNeurons::complete(
    ort::Context& context, kernels::LayerCall& call, std::size_t first, const Shape& neurons) {
  call.v = read_state(context, first, "v", neurons);
  call.counts = read_state(context, first + 1, "counts", neurons);
  read_drive(context, call, first + 2, neurons);
  Shape signed_spikes = neurons;
  signed_spikes[1] *= kernels::planes_of(kernels::Dynamics::staircase);
  call.fired = context.output<std::uint64_t>(0, signed_spikes);
  call.v_out = context.output<std::int32_t>(1, neurons);
  call.counts_out = context.output<std::int32_t>(2, neurons);
}

// What the kernels read of the packed weights of a layer: gather one tile after the other, chunk all of them.
inline RowsByPath weights_of(const kernels::SpikingLayer& layer) {
  const int width = layer.tiles()[0].width, bytes = layer.synapses()[0].weight_bytes();
  PathRows gather{width, bytes, 0}, chunk{width, bytes, 0};  // working sets are summed up
  for (const kernels::Synapses& part : layer.synapses()) {
    const kernels::SynapseShape& shape = part.shape();
    const std::int64_t row = std::int64_t{width} * part.weight_bytes();
    if (!shape.depthwise()) gather.working_set += part.row_count() * row;
    if (part.has_runs()) {
      chunk.working_set += shape.copy_channels() * shape.line_taps * part.run_line(width) * part.weight_bytes();
    }
  }
  if (gather.working_set == 0) gather = {};  // one weight for each neuron: no rows are added
  if (chunk.working_set == 0) chunk = {};
  RowsByPath weights{};  // tables are looked up: nothing is read over and over
  weights[path_of(kernels::run_gather)] = gather;
  weights[path_of(kernels::run_chunk)] = chunk;
  return weights;
}

inline std::unique_ptr<NodeStatistics> layer_statistics(
    const ort::NodeInfo& node, const kernels::SpikingLayer& layer) {
  return std::make_unique<NodeStatistics>(node.node_name(), weights_of(layer));
}

// A kernel is chosen by the spikes of so many images of a batch: counting all would read all their words once more.
constexpr std::int64_t images_to_choose_by = 4;

// The spikes of `counted` images, evenly spread over the batch.
inline std::int64_t count_spikes(
    ort::Context& context, const kernels::SpikingLayer& layer, const kernels::LayerCall& call, std::int64_t counted) {
  std::atomic<std::int64_t> spikes{0};
  constexpr double nanoseconds_per_image = 10'000;
  context.parallel_for(counted, nanoseconds_per_image, [&](std::int64_t index) {
    spikes.fetch_add(layer.count_spikes(call, index * call.images / counted), std::memory_order_relaxed);
  });
  return spikes.load();
}

inline void run_layer(
    ort::Context& context, const kernels::SpikingLayer& layer, const SessionThreads& threads,
    NodeStatistics& statistics, kernels::LayerCall& call) {
  if (call.images == 0) return;
  const BlockTimer timer;
  call.threads = threads.expected();
  const std::int64_t counted = std::min(call.images, images_to_choose_by);
  const kernels::LayerPlan plan = layer.plan(call, count_spikes(context, layer, call, counted) * call.images / counted);
  SessionThreads::Roll roll(plan.tasks.size());
  context.parallel_for(
      static_cast<std::int64_t>(plan.tasks.size()), plan.nanoseconds_per_task, [&](std::int64_t task) {
        const auto index = static_cast<std::size_t>(task);
        roll.present(index);
        layer.run(call, plan, plan.tasks[index]);
      });
  threads.learn(roll);
  if (timer.running()) {
    const auto elapsed = timer.elapsed();
    const std::int64_t spikes = count_spikes(context, layer, call, call.images);
    statistics.add({plan.kernel, call.images, call.steps, spikes}, elapsed);
  }
}

}  // namespace snnc::ops
