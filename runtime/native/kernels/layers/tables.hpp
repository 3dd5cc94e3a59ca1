// Tables of all sums of a few weights, for first layers.
#pragma once

#include <cstdint>
#include <vector>

#include "scratch.hpp"
#include "synapses.hpp"

namespace snnc::kernels {

// For every kernel line and set of neighbouring channels, the sums of the weights of all subsets of its bits.
class Tables {
 public:
  // Whether tables of a layer are small enough to be worth it.
  static bool fit(const SynapseShape& shape, const std::vector<Tile>& tiles);

  Tables() = default;
  Tables(const float* weights, const SynapseShape& shape, const std::vector<Tile>& tiles);

  bool exist() const { return rows_.data() != nullptr; }
  int channels() const { return channels_; }  // of a set; the last one may have fewer
  std::int64_t sets() const { return sets_; }
  std::uint64_t mask() const { return (std::uint64_t{1} << bits_) - 1; }

  int bytes() const { return bytes_; }  // of a number: 2 where all sums fit, else 4

  // [number][width]
  const void* rows(std::size_t tile, std::int64_t line_tap, std::int64_t set) const;

 private:
  void fill(const float* weights, const SynapseShape& shape, const Tile& tile, std::int64_t line_tap, std::int64_t set,
            std::int32_t* rows) const;
  void narrow(std::size_t size);

  int channels_ = 0, bits_ = 0, bytes_ = 4;
  std::int64_t sets_ = 0;
  std::vector<Tile> tiles_;
  std::vector<std::size_t> offsets_;
  Scratch<std::int32_t> rows_;  // all of them; of 16 bits, two in the place of one
};

}  // namespace snnc::kernels
