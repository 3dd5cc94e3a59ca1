// Which kernel computes a block of a layer, and in which tasks.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "layer_kernels.hpp"

namespace snnc::kernels {

namespace {

constexpr std::size_t none = layer_kernels.size();
// Weights that stay in a core's second-level cache.
constexpr std::int64_t cached_weights = 3 << 19;

std::size_t read_forced_kernel() {
  const char* const wanted = std::getenv("SNNC_KERNEL");
  if (wanted == nullptr || *wanted == 0) return none;
  for (std::size_t kernel = 0; kernel < layer_kernels.size(); ++kernel) {
    if (std::strcmp(wanted, layer_kernels[kernel].name) == 0) return kernel;
  }
  std::fprintf(stderr, "snnc operator library: SNNC_KERNEL=%s is unknown and ignored\n", wanted);
  return none;
}

// The kernel that the environment asks for (in tests), or `none`.
std::size_t forced_kernel() {
  static const std::size_t kernel = read_forced_kernel();
  return kernel;
}

std::size_t choose_kernel(const SpikingLayer& layer, const LayerCall& call, double spikes_per_image) {
  std::size_t chosen = none;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t kernel = 0; kernel < layer_kernels.size(); ++kernel) {
    if (!layer_kernels[kernel].fits(layer, call)) continue;
    if (kernel == forced_kernel()) return kernel;
    const double time = layer_kernels[kernel].cost(layer, call, spikes_per_image);
    if (time >= least) continue;
    chosen = kernel;
    least = time;
  }
  if (chosen == none) throw std::length_error("the layer is too large: offsets of its weights have 32 bits");
  return chosen;
}

// Into how many parts the output lines of all images and the tiles are cut.
struct Cuts {
  std::int64_t units, tiles;
};

// A few tasks per thread. Images first: their tasks share nothing. Then bands of lines, which read some input lines
// twice. Tiles last: their tasks list the same events; but where weights do not stay in a thread's cache, it is cheaper
// to list events twice than to fetch weights twice.
Cuts cut(const SpikingLayer& layer, const LayerCall& call) {
  if (call.threads <= 1) return {1, 1};
  constexpr std::int64_t least_lines = 2, images_per_fetch = 4;
  const std::int64_t units = call.images * call.geometry().lines_out, wanted = 4 * call.threads;
  const SynapseShape& shape = layer.synapses()[0].shape();
  const std::int64_t weight_bytes = layer.outputs() * shape.group_channels() * shape.line_taps * shape.column_taps *
                                    layer.synapses()[0].weight_bytes();
  const auto tiles = static_cast<std::int64_t>(layer.tiles().size());
  if (weight_bytes > cached_weights) {
    const std::int64_t parts = std::clamp<std::int64_t>(call.images / images_per_fetch, 1, wanted);
    return {parts, std::min(tiles, std::max<std::int64_t>(2 * call.threads / parts, 1))};
  }
  if (call.images >= 2 * call.threads) return {std::min(call.images, 2 * wanted), 1};
  if (units >= 2 * least_lines) return {std::min(units / least_lines, wanted), 1};
  return {units, std::min(tiles, wanted / units)};
}

}  // namespace

LayerPlan SpikingLayer::plan(const LayerCall& call, std::int64_t input_spikes) const {
  const double spikes_per_image = static_cast<double>(input_spikes) / static_cast<double>(call.images);
  LayerPlan plan{};
  plan.kernel = choose_kernel(*this, call, spikes_per_image);
  const std::int64_t units = call.images * call.geometry().lines_out;
  const auto tiles = static_cast<std::int64_t>(tiles_.size());
  const Cuts cuts = cut(*this, call);
  for (std::int64_t part = 0; part < cuts.units; ++part) {
    for (std::int64_t tile = 0; tile < cuts.tiles; ++tile) {
      plan.tasks.push_back({units * part / cuts.units, units * (part + 1) / cuts.units,
                            static_cast<std::size_t>(tiles * tile / cuts.tiles),
                            static_cast<std::size_t>(tiles * (tile + 1) / cuts.tiles)});
    }
  }
  const double image = layer_kernels[plan.kernel].cost(*this, call, spikes_per_image);
  plan.nanoseconds_per_task = image * static_cast<double>(call.images) / static_cast<double>(plan.tasks.size());
  return plan;
}

}  // namespace snnc::kernels
