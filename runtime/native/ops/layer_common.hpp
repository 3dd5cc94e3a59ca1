// What SpikingConv, SpikingConvAdd and SpikingGemm share: from checked tensors to a block of a layer.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "../kernels/layers/spiking_layer.hpp"
#include "../statistics.hpp"
#include "neurons.hpp"
#include "weights.hpp"

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

  void check(const char* name) const {
    if (weight.size() < 3 || weight.size() > 5) {
      throw InvalidInput(std::string(name) + " has shape " + to_string(weight) + ", must have 1 to 3 spatial axes");
    }
    if (strides.size() != rank() || dilations.size() != rank() || pads.size() != 2 * rank()) {
      throw InvalidInput("strides, dilations and pads have " + std::to_string(strides.size()) + ", " +
                         std::to_string(dilations.size()) + " and " + std::to_string(pads.size()) +
                         " values, must have " + std::to_string(rank()) + ", " + std::to_string(rank()) + " and " +
                         std::to_string(2 * rank()) + " for " + name + " " + to_string(weight));
    }
    const auto least = [](const std::vector<std::int64_t>& values) {
      return *std::min_element(values.begin(), values.end());
    };
    if (least(strides) < 1 || least(dilations) < 1 || least(pads) < 0) {
      throw InvalidInput("strides and dilations must be at least 1, pads at least 0");
    }
    if (group < 1 || outputs() % group != 0) {
      throw InvalidInput("group is " + std::to_string(group) + ", must divide the " + std::to_string(outputs()) +
                         " output channels of " + name + " " + to_string(weight));
    }
  }

  kernels::SynapseShape synapses() const {
    kernels::SynapseShape shape{};
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
      if (in < 1 || padded < reach) {
        throw InvalidInput("spikes " + to_string(spikes) + " are smaller than the kernel of weight " + to_string(weight));
      }
      axes.push_back({in, (padded - reach) / strides[axis] + 1, kernel(axis), strides[axis], pads[axis],
                      dilations[axis]});
    }
    return axes;
  }
};

// What the kernels read of the packed weights of a layer: gather one tile after the other, scatter all of them.
inline PathsWeights weights_of(const kernels::SpikingLayer& layer) {
  const int width = layer.tiles()[0].width;
  PathWeights gather{width, layer.synapses()[0].weight_bytes(), 0}, scatter{};
  for (const kernels::Synapses& part : layer.synapses()) {
    const kernels::SynapseShape& shape = part.shape();
    if (shape.depthwise()) continue;
    gather.working_set += shape.line_taps * static_cast<std::int64_t>(part.tap_bytes(width));
    if (!part.can_scatter()) continue;
    scatter.width = width;
    scatter.bytes = part.weight_bytes();
    scatter.working_set += shape.inputs * shape.line_taps * static_cast<std::int64_t>(part.channel_bytes(width));
  }
  if (gather.working_set == 0) gather = {};  // one weight for each neuron: no rows are added
  PathsWeights weights{};
  weights[static_cast<std::size_t>(Path::gather)] = gather;
  weights[static_cast<std::size_t>(Path::scatter)] = scatter;
  return weights;
}

inline std::unique_ptr<NodeStatistics> layer_statistics(
    const ort::NodeInfo& node, const kernels::SpikingLayer& layer) {
  return std::make_unique<NodeStatistics>(node.node_name(), weights_of(layer));
}

// The threads of the session that a kernel belongs to; found out when it runs for the first time.
class SessionThreads {
 public:
  int count(const ort::Context& context) const {
    constexpr int most = 64;
    int known = count_.load(std::memory_order_relaxed);
    if (known == 0) {
      known = context.count_threads(most);
      count_.store(known, std::memory_order_relaxed);
    }
    return known;
  }

 private:
  mutable std::atomic<int> count_{0};
};

// Fills the rest of `call` from the inputs v, threshold and count, which follow each other from `first`, and runs it.
inline void compute_layer(
    ort::Context& context, const kernels::SpikingLayer& layer, const SessionThreads& threads,
    NodeStatistics& statistics, kernels::LayerCall& call, std::size_t first, const Shape& neurons) {
  const auto v = context.input<std::int32_t>(first);
  const auto threshold = context.input<std::int32_t>(first + 1);
  call.steps = read_count(context, first + 2);
  if (v.shape != neurons) {
    throw InvalidInput("v has shape " + to_string(v.shape) + ", must be " + to_string(neurons));
  }
  require_threshold_shape(threshold.shape, v.shape);
  call.v = v.data;
  call.threshold = threshold.data;
  call.threshold_per_channel = !threshold.shape.empty();
  call.fired = context.output<std::uint64_t>(0, v.shape);
  call.v_out = context.output<std::int32_t>(1, v.shape);
  call.images = v.shape[0];
  if (v.size() == 0) return;
  call.threads = threads.count(context);

  const BlockTimer timer;
  std::atomic<std::int64_t> spikes{0};
  constexpr double nanoseconds_per_image = 10'000;
  context.parallel_for(call.images, nanoseconds_per_image, [&](std::int64_t image) {
    spikes.fetch_add(layer.count_spikes(call, image), std::memory_order_relaxed);
  });
  const kernels::LayerPlan plan = layer.plan(call, spikes.load());
  context.parallel_for(
      static_cast<std::int64_t>(plan.tasks.size()), plan.nanoseconds_per_task,
      [&](std::int64_t task) { layer.run(call, plan, plan.tasks[static_cast<std::size_t>(task)]); });
  if (!timer.running()) return;
  statistics.add({static_cast<Path>(plan.kernel), call.images, call.steps, spikes.load()}, timer.elapsed());
}

}  // namespace snnc::ops
