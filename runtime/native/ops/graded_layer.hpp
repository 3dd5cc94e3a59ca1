// Layers of graded networks: GradedConv, GradedConvAdd, GradedGemm. See docs/ops.md.
#pragma once

#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../kernels/graded/graded_layer.hpp"
#include "conv_attributes.hpp"
#include "layer_common.hpp"
#include "session_threads.hpp"
#include "spike_counts.hpp"
#include "weights.hpp"

namespace snnc::ops {

// v, counts: int32 [N, y..., M], threshold: int32 [] or [M, 1, ...], begun: int32 [N], fanout: int64 [M, y...] or with
// leading axes of 1 -> fired: int32 [N, M, y...], v_out, counts_out, events and operations: int64 [N]
struct GradedNeurons {
  static constexpr std::array inputs{
      ElementType::int32, ElementType::int32, ElementType::int32, ElementType::int32, ElementType::int64};
  static constexpr std::array outputs{
      ElementType::int32, ElementType::int32, ElementType::int32, ElementType::int64, ElementType::int64};

  std::int32_t low, high;

  explicit GradedNeurons(const ort::NodeInfo& node) {
    const kernels::NeuronModel model = StaircaseNeurons::read(node);
    low = model.low;
    high = model.high;
    if (low > 0 || high < 1) {
      throw InvalidInput("attributes low and high are " + std::to_string(low) + " and " + std::to_string(high) +
                         ", must be on both sides of 0 and 1");
    }
    constexpr std::int64_t most_levels = 65536;  // the kernel divides in float32
    if (std::int64_t{high} - low > most_levels) {
      throw InvalidInput("attributes low and high are " + std::to_string(low) + " and " + std::to_string(high) +
                         ", more than " + std::to_string(most_levels) + " apart");
    }
  }

  static void infer_shapes(ort::ShapeContext& shapes, std::size_t first) {
    shapes.output_like(1, ElementType::int32, first);
    shapes.output_like(2, ElementType::int32, first + 1);
    shapes.output_like(3, ElementType::int64, first, 1);
    shapes.output_like(4, ElementType::int64, first, 1);
  }

  // Fills a run from the inputs behind `first`, for neurons `[N, M, y...]`. States that are given in other memory than
  // they are wanted in are copied, and updated there.
  void complete(ort::Context& context, kernels::GradedRun& run, std::size_t first, const Shape& neurons,
                std::vector<std::int32_t>& threshold) const {
    Shape states{neurons[0]};
    states.insert(states.end(), neurons.begin() + 2, neurons.end());
    states.push_back(neurons[1]);
    run.images = neurons[0];
    run.low = low;
    run.high = high;
    run.fired = context.output<std::int32_t>(0, neurons);
    run.v = updated(context, first, "v", states, 1);
    run.counts = updated(context, first + 1, "counts", states, 2);
    threshold = read_threshold(context, first + 2, neurons);
    run.threshold = threshold.data();
    const auto begun = context.input<std::int32_t>(first + 3);
    if (begun.shape != Shape{neurons[0]}) {
      throw InvalidInput("begun has shape " + to_string(begun.shape) + ", must be " + to_string({neurons[0]}));
    }
    run.begun = begun.data;
    const auto fanout = context.input<std::int64_t>(first + 4);
    require_fanout_shape(fanout.shape, neurons, "neurons");
    run.fanout = fanout.data;
    run.fanout_period = fanout.size();
  }

 private:
  static std::int32_t* updated(
      ort::Context& context, std::size_t input, const char* name, const Shape& shape, std::size_t output) {
    const std::int32_t* before = read_state(context, input, name, shape);
    std::int32_t* after = context.output<std::int32_t>(output, shape);
    if (after != before && ort::size_of(shape) > 0) {
      std::memcpy(after, before, static_cast<std::size_t>(ort::size_of(shape)) * sizeof *after);
    }
    return after;
  }

