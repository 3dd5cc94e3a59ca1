#pragma once

#include <limits>
#include <stdexcept>

#include "../kernels/staircase.hpp"
#include "common.hpp"
#include "neurons.hpp"

namespace snnc::ops {

// Reads v, counts (inputs 1 and 2) and makes room for fired, v_out, counts_out; `current` is the data of input 0.
inline kernels::StaircaseBlock staircase_block(ort::Context& context, const float* current, int count) {
  const auto v = context.input<std::int32_t>(1);
  const auto counts = context.input<std::int32_t>(2);
  require_same_shape(counts.shape, "counts", v.shape, "v");

  kernels::StaircaseBlock block{};
  block.fired = context.output<std::uint64_t>(0, joined(v.shape));
  block.v_out = context.output<std::int32_t>(1, v.shape);
  block.counts_out = context.output<std::int32_t>(2, v.shape);
  block.current = current;
  block.v = v.data;
  block.counts = counts.data;
  block.neurons = v.size();
  block.count = count;
  if (block.neurons == 0) return block;
  block.sample = block.neurons / v.shape[0];
  block.plane = block.sample / v.shape[1];
  return block;
}

// Input 0, the current of every step.
inline const float* read_currents(const ort::Context& context, const Shape& v, int count) {
  const auto current = context.input<float>(0);
  require_current_shape(current.shape, v, count);
  return current.data;
}

inline void infer_staircase_shapes(ort::ShapeContext& shapes) {
  shapes.output_joined(0, 1);
  shapes.output_like(1, ElementType::int32, 1);
  shapes.output_like(2, ElementType::int32, 1);
}

// (current: float32 [count * N, C, ...], or charge: float32 [N, C, ...] that comes before the first step,
//  v, counts: int32 [N, C, ...], threshold: int32 [] or [C, 1, ...], count: int64 [])
// -> (fired: uint64 [N, 2 * C, ...], v_out, counts_out: int32 [N, C, ...])
template <bool charge>
struct StaircaseNeuron {
  static constexpr const char* name = charge ? "StaircaseCharge" : "Staircase";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {
      ElementType::float32, ElementType::int32, ElementType::int32, ElementType::int32, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::int32, ElementType::int32};

  std::int32_t low, high;

  explicit StaircaseNeuron(const ort::NodeInfo& node) : low(read_limit(node, "low")), high(read_limit(node, "high")) {
    if (low > high) {
      throw InvalidInput("attribute low is " + std::to_string(low) + ", must not be above high, " +
                         std::to_string(high));
    }
  }

  static void infer_shapes(ort::ShapeContext& shapes) { infer_staircase_shapes(shapes); }

  void compute(ort::Context& context) const {
    const Shape shape = context.input<std::int32_t>(1).shape;
    const auto threshold = context.input<std::int32_t>(3);
    const int count = read_count(context, 4);
    require_channel_axis(shape, "v");
    require_threshold_shape(threshold.shape, shape);
    const kernels::StaircaseBlock block = staircase_block(context, read_current(context, shape, count), count);
    if (block.neurons == 0) return;
    const kernels::StaircaseLimits limits{threshold.data, threshold.size(), low, high};
    constexpr double nanoseconds_per_step = 0.4 * kernels::staircase_tile;
    context.parallel_for(
        tiles_of(block.neurons, kernels::staircase_tile), count * nanoseconds_per_step,
        [&](std::int64_t tile) { simulate(block, limits, tile); });
  }

 private:
  static constexpr auto simulate = charge ? kernels::simulate_staircase_charge : kernels::simulate_staircase;

  static const float* read_current(const ort::Context& context, const Shape& v, int count) {
    if constexpr (!charge) return read_currents(context, v, count);
    const auto all = context.input<float>(0);
    require_same_shape(all.shape, "charge", v, "v");
    return all.data;
  }

  static std::int32_t read_limit(const ort::NodeInfo& node, const char* attribute) {
    const std::int64_t limit = node.get_int(attribute);
    if (limit != static_cast<std::int32_t>(limit)) {
      throw InvalidInput(std::string("attribute ") + attribute + " is " + std::to_string(limit) +
                         ", must be an int32");
    }
    return static_cast<std::int32_t>(limit);
  }
};

using Staircase = StaircaseNeuron<false>;
using StaircaseCharge = StaircaseNeuron<true>;

// (current: float32 [count * N, C, ...], v, counts: int32 [N, C, ...], first: int32 [C'], breaks, rises: int32 [C', K],
//  count: int64 []) -> (fired: uint64 [N, 2 * C, ...], v_out, counts_out: int32 [N, C, ...])
struct StaircaseTable {
  static constexpr const char* name = "StaircaseTable";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {ElementType::float32, ElementType::int32, ElementType::int32,
                                           ElementType::int32,   ElementType::int32, ElementType::int32,
                                           ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::int32, ElementType::int32};

  explicit StaircaseTable(const ort::NodeInfo&) {}

  static void infer_shapes(ort::ShapeContext& shapes) { infer_staircase_shapes(shapes); }

  void compute(ort::Context& context) const {
    const Shape shape = context.input<std::int32_t>(1).shape;
    const int count = read_count(context, 6);
    require_channel_axis(shape, "v");
    const kernels::TargetTable table = read_table(context, shape);
    const kernels::StaircaseBlock block = staircase_block(context, read_currents(context, shape, count), count);
    if (block.neurons == 0) return;
    constexpr double nanoseconds_per_step = 2.0 * kernels::staircase_tile;
    context.parallel_for(
        tiles_of(block.neurons, kernels::staircase_tile), count * nanoseconds_per_step,
        [&](std::int64_t tile) { kernels::simulate_staircase_table(block, table, tile); });
  }

 private:
  static kernels::TargetTable read_table(const ort::Context& context, const Shape& v) {
    const auto first = context.input<std::int32_t>(3);
    const auto breaks = context.input<std::int32_t>(4);
    const auto rises = context.input<std::int32_t>(5);
    const bool channels_fit = first.shape.size() == 1 && (first.shape[0] == 1 || first.shape[0] == v[1]);
    if (!channels_fit) {
      throw InvalidInput("first has shape " + to_string(first.shape) + ", must be [1] or [" + std::to_string(v[1]) +
                         "] for v " + to_string(v));
    }
    if (breaks.shape.size() != 2 || breaks.shape[0] != first.shape[0] || breaks.shape[1] < 1) {
      throw InvalidInput("breaks has shape " + to_string(breaks.shape) + ", must be [" +
                         std::to_string(first.shape[0]) + ", K] with K at least 1, for first " +
                         to_string(first.shape));
    }
    require_same_shape(rises.shape, "rises", breaks.shape, "breaks");
    try {
      return kernels::TargetTable(first.data, breaks.data, rises.data, first.shape[0], breaks.shape[1]);
    } catch (const std::invalid_argument& error) {
      throw InvalidInput(error.what());
    }
  }
};

}  // namespace snnc::ops
