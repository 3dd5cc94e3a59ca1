#pragma once

#include "../kernels/layers/tasks.hpp"
#include "common.hpp"

namespace snnc::ops {

// (x: float32 [N, ...], seed, first_sample, first_step, count: int64 []) -> (plus, minus: uint64 [N, ...])
struct SpikeEncode {
  static constexpr const char* name = "SpikeEncode";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {
      ElementType::float32, ElementType::int64, ElementType::int64, ElementType::int64, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::uint64};

  float scale;

  explicit SpikeEncode(const ort::NodeInfo& node) : scale(node.get_float("scale")) {
    if (!(scale > 0)) throw InvalidInput("attribute scale is " + std::to_string(scale) + ", must be greater than 0");
  }

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::uint64, 0);
    shapes.output_like(1, ElementType::uint64, 0);
  }

  void compute(ort::Context& context) const {
    const auto x = context.input<float>(0);
    const auto seed = static_cast<std::uint64_t>(context.scalar(1, "seed"));
    const auto first_sample = static_cast<std::uint64_t>(context.scalar(2, "first_sample"));
    const auto first_step = static_cast<std::uint32_t>(context.scalar(3, "first_step"));
    const int count = read_count(context, 4);
    require_batch_axis(x.shape, "x");

    auto* plus = context.output<std::uint64_t>(0, x.shape);
    auto* minus = context.output<std::uint64_t>(1, x.shape);
    if (x.size() == 0) return;
    const std::int64_t elements = x.size() / x.shape[0];
    const std::int64_t tiles = tiles_of(elements, kernels::encode_tile);
    constexpr double nanoseconds_per_step = 0.4 * kernels::encode_tile;
    const kernels::VectorKernels& vector = kernels::vector_kernels();
    context.parallel_for(x.shape[0] * tiles, count * nanoseconds_per_step, [&](std::int64_t item) {
      const std::int64_t sample = item / tiles;
      const std::int64_t offset = sample * elements;
      const kernels::EncodeSample in{
          x.data + offset, elements, scale,         seed,          first_sample + static_cast<std::uint64_t>(sample),
          first_step,      count,    plus + offset, minus + offset};
      vector.encode(in, item % tiles);
    });
  }
};

}  // namespace snnc::ops