  static std::vector<std::int32_t> read_threshold(
      const ort::Context& context, std::size_t index, const Shape& neurons) {
    const auto threshold = context.input<std::int32_t>(index);
    require_threshold_shape(threshold.shape, neurons);
    std::vector<std::int32_t> by_channel(static_cast<std::size_t>(neurons[1]));
    for (std::size_t i = 0; i < by_channel.size(); ++i) {
      by_channel[i] = threshold.data[threshold.shape.empty() ? 0 : i];
      if (by_channel[i] < 1) {
        throw InvalidInput("threshold has the value " + std::to_string(by_channel[i]) + ", must be positive");
      }
    }
    return by_channel;
  }
};

inline void run_graded(
    ort::Context& context, const kernels::GradedLayer& layer, const SessionThreads& threads,
    const kernels::GradedRun& run) {
  auto* const events = context.output<std::int64_t>(3, {run.images});
  auto* const operations = context.output<std::int64_t>(4, {run.images});
  if (run.images == 0) return;
  // Each thread that calls keeps its lists; others only read them.
  static thread_local std::vector<std::vector<kernels::ChangeLists>> kept;
  std::vector<std::vector<kernels::ChangeLists>>& lists = kept;
  if (lists.size() < static_cast<std::size_t>(run.images)) lists.resize(static_cast<std::size_t>(run.images));
  std::atomic<bool> fits{true};
  constexpr double listing = 20'000;
  context.parallel_for(run.images, listing, [&](std::int64_t image) {
    if (!layer.begin(run, image, lists[static_cast<std::size_t>(image)])) fits = false;
  });
  if (!fits) throw InvalidInput("a change does not fit into 16 bits");
  double nanoseconds = 0;
  for (std::int64_t image = 0; image < run.images; ++image) {
    nanoseconds += layer.nanoseconds(lists[static_cast<std::size_t>(image)]);
  }
  const std::int64_t lines = run.inputs[0].geometry->lines_out, whole = run.images * layer.tiles();
  const int expected = threads.expected();
  constexpr std::int64_t tasks_per_thread = 4;
  const std::int64_t wanted = expected > 1 ? tasks_per_thread * expected : 1;
  const std::int64_t bands = std::clamp<std::int64_t>((wanted + whole - 1) / whole, 1, lines);
  const std::int64_t tasks = whole * bands;
  std::vector<kernels::ChangeTotals> totals(static_cast<std::size_t>(tasks));
  SessionThreads::Roll roll(static_cast<std::size_t>(tasks));
  context.parallel_for(tasks, nanoseconds / static_cast<double>(tasks) + 1000, [&](std::int64_t task) {
    roll.present(static_cast<std::size_t>(task));
    const std::int64_t band = task % bands, tile = task / bands % layer.tiles(), image = task / bands / layer.tiles();
    totals[static_cast<std::size_t>(task)] = layer.compute(run, image, lists[static_cast<std::size_t>(image)], tile,
                                                           band * lines / bands, (band + 1) * lines / bands);
  });
  threads.learn(roll);
  for (std::int64_t image = 0; image < run.images; ++image) {
    kernels::ChangeTotals sum{};
    for (std::int64_t task = image * layer.tiles() * bands; task < (image + 1) * layer.tiles() * bands; ++task) {
      sum.events += totals[static_cast<std::size_t>(task)].events;
      sum.operations += totals[static_cast<std::size_t>(task)].operations;
    }
    events[image] = sum.events;
    operations[image] = sum.operations;
  }
}

// (changes: int32 [N, C, x...], weight: float32 [M, C, k...],
//  [residual: int32 [N, R, y...], residual_weight: float32 [M, R/residual_group, 1...],] inputs of GradedNeurons)
// -> outputs of GradedNeurons
template <bool add>
class GradedConvolution {
 public:
  static constexpr const char* name = add ? "GradedConvAdd" : "GradedConv";
  static constexpr int version = 2;
  static constexpr std::size_t first_state = add ? 4 : 2;
  static constexpr std::array synapses{ElementType::int32, ElementType::float32};
  static constexpr auto inputs = [] {
    if constexpr (add) return join(synapses, synapses, GradedNeurons::inputs);
    else return join(synapses, GradedNeurons::inputs);
  }();
  static constexpr auto outputs = GradedNeurons::outputs;

  explicit GradedConvolution(const ort::NodeInfo& node)
      : convs_(read_convs(node)), neurons_(node), layer_(make_layer(node)) {}

  static void infer_shapes(ort::ShapeContext& shapes) { GradedNeurons::infer_shapes(shapes, first_state); }

  void compute(ort::Context& context) const {
    const auto changes = context.input<std::int32_t>(0);
    require_channels(changes.shape, "changes", 0);
    const std::vector<kernels::Axis> axes = convs_[0].axes(changes.shape);
    Shape neurons{changes.shape[0], convs_[0].outputs()};
    for (const kernels::Axis& axis : axes) neurons.push_back(axis.out);
    const kernels::Geometry geometry(axes);
    kernels::GradedRun run{};
    run.inputs.push_back({changes.data, &geometry});
    std::unique_ptr<kernels::Geometry> aligned;
    if constexpr (add) {
      const auto residual = context.input<std::int32_t>(2);
      require_channels(residual.shape, "residual", 1);
      Shape wanted = neurons;
      wanted[1] = residual.shape[1];
      require_same_shape(residual.shape, "residual", wanted, "the plane of the neurons");
      aligned = std::make_unique<kernels::Geometry>(convs_[1].axes(residual.shape));
      run.inputs.push_back({residual.data, aligned.get()});
    }
    std::vector<std::int32_t> threshold;
    neurons_.complete(context, run, first_state, neurons, threshold);
    run_graded(context, layer_, threads_, run);
  }

