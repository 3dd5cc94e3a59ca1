// What the vector kernels of layers work on: plain structs of pointers and sizes, and the table of these kernels.
//
// A *line* of spikes is `[step][word][column]` or, packed, several columns per 64-bit word. A *tile* is 16, 32 or 64
// output channels of one group.
#pragma once

#include <cstdint>

#include "../dynamics.hpp"
#include "../encode.hpp"
#include "geometry.hpp"

namespace snnc::kernels {

#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields of a word are addressed as smaller integers");
#endif

constexpr int word_steps = 64;
constexpr int columns_at_once = 8;  // 64x64 bit transpositions are done for eight columns side by side

// Columns that share a 64-bit word where a column has only `width` channels.
constexpr int columns_per_word(int width) { return width <= 16 ? 4 : width <= 32 ? 2 : 1; }

// 64-bit words of one step of a line.
constexpr std::int64_t words_of_line(std::int64_t columns, int packed) {
  const std::int64_t at_once = columns_at_once * packed;
  return (columns + at_once - 1) / at_once * columns_at_once;
}

// Which 64/packed-bit field of a packed line holds a column: eight neighbouring columns go to eight words, the next
// eight to the next fields of the same words.
constexpr std::int64_t field_of_column(std::int64_t column, int packed) {
  const std::int64_t at_once = columns_at_once * packed;
  const std::int64_t in_chunk = column % at_once;
  return column - in_chunk + in_chunk % columns_at_once * packed + in_chunk / columns_at_once;
}

// Spike words of up to 64/packed channels of an input line, to one bit per channel.
struct LoadLine {
  const std::uint64_t* words;  // channel 0, column 0; bit = step
  std::int64_t plane;          // distance of two channels
  int channels;                // at most 64/packed
  std::int64_t columns;
  int packed;                  // columns per word: 1, 2 or 4
  int steps;
  std::uint64_t* bits;         // [steps][words_of_line(columns, packed)] with rows `stride` apart
  std::int64_t stride;
};

// Spikes of a tile of an output line, to spike words.
struct StoreLine {
  const std::uint64_t* fired;  // [steps][words_of_line(columns, packed)]
  int steps;
  std::int64_t columns;
  int packed;
  int channels;                // channels of the tile that exist
  std::uint64_t* words;        // channel 0, column 0; bit = step
  std::int64_t plane;
};

// Up to 64 channels of an input line under a kernel line.
struct ListWord {
  const std::uint64_t* bits;  // [step][column]
  std::uint32_t base;         // row of the first of these channels, kernel column 0
};

// Entries that are written beyond the end of a list.
constexpr std::int64_t list_slack = 16;

// The events of an output line, step by step, ordered by column.
struct ListLine {
  const ListWord* words;        // of every column
  int word_count;
  std::int64_t step_stride;     // of the bits
  std::uint32_t channel_rows;   // distance of two channels in the packed weights
  const std::int32_t* column_order;
  const std::int32_t* column_steps;
  std::int64_t columns;
  int steps;
  void* entries;                // room for all events and list_slack more, of 16 or 32 bits
  std::uint32_t* starts;        // [steps][columns + 1]
};

// Rows that gather adds without asking which of them there are, with rows of zeros for the others.
constexpr std::int64_t rows_at_a_time = 4;

// The events of a tile's line with their weights.
struct GatherSource {
  const void* entries;          // numbers of rows, counted from column 0 of the plane
  const std::uint32_t* starts;  // [steps][starts_stride]
  std::int64_t starts_stride;
  const ColumnField* fields;    // [columns]
  const void* rows;             // packed weights of the tile; behind them a row of zeros
  std::int64_t row_count;       // without the row of zeros
  std::int64_t rows_at_once;    // rows of int8 and int16 whose sums stay within 16 bits
};

// One weight per neuron: a tap of a depthwise convolution or an identity path, for a tile's line.
struct MaskedTap {
  const std::uint64_t* bits;    // [step][word], packed as the tile's fields
  std::int64_t step_stride;
  const std::int32_t* weights;  // [width]
  std::int64_t column_stride, offset;  // input column = output column * stride + offset
  std::int64_t columns_in;

