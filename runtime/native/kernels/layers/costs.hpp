// Rough costs of the kernels of layers: what an image costs in nanoseconds, and why.
//
// Only their ratios matter, and only for the choice of kernel and the size of tasks. `tests/benchmarks/kernel_costs.py`
// runs layers by every kernel and prints what it would put here. The values below were fitted to times of single layers
// with soft reset, on one thread of an AVX-512 machine, 2026-11-21; they are used for all dynamics and vector units. On
// an AVX2 machine (AMD EPYC, two cores, both busy, 2026-11-26) the benchmark found some three times as much for the events
// of every kernel (row 2.6, run_vector 2.5, lookup 2.3).
#pragma once

#include "spiking_layer.hpp"

namespace snnc::kernels {

// Nanoseconds each.
struct GatherCosts {
  static constexpr double pixel = 11;         // a step of the neurons of a pixel and tile: bookkeeping, firing
  static constexpr double listed_word = 1.8;  // a step of a word of the input lines that a pixel's line reads
  static constexpr double row = 0.85;         // a row of a tile: reading the entry, a branch that may go wrong
  static constexpr double vector = 0.05;      // 16 additions of a row
};

struct ScatterCosts {
  static constexpr double vector_step = 3.7;  // a step of 16 neurons of a pixel
  static constexpr double pixel = -1.3;       // what the first of them is cheaper
  static constexpr double run = 0.1;          // a run of weights along a kernel line
  static constexpr double run_vector = 0.68;  // 16 additions for each output column that it reaches
};

struct TableCosts {
  static constexpr double pixel = 3;            // a step of the neurons of a pixel and tile
  static constexpr double lookup = 0.6;         // finding a row, of a tile
  static constexpr double lookup_vector = 0.4;  // 16 additions of it
};

// What the costs depend on.
struct Workload {
  double tiles, vectors;  // vectors: of 16 output channels
  double pixel_steps;
  double rows;            // how many times an event reaches a pixel
  double runs;            // how many times it reaches a line, times the taps of a phase

  Workload(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
    const Geometry& geometry = call.geometry();
    const SynapseShape& shape = layer.synapses()[0].shape();
    const auto real = [](std::int64_t value) { return static_cast<double>(value); };
    tiles = real(static_cast<std::int64_t>(layer.tiles().size()));
    vectors = real((layer.outputs() + 15) / 16);
    pixel_steps = real(geometry.plane_out()) * call.steps;
    const double shrinkage = real(geometry.plane_out()) / real(geometry.plane_in());
    rows = input_spikes * real(shape.line_taps * shape.column_taps) * shrinkage;
    runs = input_spikes * real(shape.line_taps * shape.taps_of_phase()) * real(geometry.lines_out) /
           real(geometry.lines_in);
  }
};

}  // namespace snnc::kernels
