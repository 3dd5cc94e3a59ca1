// Lines of input spikes between the operators' arrays and the scratch memory of a task.
#pragma once

#include <vector>

#include "scratch.hpp"
#include "spiking_layer.hpp"

namespace snnc::kernels {

// Channels of an input that share a word per column.
struct Slot {
  std::int64_t first;     // channel in the words
  int channels;
  std::uint32_t channel;  // of the group, positive spikes first
};

// All channels of a group, copy by copy, `most` at a time.
std::vector<Slot> slots_of(const SynapseShape& shape, std::int64_t copies, std::int64_t group, int most);

// Input lines that output lines are computed from at a time: a few more are transposed than one of them reads.
constexpr std::int64_t lines_at_once = 8;

// Numbers the input lines that output lines [first, last) read; the others get -1. Returns how many there are.
std::int64_t place_input_lines(
    const Geometry& geometry, std::int64_t first, std::int64_t last, std::vector<std::int64_t>& place);

// The part of an image's words that is read together.
struct LineRequest {
  std::int64_t image_words;  // of the input
  std::int64_t image;
  int steps;
  int packed;                // columns per word
  std::int64_t first, last;  // output lines that read it
};

// Transposed input lines of one image: [line][step][slot][word].
class LoadedLines {
 public:
  void load(const LayerInput& input, const std::vector<Slot>& slots, const LineRequest& request);

  bool has(std::int64_t line) const { return place_[static_cast<std::size_t>(line)] >= 0; }
  const std::uint64_t* line(std::int64_t line) const {
    return bits_.data() + place_[static_cast<std::size_t>(line)] * line_stride_;
  }
  // Spikes of a loaded line in all steps.
  std::int64_t spikes(std::int64_t line) const { return spikes_[static_cast<std::size_t>(line)]; }
  std::int64_t words() const { return words_; }
  std::int64_t step_stride() const { return step_stride_; }
  std::int64_t line_stride() const { return line_stride_; }

 private:
  Scratch<std::uint64_t> bits_;
  std::vector<std::int64_t> place_;  // of each input line, -1 if it is not loaded
  std::vector<std::int64_t> spikes_;
  std::int64_t words_ = 0, step_stride_ = 0, line_stride_ = 0;
};

// The request for output lines [first, last) of an image of a call.
LineRequest request_of(const LayerCall& call, const Synapses& synapses, const LayerInput& input, std::int64_t image,
                       std::int64_t first, std::int64_t last, int packed);

// The depthwise parts of a tile: their taps for any output line.
class MaskedParts {
 public:
  // Loads what output lines [first, last) of an image need.
  void load(const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t image, std::int64_t first,
            std::int64_t last);
  // Valid until `memory` changes or the next call of `load`.
  MaskedTaps taps(const SpikingLayer& layer, const LayerCall& call, const Tile& tile, std::int64_t line,
                  std::vector<MaskedTap>& memory) const;

 private:
  void append_taps(const Synapses& synapses, const LayerInput& input, const LoadedLines& lines, const Tile& tile,
                   std::int64_t line, std::vector<MaskedTap>& memory) const;

  LoadedLines lines_[2];
};

}  // namespace snnc::kernels
