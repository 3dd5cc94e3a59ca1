#pragma once

#include <algorithm>

#include "../kernels/count.hpp"
#include "../kernels/totals.hpp"
#include "common.hpp"

namespace snnc::ops {

// (spikes: uint64 [N, ...]) -> int32 [N, ...]
struct SpikeCount {
  static constexpr const char* name = "SpikeCount";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64};
  static constexpr ElementType outputs[] = {ElementType::int32};

  explicit SpikeCount(const ort::NodeInfo&) {}

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_like(0, ElementType::int32, 0); }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    require_batch_axis(spikes.shape, "spikes");

    auto* counts = context.output<std::int32_t>(0, spikes.shape);
    const std::int64_t words = spikes.size();
    constexpr double nanoseconds_per_tile = 0.5 * kernels::count_tile;
    context.parallel_for(tiles_of(words, kernels::count_tile), nanoseconds_per_tile, [&](std::int64_t tile) {
      kernels::count_tile_of(spikes.data, words, counts, tile);
    });
  }
};

// A sample's shape with any number of leading axes replaced by 1, so that fan-outs repeat with a fixed period.
inline void require_fanout_shape(const Shape& fanout, const Shape& counted, const char* name) {
  const Shape sample(counted.begin() + 1, counted.end());
  const auto first_kept = std::find_if(fanout.begin(), fanout.end(), [](std::int64_t dim) { return dim != 1; });
  const auto kept = fanout.end() - first_kept;
  const bool fits = fanout.size() == sample.size() && std::equal(first_kept, fanout.end(), sample.end() - kept);
  if (!fits) {
    throw InvalidInput("fanout has shape " + to_string(fanout) + ", must be " + to_string(sample) +
                       " or that with leading axes of 1, for " + name + " " + to_string(counted));
  }
}

// (spikes: uint64 [N, ...], fanout: int64 [...]) -> (total, operations: int64 [N])
struct SpikeTotals {
  static constexpr const char* name = "SpikeTotals";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64, ElementType::int64};
  static constexpr ElementType outputs[] = {ElementType::int64, ElementType::int64};

  explicit SpikeTotals(const ort::NodeInfo&) {}

  static void infer_shapes(ort::ShapeContext& shapes) {
    shapes.output_like(0, ElementType::int64, 0, 1);
    shapes.output_like(1, ElementType::int64, 0, 1);
  }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    const auto fanout = context.input<std::int64_t>(1);
    require_batch_axis(spikes.shape, "spikes");
    require_fanout_shape(fanout.shape, spikes.shape, "spikes");

    const std::int64_t samples = spikes.shape[0];
    auto* total = context.output<std::int64_t>(0, {samples});
    auto* operations = context.output<std::int64_t>(1, {samples});
    if (samples == 0) return;
    const std::int64_t elements = spikes.size() / samples;
    const double nanoseconds_per_sample = 0.3 * static_cast<double>(elements);
    context.parallel_for(samples, nanoseconds_per_sample, [&](std::int64_t sample) {
      const auto sums =
          kernels::sample_totals(spikes.data + sample * elements, elements, fanout.data, fanout.size());
      total[sample] = sums.spikes;
      operations[sample] = sums.operations;
    });
  }
};

// (spikes: uint64 [N, ...]) -> int64 [N]
struct LastSpike {
  static constexpr const char* name = "LastSpike";
  static constexpr int version = 1;
  static constexpr ElementType inputs[] = {ElementType::uint64};
  static constexpr ElementType outputs[] = {ElementType::int64};

  explicit LastSpike(const ort::NodeInfo&) {}

  static void infer_shapes(ort::ShapeContext& shapes) { shapes.output_like(0, ElementType::int64, 0, 1); }

  void compute(ort::Context& context) const {
    const auto spikes = context.input<std::uint64_t>(0);
    require_batch_axis(spikes.shape, "spikes");

    const std::int64_t samples = spikes.shape[0];
    auto* last = context.output<std::int64_t>(0, {samples});
    if (samples == 0) return;
    const std::int64_t elements = spikes.size() / samples;
    const double nanoseconds_per_sample = 0.2 * static_cast<double>(elements);
    context.parallel_for(samples, nanoseconds_per_sample, [&](std::int64_t sample) {
      last[sample] = kernels::last_spike(spikes.data + sample * elements, elements);
    });
  }
};

}  // namespace snnc::ops
