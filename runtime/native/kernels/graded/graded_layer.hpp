// A layer of a network that is computed once for each frame: changes of counts in, changes of counts out.
#pragma once

#include <cstdint>
#include <vector>

#include "../layers/geometry.hpp"
#include "../layers/scratch.hpp"
#include "tasks.hpp"

namespace snnc::kernels {

// The entries of a sample, in memory that stays.
class ChangeLists {
 public:
  // Of planes of `pixels` in lines of `columns`. False where a change does not fit into 16 bits.
  bool list(const std::int32_t* changes, std::int64_t channels, std::int64_t pixels, std::int64_t columns);

  ChangesByPixel entries() const { return {entries_.data(), offsets_.data()}; }
  std::int64_t size() const { return size_; }

 private:
  Scratch<PlacedChange> placed_;
  Scratch<PairChange> entries_;
  Scratch<std::uint32_t> offsets_, places_;
  std::int64_t size_ = 0;
};

// Weights `[outputs, inputs, taps]`, with these distances of two channels; taps follow each other.
struct GradedWeights {
  const float* weights;
  std::int64_t inputs, outputs, taps;
  std::int64_t input_stride, output_stride;
  bool own;  // one weight for each neuron: `weights` are [outputs]
};

// The input of one part in a run; `field` is unused where weights are one for each neuron.
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
};

class GradedLayer {
 public:
  explicit GradedLayer(const std::vector<GradedWeights>& parts);

  std::int64_t channels() const { return channels_; }
  std::int64_t tiles() const { return (channels_ + width_ - 1) / width_; }
  std::int64_t inputs(std::size_t part) const { return parts_[part].inputs; }

  // Lists of one image, one for each part; false where a change does not fit into 16 bits. `fired` is cleared.
  bool begin(const GradedRun& run, std::int64_t image, std::vector<ChangeLists>& lists) const;

  // Lines [first, last) of a tile of an image that has begun.
  void compute(const GradedRun& run, std::int64_t image, const std::vector<ChangeLists>& lists, std::int64_t tile,
               std::int64_t first, std::int64_t last) const;

  // About how long an image takes, for entries as in `lists`.
  double nanoseconds(const std::vector<ChangeLists>& lists) const;

 private:
  struct Part {
    std::int64_t inputs, taps, pairs;
    std::vector<std::int32_t> own;
    Scratch<std::int8_t> rows;  // [tiles, taps, pairs, width, 2] of `bytes_` each
  };

  void pack(const GradedWeights& weights, Part& part) const;
  GradedPart part_of(const GradedRun& run, std::size_t index, const ChangeLists& lists, std::int64_t tile) const;

  std::int64_t channels_;
  int width_, bytes_;
  std::vector<Part> parts_;
};

}  // namespace snnc::kernels
