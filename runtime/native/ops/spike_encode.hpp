#pragma once

#include "../kernels/layers/vector_kernels.hpp"
#include "common.hpp"

namespace snnc::ops {

// Poisson rate coding of (x: float32 [N, ...], seed, first_sample, first_step, count: int64 []). Attribute: scale.
class PoissonCoding {
 public:
  explicit PoissonCoding(const ort::NodeInfo& node) : scale_(node.get_float("scale")) {
    if (!(scale_ > 0)) throw InvalidInput("attribute scale is " + std::to_string(scale_) + ", must be greater than 0");
  }

  // The words of sample n begin at plus + n * distance, and at minus + n * distance.
  void encode(
      const ort::Context& context, const ort::Input<float>& x, int count, std::uint64_t* plus, std::uint64_t* minus,
      std::int64_t distance) const {
    const auto seed = static_cast<std::uint64_t>(context.scalar(1, "seed"));
    const auto first_sample = static_cast<std::uint64_t>(context.scalar(2, "first_sample"));
    const auto first_step = static_cast<std::uint32_t>(context.scalar(3, "first_step"));
    if (x.size() == 0) return;
    const std::int64_t elements = x.size() / x.shape[0];
    const std::int64_t tiles = tiles_of(elements, kernels::encode_tile);
    constexpr double nanoseconds_per_step = 0.4 * kernels::encode_tile;
    const kernels::VectorKernels& vector = kernels::vector_kernels();
    context.parallel_for(x.shape[0] * tiles, count * nanoseconds_per_step, [&](std::int64_t item) {
      const std::int64_t sample = item / tiles;
      kernels::EncodeSample in{};
      in.x = x.data + sample * elements;
      in.elements = elements;
      in.scale = scale_;
      in.seed = seed;
      in.sample = first_sample + static_cast<std::uint64_t>(sample);
      in.first_step = first_step;
      in.count = count;
      in.plus = plus + sample * distance;
      in.minus = minus + sample * distance;
      vector.encode(in, item % tiles);
    });
  }

 private:
  float scale_;
};

// -> spikes: uint64 [N, 2 * C, ...] for x [N, C, ...]
struct PoissonEncode {
  static constexpr const char* name = "PoissonEncode";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {
      ElementType::float32, ElementType::int64, ElementType::int64, ElementType::int64, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64};

  PoissonCoding coding;

  explicit PoissonEncode(const ort::NodeInfo& node) : coding(node) {}

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_joined(0, 0); }

  void compute(ort::Context& context) const {
    const auto x = context.input<float>(0);
    const int count = read_count(context, 4);
    require_channel_axis(x.shape, "x");
    auto* spikes = context.output<std::uint64_t>(0, joined(x.shape));
    const std::int64_t elements = x.size() == 0 ? 0 : x.size() / x.shape[0];
    coding.encode(context, x, count, spikes, spikes + elements, 2 * elements);
  }
};

// -> (plus, minus: uint64 [N, ...]). In files of format 1.
struct SpikeEncode {
  static constexpr const char* name = "SpikeEncode";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {
      ElementType::float32, ElementType::int64, ElementType::int64, ElementType::int64, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::uint64, ElementType::uint64};

  PoissonCoding coding;

  explicit SpikeEncode(const ort::NodeInfo& node) : coding(node) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::uint64, 0);
    shapes.output_like(1, ElementType::uint64, 0);
  }

  void compute(ort::Context& context) const {
    const auto x = context.input<float>(0);
    const int count = read_count(context, 4);
    require_batch_axis(x.shape, "x");
    auto* plus = context.output<std::uint64_t>(0, x.shape);
    auto* minus = context.output<std::uint64_t>(1, x.shape);
    coding.encode(context, x, count, plus, minus, x.size() == 0 ? 0 : x.size() / x.shape[0]);
  }
};

}  // namespace snnc::ops
