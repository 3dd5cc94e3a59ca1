#pragma once

#include <string>
#include <vector>

#include "../kernels/product.hpp"
#include "common.hpp"

namespace snnc::ops {

// (first: uint64 [N, (1 + first_signed) * C, x...], second: uint64 [N, (1 + second_signed) * D, y...],
//  first_counts: int32 [N, C, x...], second_counts: int32 [N, D, y...], count: int64 [])
//     -> (current: float32 [count * N, E, z...], first_counts_out, second_counts_out: int32, shapes of the counts)
// Sizes of both factors are equal or 1, and those of the product are the other's.
struct SpikeProduct {
  static constexpr const char* name = "SpikeProduct";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {
      ElementType::uint64, ElementType::uint64, ElementType::int32, ElementType::int32, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::float32, ElementType::int32, ElementType::int32};

  explicit SpikeProduct(const ort::NodeInfo& node)
      : first_signed_(read_sign(node, "first_signed")), second_signed_(read_sign(node, "second_signed")) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(1, ElementType::int32, 2);
    shapes.output_like(2, ElementType::int32, 3);
  }

  void compute(ort::Context& context) const {
    const int count = read_count(context, 4);
    const Factor first = read_factor(context, 0, "first", first_signed_);
    const Factor second = read_factor(context, 1, "second", second_signed_);
    const Shape product = product_of(first.shape, second.shape);
    auto* current = context.output<float>(0, time_major(product, count));
    write_counts(context, first, count, context.output<std::int32_t>(1, first.shape));
    write_counts(context, second, count, context.output<std::int32_t>(2, second.shape));
    const std::int64_t channels = product[1], planes = product[0] * channels, all = ort::size_of(product);
    if (all == 0 || count == 0) return;
    const std::int64_t size = all / planes;
    const std::vector<std::int64_t> first_places = places(first.shape, product);
    const std::vector<std::int64_t> second_places = places(second.shape, product);
    const double nanoseconds = static_cast<double>(size) * (4.0 + 0.2 * count);
    context.parallel_for(planes, nanoseconds, [&](std::int64_t plane) {
      const std::int64_t sample = plane / channels, channel = plane % channels;
      kernels::product_plane({first.plane(sample, channel), second.plane(sample, channel), first_places, second_places,
                              current + plane * size, all, count});
    });
  }

 private:
  // The spikes and counts of one input.
  struct Factor {
    Shape shape;  // of the counts
    const std::uint64_t* words;
    const std::int32_t* counts;
    bool is_signed;
    std::int64_t size;  // of a channel

    kernels::FactorPlane plane(std::int64_t sample, std::int64_t channel) const {
      const std::int64_t channels = shape[1], own = channels == 1 ? 0 : channel;
      const std::uint64_t* plus = words + (sample * channels * (is_signed ? 2 : 1) + own) * size;
      return {plus, is_signed ? plus + channels * size : nullptr, counts + (sample * channels + own) * size};
    }
  };

  static bool read_sign(const ort::NodeInfo& node, const char* attribute) {
    const std::int64_t value = node.get_int(attribute);
    if (value != 0 && value != 1) {
      throw InvalidInput(std::string("attribute ") + attribute + " is " + std::to_string(value) + ", must be 0 or 1");
    }
    return value == 1;
  }

  static Factor read_factor(const ort::Context& context, std::size_t index, const std::string& which, bool is_signed) {
    const auto words = context.input<std::uint64_t>(index);
    const auto counts = context.input<std::int32_t>(index + 2);
    require_channel_axis(counts.shape, (which + "_counts").c_str());
    const Shape wanted = is_signed ? joined(counts.shape) : counts.shape;
    if (words.shape != wanted) {
      throw InvalidInput(which + " has shape " + to_string(words.shape) + ", must be " + to_string(wanted) + " for " +
                         which + "_counts " + to_string(counts.shape) + (is_signed ? " and signed spikes" : ""));
    }
    std::int64_t size = 1;
    for (std::size_t axis = 2; axis < counts.shape.size(); ++axis) size *= counts.shape[axis];
    return {counts.shape, words.data, counts.data, is_signed, size};
  }

  static Shape product_of(const Shape& first, const Shape& second) {
    bool fits = first.size() == second.size() && first[0] == second[0];
    Shape product = first;
    for (std::size_t axis = 1; fits && axis < first.size(); ++axis) {
      fits = first[axis] == second[axis] || first[axis] == 1 || second[axis] == 1;
      if (first[axis] == 1) product[axis] = second[axis];
    }
    if (!fits) {
      throw InvalidInput("second_counts has shape " + to_string(second) + ", must have the axes of first_counts " +
                         to_string(first) + ": the same batch, and sizes that are equal or 1");
    }
    return product;
  }

  // Where each element of a channel of the product finds its factor in a channel of `shape`.
  static std::vector<std::int64_t> places(const Shape& shape, const Shape& product) {
    std::vector<std::int64_t> found = {0};
    std::int64_t stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 2;) {
      std::vector<std::int64_t> next;
      next.reserve(found.size() * static_cast<std::size_t>(product[axis]));
      for (std::int64_t at = 0; at < product[axis]; ++at) {
        const std::int64_t offset = shape[axis] == 1 ? 0 : at * stride;
        for (const std::int64_t place : found) next.push_back(offset + place);
      }
      found.swap(next);
      stride *= shape[axis];
    }
    return found;
  }

  static void write_counts(ort::Context& context, const Factor& factor, int count, std::int32_t* counts_out) {
    const std::int64_t channels = factor.shape[1];
    context.parallel_for(
        factor.shape[0] * channels, static_cast<double>(factor.size), [&](std::int64_t plane) {
          const kernels::FactorPlane of = factor.plane(plane / channels, plane % channels);
          kernels::counts_behind(of, factor.size, count, counts_out + plane * factor.size);
        });
  }

  bool first_signed_, second_signed_;
};

}  // namespace snnc::ops
