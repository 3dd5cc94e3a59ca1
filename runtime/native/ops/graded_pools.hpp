// Pools of graded networks: GradedSumPool, GradedMaxPool; and what their events cost: GradedTotals. See docs/ops.md.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "../kernels/graded/pools.hpp"
#include "../kernels/graded/totals.hpp"
#include "common.hpp"
#include "spike_counts.hpp"

namespace snnc::ops {

// The windows of a pool of changes.
class GradedWindows {
 public:
  GradedWindows(const ort::NodeInfo& node, bool dilated)
      : kernel_(node.get_ints("kernel_shape")), strides_(node.get_ints("strides")), pads_(node.get_ints("pads")),
        dilations_(dilated ? node.get_ints("dilations") : Shape(kernel_.size(), 1)) {
    const auto fits = [](const Shape& values, std::size_t size, std::int64_t least) {
      return values.size() == size && std::all_of(values.begin(), values.end(), [least](std::int64_t value) {
               return value >= least && value <= std::numeric_limits<std::int32_t>::max();
             });
    };
    const std::size_t rank = kernel_.size();
    if (rank < 1 || rank > 3 || !fits(kernel_, rank, 1) || !fits(strides_, rank, 1) || !fits(dilations_, rank, 1) ||
        !fits(pads_, 2 * rank, 0)) {
      throw InvalidInput("kernel_shape " + to_string(kernel_) + ", strides " + to_string(strides_) + ", dilations " +
                         to_string(dilations_) + " and pads " + to_string(pads_) + " are no windows over 1 to 3 axes");
    }
  }

  // The pool of a plane of `changes`, `[N, C, x...]`; throws where no window fits.
  kernels::PoolOfPlane of(const Shape& changes) const {
    if (changes.size() != kernel_.size() + 2) {
      throw InvalidInput("changes has shape " + to_string(changes) + ", must be [N, C, x...] with " +
                         std::to_string(kernel_.size()) + " spatial axes for kernel_shape " + to_string(kernel_));
    }
    std::vector<kernels::PoolAxis> axes;
    for (std::size_t i = 0; i < kernel_.size(); ++i) {
      const std::int64_t padded = changes[i + 2] + pads_[i] + pads_[i + kernel_.size()];
      const std::int64_t rest = padded - (kernel_[i] - 1) * dilations_[i] - 1;
      if (rest < 0) {
        throw InvalidInput("changes has shape " + to_string(changes) + ", too small for kernel_shape " +
                           to_string(kernel_));
      }
      axes.emplace_back(changes[i + 2], rest / strides_[i] + 1, kernel_[i], strides_[i], dilations_[i], pads_[i]);
    }
    return kernels::PoolOfPlane(axes);
  }

  static Shape pooled(const Shape& changes, const kernels::PoolOfPlane& pool) {
    Shape shape{changes[0], changes[1]};
    for (std::size_t i = 5 - changes.size(); i < 3; ++i) shape.push_back(pool.axes[i].outputs());
    return shape;
  }

 private:
  Shape kernel_, strides_, pads_, dilations_;
};

// (changes: int32 [N, C, x...]) -> int32 [N, C, y...]
struct GradedSumPool {
  static constexpr const char* name = "GradedSumPool";
  static constexpr int version = 2;
  static constexpr ElementType inputs[] = {ElementType::int32};
  static constexpr ElementType outputs[] = {ElementType::int32};

  explicit GradedSumPool(const ort::NodeInfo& node) : windows(node, false) {}

  static void infer_shapes(ort::ShapeContext&) {}

