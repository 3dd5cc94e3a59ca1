// What the kernels of graded layers read and write: changes of counts in the place of spikes, once for each frame.
//
// Two neighbouring channels are one entry: what a vector unit multiplies and adds in one instruction is a pair.
#pragma once

#include <cstdint>

namespace snnc::kernels {

// The changes of channels 2 * pair and 2 * pair + 1 at one pixel, not both 0. `place` is column * pairs + pair: the rows of
// the columns of a kernel line follow each other, so that under one base address all entries of its field find theirs.
struct PairChange {
  std::uint32_t place;
  std::int16_t changes[2];
};

// A change that does not fit into 16 bits is reported by this magnitude or more.
constexpr std::int32_t largest_change = 32767;

// An entry on its way into the list of its pixel.
struct PlacedChange {
  std::uint32_t pixel, pair;
  std::int16_t changes[2];
};

// One sample of changes [channels, pixels] -> entries in the order of channels, and how many each pixel has.
struct ListChanges {
  const std::int32_t* changes;
  std::int64_t channels, pixels;
  PlacedChange* to;              // room for all pairs of channels at all pixels, and a vector more
  std::uint32_t* counts;         // [pixels], added to
};

// The entries of a sample by pixel: those of pixel p are entries[offsets[p]] to entries[offsets[p + 1]].
struct ChangesByPixel {
  const PairChange* entries;
  const std::uint32_t* offsets;

  // Also where the pixel before it ends.
  const PairChange* begin(std::int64_t pixel) const { return entries + offsets[pixel]; }
};

// Where a kernel looks for the field of an output pixel; pixels of lines outside the plane are not there.
struct GradedField {
  const std::int64_t* input_lines;  // [lines_out, line_taps]: the line under a tap, or -1
  std::int64_t line_taps, column_taps;
  std::int64_t columns_in, stride, pad, dilation;
};

// Weights of one tile: [taps, pairs, width, 2], int8 or int16.
struct GradedRows {
  const void* rows;
  std::int64_t pairs;
};

// One part of a layer at the output pixels: weighted sums of changes, or one weight for each neuron.
struct GradedPart {
  ChangesByPixel changes;
  GradedField field;
  GradedRows tile;
  const std::int32_t* weights;  // [channels of the tile] of one weight for each neuron; else nullptr
};

// Output lines [first_line, last_line) of one sample and one tile.
struct GradedLines {
  const GradedPart* parts;
  int part_count;
  std::int64_t first_line, last_line, columns_out;
  std::int64_t first_channel;    // of the tile
  int own;                       // channels of the tile that there are
  std::int64_t channels;         // of all tiles: from pixel to pixel in v and counts
  std::int32_t* v;               // [pixels, channels], updated
  std::int32_t* counts;          // [pixels, channels], updated
  const std::int32_t* threshold; // [channels of the tile]
  const float* inverse;          // 1 / threshold
  std::int32_t low, high;
  std::int32_t* fired;           // [channels, pixels], zeros before
  std::int64_t pixels;
  bool all;                      // also pixels that nothing reaches
  std::int64_t next_tile;        // bytes to the rows of the next tile where these are to be fetched, else 0
};

}  // namespace snnc::kernels
