#include "spiking_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace snnc::kernels {

namespace {

// Scatter keeps all output channels of a band in one tile.
constexpr std::int64_t most_scatter_outputs = 64;
// Weights that stay in a core's second-level cache.
constexpr std::int64_t cached_weights = 3 << 19;

// More input channels than a first layer has are better served by their events.
constexpr std::int64_t most_table_inputs = 8;

constexpr struct {
  const char* name;
  LayerKernel kernel;
} kernel_names[] = {
    {"gather", LayerKernel::gather}, {"scatter", LayerKernel::scatter}, {"table", LayerKernel::table}};

const LayerKernel* read_forced_kernel() {
  const char* const wanted = std::getenv("SNNC_KERNEL");
  if (wanted == nullptr || *wanted == 0) return nullptr;
  for (const auto& known : kernel_names) {
    if (std::strcmp(wanted, known.name) == 0) return &known.kernel;
  }
  std::fprintf(stderr, "snnc operator library: SNNC_KERNEL=%s is unknown and ignored\n", wanted);
  return nullptr;
}

// The kernel that the environment asks for (in tests); null if it asks for none.
const LayerKernel* forced_kernel() {
  static const LayerKernel* const kernel = read_forced_kernel();
  return kernel;
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
    if (part.shape.depthwise()) continue;
    weighted = true;
    bytes = std::max(bytes, bytes_for(part.weights, part.shape));
    scatter = scatter && part.shape.groups == 1 && part.shape.column_dilation == 1;
  }
  tiles_ = make_tiles(outputs_, shapes);
  for (const Part& part : parts) {
    synapses_.emplace_back(part.weights, part.shape, tiles_, bytes, scatter && weighted);
  }
  const bool one_weighted = !parts[0].shape.depthwise() && (parts.size() == 1 || parts[1].shape.depthwise());
  if (one_weighted && parts[0].shape.inputs <= most_table_inputs && Tables::fit(parts[0].shape, tiles_)) {
    tables_ = Tables(parts[0].weights, parts[0].shape, tiles_);
  }
  bias_.assign(static_cast<std::size_t>(outputs_) + 63, 0);
  for (std::int64_t i = 0; bias != nullptr && i < outputs_; ++i) {
    bias_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(bias[i]);
  }
}

