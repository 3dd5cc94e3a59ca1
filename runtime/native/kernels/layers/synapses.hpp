// The weights of a convolution, packed once for the kernels that may use them.
#pragma once

#include <cstdint>
#include <vector>

#include "scratch.hpp"
#include "tasks.hpp"

namespace snnc::kernels {

// Weights as ONNX has them. The taps of a pair of channels follow each other, kernel columns last.
struct SynapseShape {
  std::int64_t inputs, outputs;  // channels, of all groups
  std::int64_t groups;
  std::int64_t line_taps, column_taps;
  std::int64_t column_stride, column_dilation;
  std::int64_t input_stride, output_stride;  // distance of two channels in the weights

  // Input columns of one phase (column + pad modulo stride) meet every stride-th kernel column.
  std::int64_t phases() const { return column_stride < column_taps ? column_stride : column_taps; }
  std::int64_t taps_of_phase() const { return (column_taps + column_stride - 1) / column_stride; }

  std::int64_t group_inputs() const { return inputs / groups; }
  std::int64_t group_outputs() const { return outputs / groups; }
  // One input channel for every output channel: weights are added where a bit is set, no lists.
  bool depthwise() const { return groups > 1 && groups == inputs && groups == outputs; }
};

// Output channels that a kernel computes together; all in one group of every weighted synapse of the layer.
struct Tile {
  std::int64_t first, channels;
  int width;  // 16, 32 or 64
};

// Tiles of `outputs` channels that end wherever a group of one of the shapes ends.
std::vector<Tile> make_tiles(std::int64_t outputs, const std::vector<SynapseShape>& shapes);

// 2 if all weights are int16, else 4.
int bytes_for(const float* weights, const SynapseShape& shape);

class Synapses {
 public:
  // `weights` are integers that fit into `weight_bytes`. `tiles` are those of the layer.
  Synapses(const float* weights, const SynapseShape& shape, const std::vector<Tile>& tiles, int weight_bytes,
           bool scatter);

  const SynapseShape& shape() const { return shape_; }
  int weight_bytes() const { return weight_bytes_; }

  // gather: rows [line tap][input of the group][column tap][width] of a tile
  const void* tile_rows(std::size_t tile) const { return gather_.data() + tile_offsets_[tile]; }
  std::int64_t column_bytes(int width) const { return std::int64_t{width} * weight_bytes_; }
  std::int64_t channel_bytes(int width) const { return shape_.column_taps * column_bytes(width); }
  std::int64_t tap_bytes(int width) const { return shape_.group_inputs() * channel_bytes(width); }

  // scatter: rows [input][line tap][phase][tap of the phase][width] of the only tile; empty if not wanted
  const void* scatter_rows() const { return scatter_.data(); }
  bool can_scatter() const { return scatter_.data() != nullptr; }

  // depthwise: [tap][outputs and up to 63 more]
  const std::int32_t* masked_row(std::int64_t tap) const { return masked_.data() + tap * masked_stride_; }

 private:
  std::int32_t weight(const float* weights, std::int64_t output, std::int64_t input, std::int64_t tap) const;
  void pack_masked(const float* weights);
  template <class Weight>
  void pack_gather(const float* weights, const std::vector<Tile>& tiles);
  template <class Weight>
  void pack_scatter(const float* weights, int width);

  SynapseShape shape_;
  int weight_bytes_;
  Scratch<std::uint8_t> gather_, scatter_;
  std::vector<std::size_t> tile_offsets_;
  Scratch<std::int32_t> masked_;
  std::int64_t masked_stride_ = 0;
};

}  // namespace snnc::kernels
