#include "synapses.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace snnc::kernels {

namespace {

constexpr std::int64_t widest_tile = 64;

// How many rows, whatever they are, have sums within 16 bits; 0 where one alone may not.
template <class Weight>
std::int64_t rows_that_fit(const Weight* first, const Weight* last) {
  using Sum = std::numeric_limits<std::int16_t>;
  if (sizeof(Weight) > sizeof(std::int16_t)) return 0;
  const auto [low, high] = std::minmax_element(first, last);
  const std::int64_t least = std::min<std::int64_t>(*low, -1), most = std::max<std::int64_t>(*high, 1);
  return std::min(Sum::min() / least, Sum::max() / most);
}

int width_for(std::int64_t channels) { return channels <= 16 ? 16 : channels <= 32 ? 32 : 64; }

}  // namespace

int bytes_for(const float* weights, const SynapseShape& shape) {
  const float* end = weights + shape.outputs * shape.group_inputs() * shape.line_taps * shape.column_taps;
  const auto [low, high] = std::minmax_element(weights, end);
  const auto fit = [&, least = *low, most = *high](auto type) {
    const float highest = std::numeric_limits<decltype(type)>::max();
    return least >= (shape.signs == 2 ? -highest : -highest - 1) && most <= highest;
  };
  return fit(std::int8_t{}) ? 1 : fit(std::int16_t{}) ? 2 : 4;
}

std::vector<Tile> make_tiles(std::int64_t outputs, const std::vector<SynapseShape>& shapes) {
  std::vector<Tile> tiles;
  for (std::int64_t first = 0; first < outputs;) {
    std::int64_t end = std::min(outputs, first + widest_tile);
    for (const SynapseShape& shape : shapes) {
      if (shape.depthwise()) continue;
      const std::int64_t group_end = (first / shape.group_outputs() + 1) * shape.group_outputs();
      end = std::min(end, group_end);
    }
    tiles.push_back({first, end - first, width_for(end - first)});
    first = end;
  }
  return tiles;
}

Synapses::Synapses(
    const float* weights, const SynapseShape& shape, const std::vector<Tile>& tiles, int weight_bytes, bool runs)
    : shape_(shape), weight_bytes_(weight_bytes) {
  if (shape.depthwise()) {
    pack_depthwise(weights, tiles, runs);
  } else if (weight_bytes == 1) {
    pack<std::int8_t>(weights, tiles, runs);
  } else if (weight_bytes == 2) {
    pack<std::int16_t>(weights, tiles, runs);
  } else {
    pack<std::int32_t>(weights, tiles, runs);
  }
}

template <class Weight>
void Synapses::pack(const float* weights, const std::vector<Tile>& tiles, bool runs) {
  pack_gather<Weight>(weights, tiles);
  if (runs) {
    pack_runs<Weight>(weights, tiles[0].width);
    bound_sums(weights);
  }
}

void Synapses::pack_depthwise(const float* weights, const std::vector<Tile>& tiles, bool runs) {
  pack_masked(weights);
  weight_bytes_ = bytes_for(weights, shape_);
  if (!runs) return;
  if (weight_bytes_ == 1) {
    pack_runs<std::int8_t>(weights, tiles[0].width);
  } else if (weight_bytes_ == 2) {
    pack_runs<std::int16_t>(weights, tiles[0].width);
  } else {
    pack_runs<std::int32_t>(weights, tiles[0].width);
  }
  bound_sums(weights);
}

void Synapses::bound_sums(const float* weights) {
  for (std::int64_t output = 0; output < shape_.outputs; ++output) {
    std::int64_t positive = 0, negative = 0;
    for (std::int64_t channel = 0; channel < shape_.copy_channels(); ++channel) {
      if (!shape_.reaches(channel, output)) continue;
      for (std::int64_t tap = 0; tap < shape_.line_taps * shape_.column_taps; ++tap) {
        const std::int64_t weight = shape_.weight(weights, output, shape_.in_group(channel), tap);
        (weight > 0 ? positive : negative) += weight;
      }
    }
    most_sum_ = std::max({most_sum_, positive, -negative});
  }
}