bool SpikingLayer::possible(LayerKernel kernel, const LayerCall& call) const {
  if (kernel == LayerKernel::gather) return gather_fits(*this, call);
  if (kernel == LayerKernel::table) {
    // Strings reach from the first field to the last: fields far outside the line would make them long.
    const Axis& axis = call.geometry().column_axis;
    const bool near = axis.pad < axis.kernel && (axis.out - 1) * axis.stride - axis.pad < axis.in + axis.kernel;
    return tables_.exist() && call.inputs[0].copies == 1 && near;
  }
  const auto packed = [](const Synapses& part) { return part.can_scatter(); };
  return std::any_of(synapses_.begin(), synapses_.end(), packed) && scatter_fits(*this, call);
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

// How many parts the output lines of all images and the tiles are cut into: a few per thread. Images first: their tasks
// share nothing. Then bands of lines, which read some input lines twice. Tiles last: their tasks list the same events;
// but where weights do not stay in a thread's cache, it is cheaper to list events twice than to fetch weights twice.
std::pair<std::int64_t, std::int64_t> SpikingLayer::split(const LayerCall& call, LayerKernel kernel) const {
  if (call.threads <= 1) return {1, 1};
  constexpr std::int64_t least_lines = 2, images_per_fetch = 4;
  const std::int64_t units = call.images * call.geometry().lines_out, wanted = 4 * call.threads;
  const SynapseShape& shape = synapses_[0].shape();
  const std::int64_t weight_bytes =
      outputs_ * shape.group_inputs() * shape.line_taps * shape.column_taps * synapses_[0].weight_bytes();
  const auto tiles = static_cast<std::int64_t>(kernel == LayerKernel::scatter ? 1 : tiles_.size());
  if (weight_bytes > cached_weights) {
    const std::int64_t parts = std::clamp<std::int64_t>(call.images / images_per_fetch, 1, wanted);
    return {parts, std::min(tiles, std::max<std::int64_t>(2 * call.threads / parts, 1))};
  }
  if (call.images >= 2 * call.threads) return {std::min(call.images, 2 * wanted), 1};
  if (units >= 2 * least_lines) return {std::min(units / least_lines, wanted), 1};
  return {units, std::min(tiles, wanted / units)};
}

// Rough costs of an image in nanoseconds, fitted to an AVX-512 machine; only their ratios matter, and only for the
// choice of kernel and the size of tasks. `rows`: how many times an event reaches a pixel.
double SpikingLayer::cost(LayerKernel kernel, const LayerCall& call, double input_spikes) const {
  const Geometry& geometry = call.geometry();
  const SynapseShape& shape = synapses_[0].shape();
  const double tiles = static_cast<double>(tiles_.size());
  const double vectors = static_cast<double>((outputs_ + 15) / 16);
  const double pixel_steps = static_cast<double>(geometry.plane_out()) * call.steps;
  const double shrinkage = static_cast<double>(geometry.plane_out()) / static_cast<double>(geometry.plane_in());
  const double rows = input_spikes * static_cast<double>(shape.line_taps * shape.column_taps) * shrinkage;
  const double lines_reached = static_cast<double>(shape.line_taps) * static_cast<double>(geometry.lines_out) /
                               static_cast<double>(geometry.lines_in);
  const double runs = input_spikes * lines_reached * static_cast<double>(shape.taps_of_phase());
  switch (kernel) {
    case LayerKernel::gather: {
      const double words = static_cast<double>(call.inputs[0].copies * ((shape.inputs + word_steps - 1) / word_steps));
      const double listing = 1.8 * static_cast<double>(shape.line_taps) * words;
      return pixel_steps * (tiles * 11 + listing) + rows * (0.85 * tiles + 0.05 * vectors);
    }
    case LayerKernel::scatter:
      // Runs have the same length at the borders, where not all of it reaches a neuron.
      return pixel_steps * (3.7 * vectors - 1.3) + runs * (0.1 + 0.68 * vectors);
    default: {
      const double lookups = static_cast<double>(shape.line_taps * tables_.sets());
      return pixel_steps * (tiles * 3 + lookups * (0.6 * tiles + 0.4 * vectors));
    }
  }
}

LayerPlan SpikingLayer::plan(const LayerCall& call, std::int64_t input_spikes) const {
  const double spikes_per_image = static_cast<double>(input_spikes) / static_cast<double>(call.images);
  LayerPlan plan{};
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [name, kernel] : kernel_names) {
    if (!possible(kernel, call)) continue;
    const bool forced = forced_kernel() != nullptr && kernel == *forced_kernel();
    const double time = forced ? 0 : cost(kernel, call, spikes_per_image);
    if (time >= least) continue;
    plan.kernel = kernel;
    least = time;
  }
  if (std::isinf(least)) throw std::length_error("the layer is too large: offsets of its weights have 32 bits");
  const std::int64_t units = call.images * call.geometry().lines_out;
  const auto [unit_parts, tile_parts] = split(call, plan.kernel);
  for (std::int64_t part = 0; part < unit_parts; ++part) {
    for (std::int64_t tile = 0; tile < tile_parts; ++tile) {
      const auto tiles = static_cast<std::int64_t>(tiles_.size());
      plan.tasks.push_back({units * part / unit_parts, units * (part + 1) / unit_parts,
                            static_cast<std::size_t>(tiles * tile / tile_parts),
                            static_cast<std::size_t>(tiles * (tile + 1) / tile_parts)});
    }
  }
  const double nanoseconds = cost(plan.kernel, call, spikes_per_image) * static_cast<double>(call.images);
  plan.nanoseconds_per_task = nanoseconds / static_cast<double>(plan.tasks.size());
  return plan;
}

void SpikingLayer::run(const LayerCall& call, const LayerPlan& plan, const LayerTask& task) const {
  switch (plan.kernel) {
    case LayerKernel::gather: return run_gather(*this, call, task);
    case LayerKernel::scatter: return run_scatter(*this, call, task);
    case LayerKernel::table: return run_table(*this, call, task);
  }
}

}  // namespace snnc::kernels
