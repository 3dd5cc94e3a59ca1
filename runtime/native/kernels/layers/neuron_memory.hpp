// States and spikes of the neurons of a task between the operators' arrays and scratch memory.
#pragma once

#include "scratch.hpp"
#include "spiking_layer.hpp"

namespace snnc::kernels {

// An output line of an image for a tile.
struct TileLine {
  const SpikingLayer& layer;
  const LayerCall& call;
  const Tile& tile;
  std::int64_t image, line;
};

// Memory of the neurons of a line of a tile.
class NeuronMemory {
 public:
  // A line of `columns` pixels: an output line, or pixels of several ones. Spikes are cleared, states and masked taps
  // are not set. Valid until the next call.
  NeuronLine& prepare(const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t columns);

 private:
  alignas(cache_line) std::int32_t threshold_[64];
  Scratch<std::int32_t> potentials_, counts_;
  Scratch<std::uint64_t> fired_;
  NeuronLine line_;
};

// A line's states, [column][width], from and to [channel][plane]; its spikes to words.
void load_states(const TileLine& at, const NeuronStates& states);
void store_states(const TileLine& at, const NeuronStates& states);
void store_spikes(const TileLine& at, const NeuronLine& neurons);

// Asks for the memory that `store_states` and `store_spikes` will write: channels are far apart.
void prefetch_outputs(const TileLine& at);

// Asks for what output lines [at.line, last) of an image read, where there is such an image: words of all parts and the
// states of a tile. For the next lines of a task, while it computes these.
void prefetch_inputs(const TileLine& at, std::int64_t last);

}  // namespace snnc::kernels