void Synapses::pack_masked(const float* weights) {
  const std::int64_t taps = shape_.line_taps * shape_.column_taps;
  masked_stride_ = shape_.outputs + widest_tile;
  const std::int64_t size = shape_.signs * taps * masked_stride_;
  std::int32_t* row = masked_.reserve(static_cast<std::size_t>(size));
  std::fill_n(row, size, 0);
  for (std::int64_t sign = 0; sign < shape_.signs; ++sign) {
    for (std::int64_t tap = 0; tap < taps; ++tap, row += masked_stride_) {
      for (std::int64_t output = 0; output < shape_.outputs; ++output) {
        row[output] = shape_.weight(weights, output, sign, tap);
      }
    }
  }
}

template <class Weight>
void Synapses::pack_gather(const float* weights, const std::vector<Tile>& tiles) {
  std::size_t size = 0;
  for (const Tile& tile : tiles) {
    tile_offsets_.push_back(size);
    size += static_cast<std::size_t>((row_count() + 1) * tile.width * weight_bytes_);
  }
  std::uint8_t* memory = gather_.reserve(size);
  std::memset(memory, 0, size);
  for (std::size_t index = 0; index < tiles.size(); ++index) {
    const Tile& tile = tiles[index];
    auto* row = reinterpret_cast<Weight*>(memory + tile_offsets_[index]);
    for (std::int64_t line_tap = 0; line_tap < shape_.line_taps; ++line_tap) {
      for (std::int64_t channel = 0; channel < shape_.group_channels(); ++channel) {
        for (std::int64_t column_tap = 0; column_tap < shape_.column_taps; ++column_tap, row += tile.width) {
          pack_row(weights, tile, channel, line_tap * shape_.column_taps + column_tap, row);
        }
      }
    }
    rows_at_once_.push_back(rows_that_fit(reinterpret_cast<Weight*>(memory + tile_offsets_[index]), row));
  }
}

// The weights of a tile's outputs, in the order that the vector unit wants.
template <class Weight>
void Synapses::pack_row(
    const float* weights, const Tile& tile, std::int64_t channel, std::int64_t tap, Weight* row) const {
  const auto row_lane = vector_kernels().row_lane;
  for (int output = 0; output < tile.channels; ++output) {
    row[row_lane(tile.width, output, sizeof(Weight))] =
        static_cast<Weight>(shape_.weight(weights, tile.first + output, channel, tap));
  }
}

// The taps of a phase reach neighbouring output columns, the last tap the first one. Phases with fewer taps than others
// get weights of 0 in front: then every event adds a run of the same length.
template <class Weight>
void Synapses::pack_runs(const float* weights, int width) {
  const std::int64_t size = shape_.copy_channels() * shape_.line_taps * run_line(width);
  auto* row = reinterpret_cast<Weight*>(runs_.reserve(static_cast<std::size_t>(size) * sizeof(Weight)));
  std::fill_n(row, size, Weight{0});
  for (std::int64_t channel = 0; channel < shape_.copy_channels(); ++channel) {
    for (std::int64_t line_tap = 0; line_tap < shape_.line_taps; ++line_tap) {
      for (std::int64_t phase = 0; phase < shape_.phases(); ++phase) {
        for (std::int64_t i = shape_.taps_of_phase() - 1; i >= 0; --i, row += width) {
          const std::int64_t column_tap = phase + i * shape_.column_stride;
          if (column_tap >= shape_.column_taps) continue;
          const std::int64_t tap = line_tap * shape_.column_taps + column_tap;
          for (std::int64_t output = 0; output < shape_.outputs; ++output) {
            if (!shape_.reaches(channel, output)) continue;
            row[output] = static_cast<Weight>(shape_.weight(weights, output, shape_.in_group(channel), tap));
          }
        }
      }
    }
  }
}

}  // namespace snnc::kernels
