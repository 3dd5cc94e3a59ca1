// A layer given to the kernels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../../runtime/native/kernels/layers/layer_kernels.hpp"
#include "layers_random.hpp"

namespace snnc::tests {

using kernels::LayerCall;
using kernels::LayerPlan;
using kernels::SpikingLayer;

// A run of the images from `first` on.
struct Run {
  std::int64_t first;
  Result result;
  LayerCall call{};
  LayerPlan plan{};

  Run(const Layer& layer, const SpikingLayer& native, std::int64_t first, bool in_place)
      : first(first), result((layer.images - first) * layer.image_neurons(), layer.planes()) {
    const std::int64_t skipped = first * layer.image_neurons();
    if (in_place) std::copy(layer.v.begin() + skipped, layer.v.end(), result.v_out.begin());
    call.images = layer.images - first;
    call.steps = layer.steps;
    call.threads = 3;  // so that the plan has several tasks
    for (const Part& part : layer.parts) {
      call.inputs.push_back({part.words.data() + first * part.image_words(), part.copies, Geometry(part.axes)});
    }
    call.v = in_place ? result.v_out.data() : layer.v.data() + skipped;
    call.threshold = layer.threshold.data();
    call.threshold_per_channel = layer.per_channel;
    call.v_out = result.v_out.data();
    call.fired = result.fired.data();
    if (has_counts(layer.neurons.dynamics)) {
      if (in_place) std::copy(layer.counts.begin() + skipped, layer.counts.end(), result.counts_out.begin());
      call.counts = in_place ? result.counts_out.data() : layer.counts.data() + skipped;
      call.counts_out = result.counts_out.data();
    }
    std::int64_t spikes = 0;
    for (std::int64_t image = 0; image < call.images; ++image) spikes += native.count_spikes(call, image);
    plan = native.plan(call, spikes);
  }
  Run(const Run&) = delete;
};

// Other tasks than those of the plan: cut anywhere, in any order.
inline void cut_differently(Run& run, const SpikingLayer& native, Random& random) {
  const std::int64_t units = run.call.images * run.call.geometry().lines_out;
  const auto tiles = static_cast<std::int64_t>(native.tiles().size());
  const auto cuts = [&](std::int64_t size, int most) {
    std::vector<std::int64_t> places{0, size};
    for (int i = 0; i < most; ++i) places.push_back(below(random, size + 1));
    std::sort(places.begin(), places.end());
    return places;
  };
  const std::vector<std::int64_t> lines = cuts(units, 4), columns = cuts(tiles, 2);
  run.plan.tasks.clear();
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    for (std::size_t j = 0; j + 1 < columns.size(); ++j) {
      if (lines[i] == lines[i + 1] || columns[j] == columns[j + 1]) continue;
      run.plan.tasks.push_back({lines[i], lines[i + 1], static_cast<std::size_t>(columns[j]),
                                static_cast<std::size_t>(columns[j + 1])});
    }
  }
  std::shuffle(run.plan.tasks.begin(), run.plan.tasks.end(), random);
}

}  // namespace snnc::tests
