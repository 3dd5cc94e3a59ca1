// What SpikingConv, SpikingConvAdd and SpikingGemm share: from checked tensors to a block of a layer.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
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

  void check(const char* name, const char* group_name) const {
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
    const auto most = [](const std::vector<std::int64_t>& values) {
      return *std::max_element(values.begin(), values.end());
    };
    constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();  // products then fit into 64 bits
    if (most(strides) > limit || most(dilations) > limit || most(pads) > limit || most(weight) > limit) {
      throw InvalidInput("strides, dilations, pads and the kernel must be below 2^31");
    }
    if (group < 1 || outputs() % group != 0) {
      throw InvalidInput(std::string(group_name) + " is " + std::to_string(group) + ", must divide the " + std::to_string(outputs()) +
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
      if (in < 1 || in > std::numeric_limits<std::int32_t>::max() || padded < reach) {
        throw InvalidInput("spikes " + to_string(spikes) + " do not fit the kernel of weight " + to_string(weight));
      }
      axes.push_back({in, (padded - reach) / strides[axis] + 1, kernel(axis), strides[axis], pads[axis],
                      dilations[axis]});
    }
    return axes;
  }
};

// What the kernels read of the packed weights of a layer: gather one tile after the other, scatter all of them.
// A kernel of a layer is a path of the statistics under the same number.
static_assert(static_cast<int>(Path::gather) == static_cast<int>(kernels::LayerKernel::gather));
static_assert(static_cast<int>(Path::scatter) == static_cast<int>(kernels::LayerKernel::scatter));
static_assert(static_cast<int>(Path::table) == static_cast<int>(kernels::LayerKernel::table));

inline RowsByPath weights_of(const kernels::SpikingLayer& layer) {
  const int width = layer.tiles()[0].width;
  PathRows gather{width, layer.synapses()[0].weight_bytes(), 0}, scatter{};
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
  RowsByPath weights{};
  weights[static_cast<std::size_t>(Path::gather)] = gather;
  weights[static_cast<std::size_t>(Path::scatter)] = scatter;
  return weights;
}

inline std::unique_ptr<NodeStatistics> layer_statistics(
    const ort::NodeInfo& node, const kernels::SpikingLayer& layer) {
  return std::make_unique<NodeStatistics>(node.node_name(), weights_of(layer));
}

// How many threads work for a layer's session. onnxruntime does not tell a kernel, so those that take part are counted.
// The first blocks are cut as for several threads, later ones for as many as have been seen, now and then for several.
class SessionThreads {
 public:
  // Threads to cut the next block for.
  int expected() const {
    constexpr std::uint32_t first_blocks = 4, tried_again = 64;
    constexpr int guess = 4;
    const std::uint32_t block = blocks_.fetch_add(1, std::memory_order_relaxed);
    const int seen = most_seen_.load(std::memory_order_relaxed);
    return block < first_blocks || block % tried_again == 0 ? std::max(seen, guess) : seen;
  }

  // Who took part in a block: the threads that called `present` for its tasks.
  class Roll {
   public:
    explicit Roll(std::size_t tasks) : threads_(tasks) {}
    void present(std::size_t task) {
      static thread_local const char here = 0;
      threads_[task] = &here;
    }
    int count() {
      std::sort(threads_.begin(), threads_.end());
      return static_cast<int>(std::unique(threads_.begin(), threads_.end()) - threads_.begin());
    }

   private:
    std::vector<const char*> threads_;
  };

  void learn(Roll& roll) const {
    const int count = roll.count();
    int seen = most_seen_.load(std::memory_order_relaxed);
    while (count > seen && !most_seen_.compare_exchange_weak(seen, count, std::memory_order_relaxed)) {
    }
  }

 private:
  mutable std::atomic<std::uint32_t> blocks_{0};
  mutable std::atomic<int> most_seen_{1};
};

// Throws unless v, the input `first`, has the shape [N, M, y...] of the neurons.
inline void require_neurons(const ort::Context& context, std::size_t first, const Shape& neurons) {
  const Shape v = context.input<std::int32_t>(first).shape;
  if (v != neurons) throw InvalidInput("v has shape " + to_string(v) + ", must be " + to_string(neurons));
}

// Fills the rest of `call` from the inputs v (checked), threshold and count, which follow each other from `first`.
inline void complete_call(ort::Context& context, kernels::LayerCall& call, std::size_t first) {
  const auto v = context.input<std::int32_t>(first);
  const auto threshold = context.input<std::int32_t>(first + 1);
  require_threshold_shape(threshold.shape, v.shape);
  call.steps = read_count(context, first + 2);
  call.images = v.shape[0];
  call.v = v.data;
  call.threshold = threshold.data;
  call.threshold_per_channel = !threshold.shape.empty();
  call.fired = context.output<std::uint64_t>(0, v.shape);
  call.v_out = context.output<std::int32_t>(1, v.shape);
}

inline void run_layer(
    ort::Context& context, const kernels::SpikingLayer& layer, const SessionThreads& threads,
    NodeStatistics& statistics, kernels::LayerCall& call) {
  if (call.images == 0) return;
  const BlockTimer timer;
  call.threads = threads.expected();
  std::atomic<std::int64_t> spikes{0};
  constexpr double nanoseconds_per_image = 10'000;
  context.parallel_for(call.images, nanoseconds_per_image, [&](std::int64_t image) {
    spikes.fetch_add(layer.count_spikes(call, image), std::memory_order_relaxed);
  });
  const kernels::LayerPlan plan = layer.plan(call, spikes.load());
  SessionThreads::Roll roll(plan.tasks.size());
  context.parallel_for(
      static_cast<std::int64_t>(plan.tasks.size()), plan.nanoseconds_per_task, [&](std::int64_t task) {
        const auto index = static_cast<std::size_t>(task);
        roll.present(index);
        layer.run(call, plan, plan.tasks[index]);
      });
  threads.learn(roll);
  if (timer.running()) {
    statistics.add({static_cast<Path>(plan.kernel), call.images, call.steps, spikes.load()}, timer.elapsed());
  }
}

}  // namespace snnc::ops
