// Rough costs of the kernels of layers: what an image costs in nanoseconds, and why.
//
// Only their ratios matter, and only for the choice of kernel and the size of tasks. `tests/benchmarks/kernel_costs.py`
// runs layers by every kernel, prints what it would put here, and how much slower than the fastest kernel the chosen ones
// are. The values below were fitted to times of single layers with weights of 8 bits and soft reset, on one thread of an
// AVX2 machine (AMD EPYC, 2026-11-26); they are used for all weights, dynamics and vector units.
#pragma once

#include "spiking_layer.hpp"

namespace snnc::kernels {

// Nanoseconds each.
struct GatherCosts {
  static constexpr double pixel = 2.8;        // a step of the neurons of a pixel and tile: bookkeeping, firing
  static constexpr double listed_word = 8.6;  // a step of a word of the input lines that a pixel's line reads
  static constexpr double row = 0.75;         // a row of a tile: reading the entry, a branch that may go wrong
  static constexpr double vector = 0.16;      // 16 additions of a row
};

struct ChunkCosts {
  static constexpr double vector_step = 2.8;      // a step of 16 neurons of a pixel
  static constexpr double piece = 5.2;            // a step of 64 channels of an input pixel: finding its events
  static constexpr double run = 0.25;             // a run of weights along a kernel line
  static constexpr double run_vector = 0.46;      // 16 additions for each output column that it reaches
  static constexpr double wide_run_vector = 0.9;  // the same, of sums of 32 bits
};

struct TableCosts {
  static constexpr double pixel = 3.0;          // a step of the neurons of a pixel and tile
  static constexpr double lookup = 0.1;         // finding a row, of a tile
  static constexpr double lookup_vector = 1.3;  // 16 additions of it
};

// What the costs depend on.
struct Workload {
  double tiles, vectors;  // vectors: of 16 output channels
  double pixel_steps;
  double pieces;          // of 64 bits: the bits of the input
  double rows;            // how many times an event reaches a pixel
  double runs;            // how many times it reaches a line, times the taps of a phase

  Workload(const SpikingLayer& layer, const LayerCall& call, double input_spikes) {
    const Geometry& geometry = call.geometry();
    const SynapseShape& shape = layer.synapses()[0].shape();
    const auto real = [](std::int64_t value) { return static_cast<double>(value); };
    tiles = real(static_cast<std::int64_t>(layer.tiles().size()));
    vectors = real((layer.outputs() + 15) / 16);
    pixel_steps = real(geometry.plane_out()) * call.steps;
    pieces = real(call.inputs[0].copies * shape.copy_channels() * geometry.plane_in()) * call.steps / 64;
    const double shrinkage = real(geometry.plane_out()) / real(geometry.plane_in());
    rows = input_spikes * real(shape.line_taps * shape.column_taps) * shrinkage;
    runs = input_spikes * real(shape.line_taps * shape.taps_of_phase()) * real(geometry.lines_out) /
           real(geometry.lines_in);
  }
};

}  // namespace snnc::kernels
