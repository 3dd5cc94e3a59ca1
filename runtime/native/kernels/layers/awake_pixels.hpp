// Which pixels of a layer of staircase neurons anything can happen to in a block.
//
// A neuron without events in its field, and without bias, has the potential with which the block begins in every step.
// If it does not fire in the first step, V < threshold or S = high, and V >= 0 or S = low, and this stays so: it never
// fires, and its states are those that it had. All other neurons are awake.
#pragma once

#include <cstdint>
#include <vector>

#include "scratch.hpp"
#include "spiking_layer.hpp"

namespace snnc::kernels {

class AwakePixels {
 public:
  // Looks at output lines [first, last) of an image.
  void find(const SpikingLayer& layer, const LayerCall& call, std::int64_t image, std::int64_t first,
            std::int64_t last);

  // Of an output line: [columns_out], 1 where a neuron would fire without any event.
  const std::int32_t* restless(std::int64_t line) const { return restless_.data() + (line - first_) * columns_out_; }
  // Of an input line of a part that these output lines read: [columns_in], the steps with an event in any channel.
  const std::uint64_t* steps(std::size_t part, std::int64_t input_line) const {
    const Input& input = inputs_[part];
    return input.steps.data() + (input_line - input.first) * input.columns;
  }

 private:
  // The steps of input lines [first, last).
  struct Input {
    std::int64_t first, last, columns;
    Scratch<std::uint64_t> steps;
  };

  static void find_events(const LayerInput& from, std::int64_t channels, std::int64_t image, std::int64_t first_line,
                          std::int64_t last_line, Input& input);

  std::int64_t first_ = 0, columns_out_ = 0;
  Input inputs_[2] = {};
  Scratch<std::int32_t> restless_;
};

// Keeps the states of output lines [first, last) of an image as they are, and clears their spikes.
void rest(const SpikingLayer& layer, const LayerCall& call, std::int64_t image, std::int64_t first, std::int64_t last);

}  // namespace snnc::kernels