  // Whether output column x reads input column x, for all columns.
  bool aligned(std::int64_t columns) const { return column_stride == 1 && offset == 0 && columns <= columns_in; }
};

struct MaskedTaps {
  const MaskedTap* taps;
  int count;
};

// What a line of neurons carries from step to step, [columns][width] each.
struct NeuronStates {
  std::int32_t* v;
  std::int32_t* counts;  // null for dynamics without counts
};

// A line of neurons of a tile.
struct NeuronLine {
  std::int64_t columns;
  int steps;
  NeuronStates states;
  const std::int32_t* threshold;  // [width]
  std::int32_t low, high;         // of the counts
  std::int32_t leak;              // of leaky dynamics
  const std::int32_t* bias;       // [width], or null
  MaskedTaps masked;
  std::uint64_t* fired;           // [plane][steps][fired_stride], packed fields
  std::int64_t fired_stride;      // words of a step
  std::int64_t fired_plane;       // words between two planes
};

// What neurons receive in steps [first, last).
template <class Sum>
struct StepSums {
  int first, last;
  Sum* sums;            // of the first step
  std::int64_t stride;  // elements between two steps
};

struct GatherLine {
  NeuronLine neurons;
  void (*fire)(const NeuronLine&, const StepSums<const std::int32_t>&, std::int64_t column);
  GatherSource sources[2];
  int source_count;
  const char* ahead;            // memory that the next lines will read, to be fetched meanwhile
  std::int64_t ahead_bytes;
};

// Rows of weights to be added in order.
struct AddStream {
  const void* rows;  // [row_count][width]
  std::int64_t row_count;
  std::int64_t passes;
  std::int32_t* sums;  // [width]
};

// Some channels of an input line as strings of bits, so that the field of an output column is one number. Strings
// overlap: every field lies within one 64-bit string.
struct LoadStrings {
  const std::uint64_t* words;   // channel 0, column 0; bit = step
  std::int64_t plane;           // distance of two channels
  int channels;                 // bits per column
  int existing;                 // channels that there are; the other bits are 0
  std::int64_t columns;
  std::int64_t pad;             // column -pad is bit 0 of string 0
  int columns_per_string;       // between the first columns of two strings
  std::int64_t strings;
  int steps;
  std::uint64_t* bits;          // [steps][stride]
  std::int64_t stride;          // at least `strings`, rounded up to 8
};

// The sums of all weights whose bits are set, for one kernel line and some channels.
struct TableLookup {
  const std::uint64_t* strings;  // [step][string]
  const void* rows;              // [number][width], of 16 or 32 bits
};

// Where the field of an output column lies.
struct TableColumn {
  std::int32_t string, shift;
};

struct TableLine {
  NeuronLine neurons;
  const TableLookup* lookups;
  int lookup_count;
  std::int64_t step_stride;      // of the strings
  const TableColumn* columns;    // [neurons.columns]
  std::uint64_t mask;            // of a field
};

// Steps whose sums are in the first-level cache together, at most.
constexpr int chunk_steps = 16;
// Elements of sums and weights that the numbers in events count by.
constexpr std::int64_t chunk_unit = 16;

// Some channels of an input line whose steps of a chunk share a word.
struct ChunkSlot {
  std::int64_t first;   // channel in the words
  int channels;
  std::uint32_t event;  // what all events of the first channel have in common
};

// A column of an input line that reaches neurons.
struct ChunkColumn {
  std::int32_t column;
  std::uint32_t event;  // what all events of the column have in common
};

// The events of an input line, chunk by chunk. An event is (place of its row of weights << 16) + place of the sums that
// the row is added to, both in units of `chunk_unit` elements.
struct ListChunks {
  const std::uint64_t* words;     // of the line: channel 0, column 0; bit = step
  std::int64_t plane;             // distance of two channels
  std::int64_t columns;
  const ChunkSlot* slots;
  int slot_count;
  const ChunkColumn* reaching;
  std::int64_t reaching_count;
  int steps;
  int chunk;                      // steps of a chunk
  int field;                      // bits of a channel in a word that is listed: 8 or 16, at least `chunk`
  const std::uint32_t* bit_events;  // [65]: what a bit of such a word adds to an event
  std::uint64_t* scratch;         // [64 / field][slots][columns], columns rounded up to 8
  std::uint32_t* events;          // room for all events and list_slack more
  std::uint32_t* starts;          // [chunks + 1]
};

// Events whose rows, of `run` elements each, are to be added to sums, of 16 or 32 bits.
struct ChunkEvents {
  const std::uint32_t* first;
  const std::uint32_t* last;
  const void* rows;
  std::int64_t run;
  void* sums;
};

}  // namespace snnc::kernels
