// A layer of neurons with its synapses, simulated a block at a time, event by event.
//
// The current of a neuron is the sum of one or two parts (a junction of a residual network has two) and a bias.
// RMP-SNN, Han et al., CVPR 2020, equations 1 and 2; other dynamics in kernels/dynamics.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "synapses.hpp"
#include "tables.hpp"

namespace snnc::kernels {

// How neurons fire; `low` and `high` bound the counts of a staircase, `leak` (1 to 15) is that of leaky dynamics.
struct NeuronModel {
  Dynamics dynamics;
  std::int32_t low = 0, high = 0;
  std::int32_t leak = 0;
};

// The input of a part: spike words [images][copies * copy_channels][plane].
struct LayerInput {
  const std::uint64_t* words;
  std::int64_t copies;
  Geometry geometry;
};

// One block of a layer. Arrays are in C order, as the operators have them.
struct LayerCall {
  std::int64_t images;
  int steps;                       // 0 to 64
  int threads;                     // that may work on it; results do not depend on it
  std::vector<LayerInput> inputs;  // one per part
  const std::int32_t* v;           // [images][outputs][plane]
  const std::int32_t* counts;      // [images][outputs][plane], or null for dynamics without counts
  const std::int32_t* threshold;   // [1] or [outputs]
  bool threshold_per_channel;
  std::int32_t* v_out;             // [images][outputs][plane]
  std::int32_t* counts_out;        // [images][outputs][plane], or null
  std::uint64_t* fired;            // [images][bit planes of the dynamics][outputs][plane]

  const Geometry& geometry() const { return inputs[0].geometry; }
};

// Output lines [first, last) of all images, counted through, for tiles [first_tile, last_tile).
struct LayerTask {
  std::int64_t first, last;
  std::size_t first_tile, last_tile;
};

struct LayerPlan {
  std::size_t kernel;  // in `layer_kernels`
  std::vector<LayerTask> tasks;
  double nanoseconds_per_task;
};

class SpikingLayer {
 public:
  struct Part {
    const float* weights;  // integers below 2^24 in magnitude; read by the constructor only
    SynapseShape shape;
  };

  // `bias`: [outputs] or null. One or two parts with the same outputs.
  SpikingLayer(const std::vector<Part>& parts, const float* bias, const NeuronModel& neurons);

  // Spikes of the input, to choose a kernel by: [images] of `LayerInput::words` of part 0.
  std::int64_t count_spikes(const LayerCall& call, std::int64_t image) const;
  LayerPlan plan(const LayerCall& call, std::int64_t input_spikes) const;
  void run(const LayerCall& call, const LayerPlan& plan, const LayerTask& task) const;

  const std::vector<Synapses>& synapses() const { return synapses_; }
  const Tables& tables() const { return tables_; }
  const std::vector<Tile>& tiles() const { return tiles_; }
  std::int64_t outputs() const { return outputs_; }
  const NeuronModel& neurons() const { return neurons_; }
  bool has_bias() const { return has_bias_; }

  // Threshold and bias of a tile's channels, [width]. What channels that do not exist compute is never stored.
  void tile_threshold(const LayerCall& call, const Tile& tile, std::int32_t* threshold) const;
  const std::int32_t* tile_bias(const Tile& tile) const { return bias_.data() + tile.first; }

 private:
  std::int64_t outputs_;
  NeuronModel neurons_;
  bool has_bias_;
  std::vector<Tile> tiles_;
  std::vector<Synapses> synapses_;
  Tables tables_;
  std::vector<std::int32_t> bias_;  // [outputs and up to 63 more]
};

}  // namespace snnc::kernels
