// The weights of a convolution, packed once for the kernels that may use them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "scratch.hpp"
#include "vector_kernels.hpp"

namespace snnc::kernels {

// Weights as ONNX has them. The taps of a pair of channels follow each other, kernel columns last.
//
// The spikes of an input come in copies of its channels. Where they have signs, a copy is the positive spikes of all
// channels, then the negative ones; these have the same weights, which they subtract.
struct SynapseShape {
  std::int64_t inputs, outputs;  // channels, of all groups; a signed channel is one
  std::int64_t groups;
  std::int64_t line_taps, column_taps;
  std::int64_t column_stride, column_dilation;
  std::int64_t input_stride, output_stride;  // distance of two channels in the weights
  std::int64_t signs = 1;                    // 2 where spikes have signs

  // Input columns of one phase (column + pad modulo stride) meet every stride-th kernel column.
  std::int64_t phases() const { return column_stride < column_taps ? column_stride : column_taps; }
  std::int64_t taps_of_phase() const { return (column_taps + column_stride - 1) / column_stride; }

  std::int64_t group_inputs() const { return inputs / groups; }
  std::int64_t group_outputs() const { return outputs / groups; }
  // Channels of words: of a copy, and those of them that reach a group (positive spikes first).
  std::int64_t copy_channels() const { return signs * inputs; }
  std::int64_t group_channels() const { return signs * group_inputs(); }
  // One input channel for every output channel: weights are added where a bit is set, no lists.
  bool depthwise() const {
    return groups > 1 && groups == inputs && groups == outputs;
  }
  // Whether spikes in a channel, of a copy, reach an output; of one group, or depthwise.
  bool reaches(std::int64_t channel, std::int64_t output) const { return groups == 1 || channel % inputs == output; }
  // The channel as one of its group.
  std::int64_t in_group(std::int64_t channel) const { return groups == 1 ? channel : channel / inputs; }

  // The output columns that a spike in an input column reaches under a kernel line: `taps_of_phase` from `first` on, with
  // the weights of a phase. None where there is no such phase.
  struct Reach {
    std::int64_t first, phase;
  };
  Reach reach(const Axis& axis, std::int64_t column) const {
    const std::int64_t place = column + axis.pad;
    return {place / axis.stride - (taps_of_phase() - 1), place % axis.stride};
  }

  // What a spike in channel `channel` of the group of `output` adds to its current.
  std::int32_t weight(const float* weights, std::int64_t output, std::int64_t channel, std::int64_t tap) const {
    const std::int64_t input = channel % group_inputs();
    const auto value = static_cast<std::int32_t>(weights[output * output_stride + input * input_stride + tap]);
    return channel < group_inputs() ? value : -value;
  }
};

// Output channels that a kernel computes together; all in one group of every weighted synapse of the layer.
struct Tile {
  std::int64_t first, channels;
  int width;  // 16, 32 or 64
};

// Tiles of `outputs` channels that end wherever a group of one of the shapes ends.
std::vector<Tile> make_tiles(std::int64_t outputs, const std::vector<SynapseShape>& shapes);

// Bytes that all weights fit into, and their negatives where spikes have signs: 1, 2 or 4.
int bytes_for(const float* weights, const SynapseShape& shape);

class Synapses {
 public:
  // `weights` are integers that fit into `weight_bytes`, if they are not depthwise. `tiles` are those of the layer;
  // there is one if `runs`.
  Synapses(const float* weights, const SynapseShape& shape, const std::vector<Tile>& tiles, int weight_bytes,
           bool runs);

  const SynapseShape& shape() const { return shape_; }
  int weight_bytes() const { return weight_bytes_; }

  // gather: rows [line tap][channel of the group][column tap][width] of a tile, and one of zeros
  const void* tile_rows(std::size_t tile) const { return gather_.data() + tile_offsets_[tile]; }
  // Any so many of these rows have sums within 16 bits; 0 for rows of int32.
  std::int64_t rows_at_once(std::size_t tile) const { return rows_at_once_[tile]; }
  std::int64_t fewest_at_once() const { return *std::min_element(rows_at_once_.begin(), rows_at_once_.end()); }
  std::int64_t tap_rows() const { return shape_.group_channels() * shape_.column_taps; }
  std::int64_t row_count() const { return shape_.line_taps * tap_rows(); }

  // Runs: rows [channel][line tap][phase][tap of the phase][width] of the only tile; empty if not wanted. Depthwise
  // rows have one weight that is not 0 for every tap.
  const void* run_rows() const { return runs_.data(); }
  // Elements of the rows of a channel under one kernel line.
  std::int64_t run_line(int width) const { return shape_.phases() * shape_.taps_of_phase() * width; }
  bool has_runs() const { return runs_.data() != nullptr; }
  // What the spikes of a step add to any neuron, or subtract, is at most this, for one copy of the channels.
  std::int64_t most_sum() const { return most_sum_; }

  // depthwise: [outputs and up to 63 more]; `sign` is 0 for positive spikes, 1 for negative ones
  const std::int32_t* masked_row(std::int64_t sign, std::int64_t tap) const {
    return masked_.data() + (sign * shape_.line_taps * shape_.column_taps + tap) * masked_stride_;
  }

 private:
  void pack_masked(const float* weights);
  void pack_depthwise(const float* weights, const std::vector<Tile>& tiles, bool runs);
  template <class Weight>
  void pack(const float* weights, const std::vector<Tile>& tiles, bool runs);
  template <class Weight>
  void pack_gather(const float* weights, const std::vector<Tile>& tiles);
  template <class Weight>
  void pack_row(const float* weights, const Tile& tile, std::int64_t channel, std::int64_t tap, Weight* row) const;
  template <class Weight>
  void pack_runs(const float* weights, int width);
  void bound_sums(const float* weights);

  SynapseShape shape_;
  int weight_bytes_;
  Scratch<std::uint8_t> gather_, runs_;
  std::vector<std::size_t> tile_offsets_;
  std::vector<std::int64_t> rows_at_once_;  // of each tile
  Scratch<std::int32_t> masked_;
  std::int64_t masked_stride_ = 0;
  std::int64_t most_sum_ = 0;
};

}  // namespace snnc::kernels
