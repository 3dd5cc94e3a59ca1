// What the kernels of graded layers read and write: changes of counts in the place of spikes, once for each frame.
#pragma once

#include <cstdint>

namespace snnc::kernels {

// Rows of weights of how many changes are multiplied together: one in 32 bits, two in 16 bits, four in 8 bits.
enum class RowGroup { one = 1, two = 2, four = 4 };

// Changes by pixel: those of pixel p are offsets[p] to offsets[p + 1]. A place is column * channels + channel: the rows
// of the columns of a kernel line follow each other, so that under one base all entries of its field find theirs.
struct ChangesByPixel {
  const std::uint32_t* places;
  const void* changes;           // int8, int16 or int32, as the group of rows wants them
  const std::uint32_t* offsets;
};

// Where a kernel looks for the field of an output pixel; pixels of lines outside the plane are not there.
struct GradedField {
  const std::int64_t* input_lines;  // [lines_out, line_taps]: the line under a tap, or -1
  std::int64_t line_taps, column_taps;
  std::int64_t columns_in, stride, pad, dilation;
};

// One part of a layer at the output pixels: weighted sums of the changes of all channels, or of a neuron's own channel.
struct GradedPart {
  ChangesByPixel changes;
  GradedField field;
  std::int64_t channels;        // of the input
  const void* rows;             // of the tile: [taps, channels, width]
  const std::int32_t* own;      // [taps, channels of all tiles] from the tile on, of the own channel; or nullptr
};

// The field of one output pixel, of one part: rows (their numbers in the tile) and changes. Memory for as many as there
// can be, and some more.
struct GradedScratch {
  std::uint32_t* rows;
  void* changes;
};

// Events, and the accumulations that they cause.
struct ChangeTotals {
  std::int64_t events, operations;
};

// Output lines [first_line, last_line) of one sample and one tile.
struct GradedLines {
  const GradedPart* parts;
  int part_count;
  GradedScratch scratch;
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
  const std::int64_t* fanout;    // of the neurons of a sample [channels, pixels], as many as repeat
  std::int64_t fanout_period;    // that is their number: it divides the pixels, or is that of all neurons
  std::int64_t next_tile;        // bytes to the rows of the next tile where these are to be fetched, else 0
};

}  // namespace snnc::kernels
