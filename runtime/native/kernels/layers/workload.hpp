// What the costs of kernels depend on.
#pragma once

#include "spiking_layer.hpp"

namespace snnc::kernels {

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
