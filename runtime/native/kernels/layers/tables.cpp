#include "tables.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace snnc::kernels {

namespace {

constexpr std::int64_t most_bits = 9;
constexpr std::int64_t most_bytes = 1 << 21;

struct Sizes {
  std::int64_t channels, sets, numbers;
};

Sizes sizes_of(const SynapseShape& shape) {
  const std::int64_t inputs = shape.copy_channels();
  const std::int64_t channels = std::clamp<std::int64_t>(most_bits / shape.column_taps, 1, inputs);
  return {channels, (inputs + channels - 1) / channels, std::int64_t{1} << channels * shape.column_taps};
}

}  // namespace

bool Tables::fit(const SynapseShape& shape, const std::vector<Tile>& tiles) {
  if (shape.groups != 1 || shape.column_dilation != 1 || shape.column_taps > most_bits) return false;
  const Sizes sizes = sizes_of(shape);
  std::int64_t width = 0;
  for (const Tile& tile : tiles) width += tile.width;
  const std::int64_t most_rows = most_bytes / (width * static_cast<std::int64_t>(sizeof(std::int32_t)));
  return shape.line_taps <= most_rows && sizes.sets <= most_rows &&
         shape.line_taps * sizes.sets * sizes.numbers <= most_rows;
}

Tables::Tables(const float* weights, const SynapseShape& shape, const std::vector<Tile>& tiles) : tiles_(tiles) {
  const Sizes sizes = sizes_of(shape);
  channels_ = static_cast<int>(sizes.channels);
  bits_ = static_cast<int>(sizes.channels * shape.column_taps);
  sets_ = sizes.sets;
  std::size_t size = 0;
  for (const Tile& tile : tiles) {
    offsets_.push_back(size);
    size += static_cast<std::size_t>(shape.line_taps * sets_ * sizes.numbers * tile.width);
  }
  std::int32_t* memory = rows_.reserve(size);
  for (std::size_t tile = 0; tile < tiles.size(); ++tile) {
    std::int32_t* table = memory + offsets_[tile];
    for (std::int64_t line_tap = 0; line_tap < shape.line_taps; ++line_tap) {
      for (std::int64_t set = 0; set < sets_; ++set, table += sizes.numbers * tiles[tile].width) {
        fill(weights, shape, tiles[tile], line_tap, set, table);
      }
    }
  }
  narrow(size);
}

// Numbers of 16 bits take half of the cache.
void Tables::narrow(std::size_t size) {
  using Limits = std::numeric_limits<std::int16_t>;
  const std::int32_t* const wide = rows_.data();
  if (!std::all_of(wide, wide + size, [](auto sum) { return sum >= Limits::min() && sum <= Limits::max(); })) return;
  Scratch<std::int32_t> half;
  auto* const bytes = reinterpret_cast<char*>(half.reserve((size + 1) / 2));
  for (std::size_t i = 0; i < size; ++i) {
    const auto sum = static_cast<std::int16_t>(wide[i]);
    std::memcpy(bytes + i * sizeof sum, &sum, sizeof sum);
  }
  rows_ = std::move(half);
  bytes_ = 2;
}

const void* Tables::rows(std::size_t tile, std::int64_t line_tap, std::int64_t set) const {
  const std::int64_t table = (line_tap * sets_ + set) << bits_;
  const std::int64_t number = static_cast<std::int64_t>(offsets_[tile]) + table * tiles_[tile].width;
  return reinterpret_cast<const char*>(rows_.data()) + number * bytes_;
}

// Row n is row n without its lowest bit, and the weights of that bit. Sums of patterns that can occur are below 2^24
// by the contract of the layer; others may wrap.
void Tables::fill(
    const float* weights, const SynapseShape& shape, const Tile& tile, std::int64_t line_tap, std::int64_t set,
    std::int32_t* rows) const {
  std::fill_n(rows, tile.width, 0);
  for (std::int64_t number = 1; number < std::int64_t{1} << bits_; ++number) {
    const int bit = __builtin_ctzll(static_cast<std::uint64_t>(number));
    const std::int32_t* before = rows + (number & (number - 1)) * tile.width;
    std::int32_t* row = rows + number * tile.width;
    std::copy_n(before, tile.width, row);
    const std::int64_t input = set * channels_ + bit % channels_;
    if (input >= shape.copy_channels()) continue;
    const std::int64_t tap = line_tap * shape.column_taps + bit / channels_;
    for (std::int64_t channel = 0; channel < tile.channels; ++channel) {
      const std::int32_t weight = shape.weight(weights, tile.first + channel, input, tap);
      row[channel] =
          static_cast<std::int32_t>(static_cast<std::uint32_t>(row[channel]) + static_cast<std::uint32_t>(weight));
    }
  }
}

}  // namespace snnc::kernels
