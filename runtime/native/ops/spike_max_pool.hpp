#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "../kernels/max_pool.hpp"
#include "common.hpp"

namespace snnc::ops {

// (spikes: uint64 [N, (1 + signed) * C, x...], counts: int32 [N, C, x...], count: int64 [])
//     -> (fired: uint64 [N, (1 + signed) * C, y...], counts_out: int32 [N, C, x...])
struct SpikeMaxPool {
  static constexpr const char* name = "SpikeMaxPool";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64, ElementType::int32, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::int32};

  explicit SpikeMaxPool(const ort::NodeInfo& node)
      : kernel_(node.get_ints("kernel_shape")),
        strides_(node.get_ints("strides")),
        pads_(node.get_ints("pads")),
        dilations_(node.get_ints("dilations")),
        is_signed_(read_signed(node)) {
    if (kernel_.empty() || kernel_.size() > 3) {
      throw InvalidInput("attribute kernel_shape is " + to_string(kernel_) + ", must have 1 to 3 spatial axes");
    }
    require_attribute("kernel_shape", kernel_, kernel_.size(), 1);
    require_attribute("strides", strides_, kernel_.size(), 1);
    require_attribute("dilations", dilations_, kernel_.size(), 1);
    require_attribute("pads", pads_, 2 * kernel_.size(), 0);
    for (std::size_t i = 0; i < pads_.size(); ++i) {
      const std::int64_t reach = (kernel_[i % kernel_.size()] - 1) * dilations_[i % kernel_.size()] + 1;
      if (pads_[i] >= reach) {
        throw InvalidInput("attribute pads is " + to_string(pads_) + ", must be below the reach of the window, " +
                           std::to_string(reach) + " on axis " + std::to_string(i % kernel_.size()));
      }
    }
  }

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_like(1, ElementType::int32, 1); }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    const auto counts = context.input<std::int32_t>(1);
    const int count = read_count(context, 2);
    require_shapes(spikes.shape, counts.shape);
    const std::vector<kernels::PoolAxis> axes = axes_of(counts.shape);
    Shape fired_shape(spikes.shape.begin(), spikes.shape.begin() + 2);
    for (const kernels::PoolAxis& axis : axes) fired_shape.push_back(axis.outputs());

    auto* fired = context.output<std::uint64_t>(0, fired_shape);
    auto* counts_out = context.output<std::int32_t>(1, counts.shape);
    const std::int64_t channels = counts.shape[1], planes = counts.shape[0] * channels;
    if (planes == 0) return;
    const std::int64_t size = counts.size() / planes, outputs = ort::size_of(fired_shape) / (planes * sides());
    const std::uint64_t steps = count == max_block_steps ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const double nanoseconds = 4.0 * static_cast<double>(size * sides());
    context.parallel_for(planes, nanoseconds, [&](std::int64_t plane) {
      const std::int64_t joined_plane = plane / channels * channels * sides() + plane % channels;
      kernels::PoolPlane of{};
      of.plus = spikes.data + joined_plane * size;
      of.fired_plus = fired + joined_plane * outputs;
      if (is_signed_) {
        of.minus = of.plus + channels * size;
        of.fired_minus = of.fired_plus + channels * outputs;
      }
      of.counts = counts.data + plane * size;
      of.counts_out = counts_out + plane * size;
      of.steps = steps;
      kernels::max_pool_plane(of, axes);
    });
  }

 private:
  std::int64_t sides() const { return is_signed_ ? 2 : 1; }

  static bool read_signed(const ort::NodeInfo& node) {
    const std::int64_t value = node.get_int("signed");
    if (value != 0 && value != 1) {
      throw InvalidInput("attribute signed is " + std::to_string(value) + ", must be 0 or 1");
    }
    return value == 1;
  }

  static void require_attribute(const char* name, const Shape& values, std::size_t size, std::int64_t least) {
    const bool fits = values.size() == size &&
                      std::all_of(values.begin(), values.end(), [&](std::int64_t value) {
                        return value >= least && value <= std::numeric_limits<std::int32_t>::max();
                      });
    if (!fits) {
      throw InvalidInput(std::string("attribute ") + name + " is " + to_string(values) + ", must be " +
                         std::to_string(size) + " integers of at least " + std::to_string(least));
    }
  }

  void require_shapes(const Shape& spikes, const Shape& counts) const {
    if (counts.size() != kernel_.size() + 2) {
      throw InvalidInput("counts has shape " + to_string(counts) + ", must be [N, C, x...] with " +
                         std::to_string(kernel_.size()) + " spatial axes for kernel_shape " + to_string(kernel_));
    }
    const Shape wanted = is_signed_ ? joined(counts) : counts;
    if (spikes != wanted) {
      throw InvalidInput("spikes has shape " + to_string(spikes) + ", must be " + to_string(wanted) + " for counts " +
                         to_string(counts) + (is_signed_ ? " and signed spikes" : ""));
    }
  }

  // The windows of a plane; throws if there are none, or if one lies outside of the plane.
  std::vector<kernels::PoolAxis> axes_of(const Shape& counts) const {
    std::vector<kernels::PoolAxis> axes;
    for (std::size_t i = 0; i < kernel_.size(); ++i) {
      const std::int64_t size = counts[i + 2];
      const std::int64_t padded = size + pads_[i] + pads_[i + kernel_.size()];
      const std::int64_t rest = padded - (kernel_[i] - 1) * dilations_[i] - 1;
      if (rest < 0) {
        throw InvalidInput("counts has shape " + to_string(counts) + ", too small for kernel_shape " +
                           to_string(kernel_) + " with dilations " + to_string(dilations_) + " and pads " +
                           to_string(pads_));
      }
      axes.emplace_back(size, rest / strides_[i] + 1, kernel_[i], strides_[i], dilations_[i], pads_[i]);
      require_elements(axes.back(), i, counts);
    }
    return axes;
  }

  void require_elements(const kernels::PoolAxis& axis, std::size_t index, const Shape& counts) const {
    for (std::int64_t at = 0; at < axis.outputs(); ++at) {
      if (axis.windows[static_cast<std::size_t>(at)].elements > 0) continue;
      throw InvalidInput("window " + std::to_string(at) + " on axis " + std::to_string(index) +
                         " has no element of counts " + to_string(counts) + " inside: pads " + to_string(pads_));
    }
  }

  std::vector<std::int64_t> kernel_, strides_, pads_, dilations_;
  bool is_signed_;
};

}  // namespace snnc::ops