  void compute(ort::Context& context) const {
    const auto changes = context.input<std::int32_t>(0);
    const kernels::PoolOfPlane pool = windows.of(changes.shape);
    auto* sums = context.output<std::int32_t>(0, GradedWindows::pooled(changes.shape, pool));
    const std::int64_t size = pool.size(), outputs = pool.outputs();
    constexpr std::int64_t elements_of_task = 1 << 16;
    const std::int64_t planes = changes.shape[0] * changes.shape[1];
    const std::int64_t at_once = std::max<std::int64_t>(1, elements_of_task / std::max<std::int64_t>(size, 1));
    context.parallel_for(tiles_of(planes, at_once), 0.3 * static_cast<double>(at_once * size), [&](std::int64_t task) {
      const std::int64_t first = task * at_once, count = std::min(at_once, planes - first);
      kernels::sum_changes(pool, changes.data + first * size, count, sums + first * outputs);
    });
  }

  GradedWindows windows;
};

// (changes, counts: int32 [N, C, x...]) -> (fired: int32 [N, C, y...], counts_out: int32 [N, C, x...])
struct GradedMaxPool {
  static constexpr const char* name = "GradedMaxPool";
  static constexpr int version = 2;
  static constexpr ElementType inputs[] = {ElementType::int32, ElementType::int32};
  static constexpr ElementType outputs[] = {ElementType::int32, ElementType::int32};

  explicit GradedMaxPool(const ort::NodeInfo& node) : windows(node, true) {}

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_like(1, ElementType::int32, 1); }

  void compute(ort::Context& context) const {
    const auto changes = context.input<std::int32_t>(0);
    const auto counts = context.input<std::int32_t>(1);
    require_same_shape(counts.shape, "counts", changes.shape, "changes");
    const kernels::PoolOfPlane pool = windows.of(changes.shape);
    require_elements(pool, changes.shape);
    auto* fired = context.output<std::int32_t>(0, GradedWindows::pooled(changes.shape, pool));
    auto* after = context.output<std::int32_t>(1, counts.shape);
    if (after != counts.data && counts.size() > 0) {
      std::memcpy(after, counts.data, static_cast<std::size_t>(counts.size()) * sizeof *after);
    }
    const std::int64_t size = pool.size(), outputs = pool.outputs();
    context.parallel_for(changes.shape[0] * changes.shape[1], static_cast<double>(size), [&](std::int64_t plane) {
      kernels::largest_changes(pool, changes.data + plane * size, after + plane * size, fired + plane * outputs);
    });
  }

  // Every window needs an element: nothing has no largest count.
  static void require_elements(const kernels::PoolOfPlane& pool, const Shape& changes) {
    for (const kernels::PoolAxis& axis : pool.axes) {
      for (const kernels::PoolWindow& window : axis.windows) {
        if (window.elements > 0) continue;
        throw InvalidInput("a window of the pool lies outside of changes " + to_string(changes));
      }
    }
  }

  GradedWindows windows;
};

// (changes: int32 [N, ...], fanout: int64 [...]) -> (events, operations: int64 [N])
struct GradedTotals {
  static constexpr const char* name = "GradedTotals";
  static constexpr int version = 2;
  static constexpr ElementType inputs[] = {ElementType::int32, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::int64, ElementType::int64};

  explicit GradedTotals(const ort::NodeInfo&) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::int64, 0, 1);
    shapes.output_like(1, ElementType::int64, 0, 1);
  }

  void compute(ort::Context& context) const {
    const auto changes = context.input<std::int32_t>(0);
    const auto fanout = context.input<std::int64_t>(1);
    require_batch_axis(changes.shape, "changes");
    require_fanout_shape(fanout.shape, changes.shape, "changes");
    const std::int64_t samples = changes.shape[0];
    auto* events = context.output<std::int64_t>(0, {samples});
    auto* operations = context.output<std::int64_t>(1, {samples});
    if (samples == 0) return;
    const std::int64_t elements = changes.size() / samples;
    context.parallel_for(samples, 0.2 * static_cast<double>(elements), [&](std::int64_t sample) {
      const auto sums = kernels::change_totals(changes.data + sample * elements, elements, fanout.data, fanout.size());
      events[sample] = sums.events;
      operations[sample] = sums.operations;
    });
  }
};

}  // namespace snnc::ops
