#include "spiking_layer.hpp"

#include <algorithm>
#include <limits>

#include "layer_kernels.hpp"

namespace snnc::kernels {

namespace {

// Chunk keeps all output channels of a line in one tile.
constexpr std::int64_t most_run_outputs = 64;
// More input channels than a first layer has are better served by their events.
constexpr std::int64_t most_table_inputs = 8;

// Bytes of a weight of the lists, for all weighted parts.
int row_bytes(const std::vector<SpikingLayer::Part>& parts) {
  int bytes = 1;
  for (const auto& part : parts) {
    if (!part.shape.depthwise()) bytes = std::max(bytes, bytes_for(part.weights, part.shape));
  }
  return bytes;
}

// Whether rows are packed for the kernels that go from events to neurons.
bool wants_runs(const std::vector<SpikingLayer::Part>& parts) {
  const auto possible = [](const auto& part) {
    return (part.shape.depthwise() || part.shape.groups == 1) && part.shape.column_dilation == 1;
  };
  return parts[0].shape.outputs <= most_run_outputs && std::all_of(parts.begin(), parts.end(), possible);
}

bool wants_tables(const std::vector<SpikingLayer::Part>& parts, const std::vector<Tile>& tiles) {
  const SynapseShape& shape = parts[0].shape;
  const bool one_weighted = !shape.depthwise() && (parts.size() == 1 || parts[1].shape.depthwise());
  return one_weighted && shape.copy_channels() <= most_table_inputs && Tables::fit(shape, tiles);
}

}  // namespace

SpikingLayer::SpikingLayer(const std::vector<Part>& parts, const float* bias, const NeuronModel& neurons)
    : outputs_(parts[0].shape.outputs), neurons_(neurons), has_bias_(bias != nullptr) {
  std::vector<SynapseShape> shapes;
  for (const Part& part : parts) shapes.push_back(part.shape);
  tiles_ = make_tiles(outputs_, shapes);
  const int bytes = row_bytes(parts);
  const bool runs = wants_runs(parts);
  for (const Part& part : parts) synapses_.emplace_back(part.weights, part.shape, tiles_, bytes, runs);
  if (wants_tables(parts, tiles_)) tables_ = Tables(parts[0].weights, parts[0].shape, tiles_);
  bias_.assign(static_cast<std::size_t>(outputs_) + 63, 0);
  for (std::int64_t i = 0; bias != nullptr && i < outputs_; ++i) {
    bias_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(bias[i]);
  }
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
  const std::int64_t size = input.copies * synapses_[0].shape().copy_channels() * input.geometry.plane_in();
  return vector_kernels().count_spikes(input.words + image * size, size);
}

void SpikingLayer::run(const LayerCall& call, const LayerPlan& plan, const LayerTask& task) const {
  layer_kernels[plan.kernel].run(*this, call, task);
}

}  // namespace snnc::kernels
