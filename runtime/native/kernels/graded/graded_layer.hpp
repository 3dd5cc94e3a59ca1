// A layer of a network that is computed once for each frame: changes of counts in, changes of counts out.
#pragma once

#include <cstdint>
#include <vector>

#include "../layers/geometry.hpp"
#include "../layers/scratch.hpp"
#include "tasks.hpp"

namespace snnc::kernels {

// The changes of a sample that are not 0, by pixel, in memory that stays.
class ChangeLists {
 public:
  // Of planes of `pixels` in lines of `columns`, as numbers of so many bytes; what does not fit is there several times.
  // False where a change does not fit into 16 bits.
  bool list(const std::int32_t* changes, std::int64_t channels, std::int64_t pixels, std::int64_t columns, int bytes);

  ChangesByPixel entries() const { return {places_.data(), changes_.data(), offsets_.data()}; }
  std::int64_t size() const { return size_; }

 private:
  template <class Change>
  bool list_as(const std::int32_t* changes, std::int64_t channels, std::int64_t pixels, std::int64_t columns);

  Scratch<std::uint32_t> found_, offsets_, places_, columns_;
  Scratch<std::int32_t> changes_;  // for the widest numbers
  std::int64_t size_ = 0;
};

// Weights `[outputs, inputs, taps]`, with these distances of two channels; taps follow each other.
struct GradedWeights {
  const float* weights;
  std::int64_t inputs, outputs, taps;
  std::int64_t input_stride, output_stride;
  bool own;  // every output sees its own channel alone: `weights` are [outputs, taps]
};

// The input of one part in a run.
struct GradedInput {
  const std::int32_t* changes;  // [images, channels, pixels]
  const Geometry* geometry;
};

// The states are updated where they are: v and counts are read and written.
struct GradedRun {
  std::vector<GradedInput> inputs;
  std::int64_t images;
  std::int32_t *v, *counts;       // [images, pixels, channels]
  std::int32_t* fired;            // [images, channels, pixels]
  const std::int32_t* begun;      // [images]: 0 where all neurons have to be looked at
  const std::int32_t* threshold;  // [channels], all > 0
  std::int32_t low, high;
  const std::int64_t* fanout;     // of the neurons of a sample, [channels, pixels] or what of it repeats
  std::int64_t fanout_period;     // how many these are: a divisor of the pixels, or all
};

// Weights of any size that float32 holds.
class GradedLayer {
 public:
  explicit GradedLayer(const std::vector<GradedWeights>& parts);

  std::int64_t channels() const { return channels_; }
  std::int64_t tiles() const { return (channels_ + width_ - 1) / width_; }
  std::int64_t inputs(std::size_t part) const { return parts_[part].inputs; }

  // Lists of one image, one for each part; false where a change does not fit into 16 bits. `fired` is cleared.
  bool begin(const GradedRun& run, std::int64_t image, std::vector<ChangeLists>& lists) const;

  // Lines [first, last) of a tile of an image that has begun; gives the events there.
  ChangeTotals compute(const GradedRun& run, std::int64_t image, const std::vector<ChangeLists>& lists,
                       std::int64_t tile, std::int64_t first, std::int64_t last) const;

  // About how long an image takes, for entries as in `lists`.
  double nanoseconds(const std::vector<ChangeLists>& lists) const;

 private:
  struct Part {
    std::int64_t inputs, taps;
    std::vector<std::int32_t> own;  // [taps, channels]
    Scratch<std::uint8_t> rows;  // [tiles, taps, inputs, width] of `bytes_` each, packed as `group_` wants them
  };

  void pack(const GradedWeights& weights, Part& part) const;
  int change_bytes(const Part& part) const;
  std::int64_t tile_bytes(const Part& part) const { return part.taps * part.inputs * width_ * bytes_; }
  GradedPart part_of(const GradedRun& run, std::size_t index, const ChangeLists& lists, std::int64_t tile) const;

  std::int64_t channels_;
  int width_, bytes_;
  RowGroup group_;
  std::vector<Part> parts_;
};

}  // namespace snnc::kernels