 private:
  static std::vector<ConvAttributes> read_convs(const ort::NodeInfo& node) {
    std::vector<ConvAttributes> convs{conv_attributes(node, constant_weight(node, 1, "weight").shape)};
    require_groups(convs[0], "group");
    if constexpr (add) {
      const Shape weight = node.constant_input<float>(3, "residual_weight").shape;
      convs.push_back(residual_attributes(node, weight, convs[0]));
      require_groups(convs[1], "residual_group");
    }
    return convs;
  }

  static void require_groups(const ConvAttributes& conv, const char* attribute) {
    if (conv.group == 1 || of_own_channel(conv)) return;
    throw InvalidInput(std::string(attribute) + " is " + std::to_string(conv.group) + ", must be 1 or " +
                       std::to_string(conv.outputs()) + ", each channel by itself");
  }

  static bool of_own_channel(const ConvAttributes& conv) {
    return conv.group > 1 && conv.group == conv.outputs() && conv.weight[1] == 1;
  }

  kernels::GradedLayer make_layer(const ort::NodeInfo& node) const {
    std::vector<kernels::GradedWeights> parts;
    for (std::size_t i = 0; i < convs_.size(); ++i) {
      const bool own = of_own_channel(convs_[i]);
      const char* const label = i == 0 ? "weight" : "residual_weight";
      const auto weight = constant_weight(node, 2 * i + 1, label);
      std::int64_t taps = 1;
      for (std::size_t axis = 0; axis < convs_[i].rank(); ++axis) taps *= convs_[i].kernel(axis);
      const std::int64_t inputs = convs_[i].inputs(), outputs = convs_[i].outputs();
      parts.push_back({weight.data, inputs, outputs, taps, taps, taps * convs_[i].weight[1], own});
    }
    return kernels::GradedLayer(parts);
  }

  void require_channels(const Shape& shape, const char* input, std::size_t part) const {
    const ConvAttributes& conv = convs_[part];
    if (shape.size() == conv.weight.size() && shape[1] == conv.inputs()) return;
    throw InvalidInput(std::string(input) + " has shape " + to_string(shape) + ", must be [N, " +
                       std::to_string(conv.inputs()) + ", ...] of the rank of its weight " + to_string(conv.weight));
  }

  std::vector<ConvAttributes> convs_;
  GradedNeurons neurons_;
  kernels::GradedLayer layer_;
  SessionThreads threads_;
};

using GradedConv = GradedConvolution<false>;
using GradedConvAdd = GradedConvolution<true>;

// (changes: int32 [N, K], weight: float32 [K, M], inputs of GradedNeurons) -> outputs of GradedNeurons, of [N, M]
class GradedGemm {
 public:
  static constexpr const char* name = "GradedGemm";
  static constexpr int version = 2;
  static constexpr std::array synapses{ElementType::int32, ElementType::float32};
  static constexpr std::size_t first_state = 2;
  static constexpr auto inputs = join(synapses, GradedNeurons::inputs);
  static constexpr auto outputs = GradedNeurons::outputs;

  explicit GradedGemm(const ort::NodeInfo& node) : neurons_(node), layer_(make_layer(node)) {}

  static void infer_shapes(ort::ShapeContext& shapes) { GradedNeurons::infer_shapes(shapes, first_state); }

  void compute(ort::Context& context) const {
    const auto changes = context.input<std::int32_t>(0);
    if (changes.shape.size() != 2 || changes.shape[1] != layer_.inputs(0)) {
      throw InvalidInput("changes has shape " + to_string(changes.shape) + ", must be [N, " +
                         std::to_string(layer_.inputs(0)) + "]");
    }
    const kernels::Geometry one_pixel({kernels::Axis{1, 1, 1, 1, 0, 1}});
    kernels::GradedRun run{};
    run.inputs.push_back({changes.data, &one_pixel});
    std::vector<std::int32_t> threshold;
    neurons_.complete(context, run, first_state, {changes.shape[0], layer_.channels()}, threshold);
    run_graded(context, layer_, threads_, run);
  }

 private:
  static kernels::GradedLayer make_layer(const ort::NodeInfo& node) {
    const auto weight = constant_weight(node, 1, "weight");
    if (weight.shape.size() != 2) {
      throw InvalidInput("weight has shape " + to_string(weight.shape) + ", must have rank 2");
    }
    const std::int64_t inputs = weight.shape[0], outputs = weight.shape[1];
    return kernels::GradedLayer({{weight.data, inputs, outputs, 1, outputs, 1, false}});
  }

  GradedNeurons neurons_;
  kernels::GradedLayer layer_;
  SessionThreads threads_;
};

}  // namespace snnc::ops
