// The ways to compute a layer, in one table.
#pragma once

#include <array>

#include "spiking_layer.hpp"

namespace snnc::kernels {

struct LayerKernel {
  const char* name;
  // Whether it can compute the layer: what it needs is packed, and its numbers fit into the 32 bits it has for them.
  bool (*fits)(const SpikingLayer& layer, const LayerCall& call);
  // Rough time of an image with this many input spikes, in nanoseconds.
  double (*cost)(const SpikingLayer& layer, const LayerCall& call, double input_spikes);
  // Computes a task: writes all of its words and states.
  void (*run)(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task);
};

bool gather_fits(const SpikingLayer& layer, const LayerCall& call);
double gather_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes);
void run_gather(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task);

bool chunk_fits(const SpikingLayer& layer, const LayerCall& call);
double chunk_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes);
void run_chunk(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task);

bool table_fits(const SpikingLayer& layer, const LayerCall& call);
double table_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes);
void run_table(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task);

bool sparse_fits(const SpikingLayer& layer, const LayerCall& call);
double sparse_cost(const SpikingLayer& layer, const LayerCall& call, double input_spikes);
void run_sparse(const SpikingLayer& layer, const LayerCall& call, const LayerTask& task);

// The first of several with the same cost is taken.
inline constexpr std::array<LayerKernel, 4> layer_kernels{{
    {"gather", gather_fits, gather_cost, run_gather},
    {"chunk", chunk_fits, chunk_cost, run_chunk},
    {"table", table_fits, table_cost, run_table},
    {"sparse", sparse_fits, sparse_cost, run_sparse},
}};

}  // namespace snnc::kernels
