#pragma once

#include "../kernels/unpack.hpp"
#include "common.hpp"

namespace snnc::ops {

// (spikes: uint64 [N, ...], count: int64 []) -> float32 [count * N, ...]
struct SpikeUnpack {
  static constexpr const char* name = "SpikeUnpack";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::float32};

  explicit SpikeUnpack(const ort::NodeInfo&) {}

  static void infer_shapes(ort::ShapeContext&) {}  // count is known at run time only

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    const int count = read_count(context, 1);
    require_batch_axis(spikes.shape, "spikes");

    auto* out = context.output<float>(0, time_major(spikes.shape, count));
    const std::int64_t words = spikes.size();
    constexpr double nanoseconds_per_step = 0.2 * kernels::unpack_tile;
    context.parallel_for(
        tiles_of(words, kernels::unpack_tile), count * nanoseconds_per_step,
        [&](std::int64_t tile) { kernels::unpack_tile_of(spikes.data, words, count, out, tile); });
  }
};

}  // namespace snnc::ops
