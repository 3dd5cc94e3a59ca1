#include "spiking_layer.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace snnc::kernels {

namespace {

// Scatter keeps all output channels of a band in one tile.
constexpr std::int64_t most_scatter_outputs = 64;
// Weights that stay in a core's second-level cache.
constexpr std::int64_t cached_weights = 3 << 19;

// The kernel that the environment asks for (in tests), where it is possible.
bool forced(LayerKernel& kernel) {
  static const char* const name = std::getenv("SNNC_KERNEL");
  if (name == nullptr) return false;
  kernel = std::strcmp(name, "scatter") == 0 ? LayerKernel::scatter : LayerKernel::gather;
  return std::strcmp(name, "scatter") == 0 || std::strcmp(name, "gather") == 0;
}

// Rough costs in nanoseconds, on AVX-512; only their ratios matter, and only for the choice of kernel and tasks.
struct Cost {
  double gather, scatter;
};

Cost estimate(const SpikingLayer& layer, const LayerCall& call, double events_per_image) {
  const Geometry& geometry = call.geometry();
  const SynapseShape& shape = layer.synapses()[0].shape();
  const double vectors = static_cast<double>(layer.outputs() + 15) / 16;
  const double pixel_steps = static_cast<double>(geometry.plane_out()) * call.steps;
  const double taps = static_cast<double>(shape.line_taps * shape.column_taps);
  const double density_of_outputs = static_cast<double>(geometry.plane_out()) / static_cast<double>(geometry.plane_in());
  const double additions = events_per_image * taps * density_of_outputs / static_cast<double>(shape.groups);
  const double words = static_cast<double>(geometry.plane_in()) * call.steps *
                       static_cast<double>(call.inputs[0].copies * ((shape.inputs + 63) / 64));
  Cost cost;
  cost.gather = pixel_steps * static_cast<double>(layer.tiles().size()) * 9 + additions * (vectors * 0.25 + 0.15) +
                words * static_cast<double>(shape.line_taps) * 2;
  cost.scatter = events_per_image * 3 + additions * (vectors * 0.4 + 0.1) + pixel_steps * (0.8 + vectors * 0.6) + words;
  return cost;
}

}  // namespace

SpikingLayer::SpikingLayer(const std::vector<Part>& parts, const float* bias, bool soft_reset)
    : outputs_(parts[0].shape.outputs), soft_reset_(soft_reset), has_bias_(bias != nullptr) {
  std::vector<SynapseShape> shapes;
  int bytes = 2;
  bool scatter = outputs_ <= most_scatter_outputs;
  bool weighted = false;
  for (const Part& part : parts) {
    shapes.push_back(part.shape);
    bytes = std::max(bytes, bytes_for(part.weights, part.shape));
    if (part.shape.depthwise()) continue;
    weighted = true;
    scatter = scatter && part.shape.groups == 1 && part.shape.column_dilation == 1;
  }
  tiles_ = make_tiles(outputs_, shapes);
  for (const Part& part : parts) {
    synapses_.emplace_back(part.weights, part.shape, tiles_, bytes, scatter && weighted);
  }
  bias_.assign(static_cast<std::size_t>(outputs_) + 63, 0);
  for (std::int64_t i = 0; bias != nullptr && i < outputs_; ++i) {
    bias_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(bias[i]);
  }
}

bool SpikingLayer::can_scatter() const {
  return std::any_of(synapses_.begin(), synapses_.end(), [](const Synapses& part) { return part.can_scatter(); });
}

void SpikingLayer::tile_threshold(const LayerCall& call, const Tile& tile, std::int32_t* threshold) const {
  for (int i = 0; i < tile.width; ++i) {
    const bool exists = i < tile.channels;
    threshold[i] = exists ? call.threshold[call.threshold_per_channel ? tile.first + i : 0]
                          : std::numeric_limits<std::int32_t>::max();
  }
}

std::int64_t SpikingLayer::count_spikes(const LayerCall& call, std::int64_t image) const {
  const LayerInput& input = call.inputs[0];
  const std::int64_t size = input.copies * synapses_[0].shape().inputs * input.geometry.plane_in();
  return vector_kernels().count_spikes(input.words + image * size, size);
}

// How many parts the output lines of all images and the tiles are cut into. Images first: their tasks share nothing. Then
// bands of lines, which read some input lines twice. Tiles last: their tasks list the same events; but where the weights
// do not stay in a thread's cache, it is cheaper to list events twice than to fetch weights twice.
std::pair<std::int64_t, std::int64_t> SpikingLayer::split(
    std::int64_t units, LayerKernel kernel, std::int64_t images) const {
  constexpr std::int64_t most_tasks = 16, tasks_of_few_images = 8, least_lines = 2, images_per_fetch = 4;
  const SynapseShape& shape = synapses_[0].shape();
  const std::int64_t weight_bytes =
      outputs_ * shape.group_inputs() * shape.line_taps * shape.column_taps * synapses_[0].weight_bytes();
  const auto tiles = static_cast<std::int64_t>(tiles_.size());
  if (weight_bytes > cached_weights) {
    const std::int64_t parts = std::clamp<std::int64_t>(images / images_per_fetch, 1, most_tasks);
    return {parts, kernel == LayerKernel::gather ? std::min(tiles, std::max<std::int64_t>(4 / parts, 1)) : 1};
  }
  if (images >= tasks_of_few_images) return {std::min(images, most_tasks), 1};
  if (units >= 2 * least_lines) return {std::min(units / least_lines, tasks_of_few_images), 1};
  return {units, kernel == LayerKernel::gather ? std::min(tiles, tasks_of_few_images / units) : 1};
}

LayerPlan SpikingLayer::plan(const LayerCall& call, std::int64_t input_spikes) const {
  const std::int64_t lines_out = call.geometry().lines_out;
  const std::int64_t units = call.images * lines_out;
  const Cost cost = estimate(*this, call, static_cast<double>(input_spikes) / static_cast<double>(call.images));
  LayerPlan plan{};
  if (!forced(plan.kernel)) plan.kernel = cost.scatter < cost.gather ? LayerKernel::scatter : LayerKernel::gather;
  if (!can_scatter()) plan.kernel = LayerKernel::gather;

  const auto [unit_parts, tile_parts] = split(units, plan.kernel, call.images);
  for (std::int64_t part = 0; part < unit_parts; ++part) {
    for (std::int64_t tile = 0; tile < tile_parts; ++tile) {
      const auto tiles = static_cast<std::int64_t>(tiles_.size());
      plan.tasks.push_back({units * part / unit_parts, units * (part + 1) / unit_parts,
                            static_cast<std::size_t>(tiles * tile / tile_parts),
                            static_cast<std::size_t>(tiles * (tile + 1) / tile_parts)});
    }
  }
  const double all = static_cast<double>(call.images) *
                     (plan.kernel == LayerKernel::scatter ? cost.scatter : cost.gather);
  plan.nanoseconds_per_task = all / static_cast<double>(plan.tasks.size());
  return plan;
}

void SpikingLayer::run(const LayerCall& call, const LayerPlan& plan, const LayerTask& task) const {
  if (plan.kernel == LayerKernel::scatter) {
    run_scatter(*this, call, task);
  } else {
    run_gather(*this, call, task);
  }
}

}  // namespace snnc::kernels
