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
  const std::uint64_t* fired;  // [64][words_of_line(columns, packed)]; rows of steps that are not simulated are zero
  std::int64_t columns;
  int packed;
  int channels;                // channels of the tile that exist
  std::uint64_t* words;        // channel 0, column 0; bit = step
  std::int64_t plane;
};

// Up to 64 channels of an input line under a kernel line.
struct ListWord {
  const std::uint64_t* bits;  // [step][column]
  std::uint32_t base;         // offset of the first of these channels, kernel column 0
};

// Entries that are written beyond the end of a list.
constexpr std::int64_t list_slack = 16;

// The events of an output line, step by step, ordered by column.
struct ListLine {
  const ListWord* words;        // of every column
  int word_count;
  std::int64_t step_stride;     // of the bits
  std::uint32_t channel_bytes;  // distance of two channels in the packed weights
  std::uint32_t column_bytes;   // of two kernel columns
  const std::int32_t* column_order;
  const std::int32_t* column_steps;
  std::int64_t columns;
  int steps;
  std::uint32_t* entries;       // room for all events and list_slack more
  std::uint32_t* starts;        // [steps][columns + 1]
};

// The events of a tile's line with their weights.
struct GatherSource {
  const std::uint32_t* entries;
  const std::uint32_t* starts;  // [steps][starts_stride]
  std::int64_t starts_stride;
  const ColumnField* fields;    // [columns]
  const void* rows;             // packed weights of the tile
  std::int64_t column_bytes;    // distance of two kernel columns in them
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

struct GatherLine {
  NeuronLine neurons;
  GatherSource sources[2];
  int source_count;
};

// Where the events of an input column go in a band of membrane potentials, and with which part of a row of weights.
struct ScatterColumn {
  std::int32_t potential;  // elements
  std::int32_t weight;     // elements
  std::int32_t size;       // elements; 0 if the column reaches no neuron
};

// An output line that the events of an input line reach.
struct ScatterTarget {
  std::int64_t potential;  // elements
  std::int64_t weight;     // elements
};

struct ScatterLine {
  const std::uint64_t* bits;  // [step][slot][word]
  std::uint32_t first_field;  // of the line, in `ScatterSource::columns`
};

// Input lines whose events reach the same lines, seen from their first one.
struct ScatterGroup {
  const ScatterLine* lines;
  int line_count;
  const ScatterTarget* targets;
  int target_count;
  bool regular;               // targets lie at equal distances, the first one at potential 0
};

struct ScatterSource {
  const ScatterGroup* groups;
  int group_count;
  std::int64_t step_stride;       // of the bits
  int packed;                     // columns per word of the bits
  int channel_bits;               // an event is (field << channel_bits) + channel
  int slots;
  const std::uint32_t* slot_channel;  // [slots]: first channel of a slot
  std::int64_t words_per_slot;
  const ScatterColumn* columns;   // by line and field
  const void* rows;               // [channel][row_size]
  std::int64_t row_size;          // elements
  std::int64_t run;               // elements of every column's run if all are equal, else 0
};

// A band of output lines of a layer with one tile of output channels.
struct ScatterBand {
  const NeuronLine* lines;        // [line_count]
  int line_count;
  int steps;
  std::int32_t* v;                // potentials of line 0; those of the other lines follow at equal distances
  ScatterSource sources[2];
  int source_count;
  std::uint32_t* events;          // scratch: all events of one step, and list_slack more
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
  const std::int32_t* rows;      // [number][width]
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

constexpr int weight_types = 3;
constexpr int bytes_index(int bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : 2; }
constexpr int width_index(int width) { return width == 16 ? 0 : width == 32 ? 1 : 2; }
constexpr int dynamics_index(Dynamics dynamics) { return static_cast<int>(dynamics); }

// Indices: bytes of a weight (1, 2, 4; gather: int8, int16 and int16 with sums in 16 bits, int32), width of the tile (16, 32, 64), dynamics.
struct VectorKernels {
  const char* name;
  int (*row_lane)(int width, int channel, int bytes);
  void (*load_line)(const LoadLine&);
  void (*store_line)(const StoreLine&);
  std::int64_t (*list_line)(const ListLine&);
  std::int64_t (*count_spikes)(const std::uint64_t* words, std::int64_t size);
  void (*gather_line[weight_types + 1][3][dynamics_count])(const GatherLine&);
  void (*scatter_band[weight_types][3][dynamics_count])(const ScatterBand&);
  void (*load_strings)(const LoadStrings&);
  void (*table_line[3][dynamics_count])(const TableLine&);  // by width and dynamics
  void (*add_stream[weight_types][3])(const AddStream&);
  void (*encode)(const EncodeSample&, std::int64_t tile);
};

// The kernels for the vector unit of this machine (or that of the environment variable SNNC_SIMD).
const VectorKernels& vector_kernels();

}  // namespace snnc::kernels
