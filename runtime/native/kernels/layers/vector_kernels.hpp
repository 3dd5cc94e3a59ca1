// The table of the vector kernels, one for each vector unit.
#pragma once

#include "../graded/tasks.hpp"
#include "costs.hpp"
#include "tasks.hpp"

namespace snnc::kernels {

constexpr int weight_types = 3;
constexpr int bytes_index(int bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : 2; }
constexpr int width_index(int width) { return width == 16 ? 0 : width == 32 ? 1 : 2; }
constexpr int dynamics_index(Dynamics dynamics) { return static_cast<int>(dynamics); }

// Kinds of rows of graded layers: one of int8, int16 or int32, two of int16, four of int8.
constexpr int graded_rows = 5;
constexpr int graded_index(RowGroup group, int bytes) {
  return group == RowGroup::one ? bytes_index(bytes) : group == RowGroup::two ? 3 : 4;
}

constexpr int size_index(int bytes) { return bytes == 2 ? 0 : 1; }

// Indices: bytes of a weight (1, 2, 4; gather: int8, int16 with sums in 16 bits, int16, int32), bytes of an entry of a list
// or of a sum (2, 4), width of the tile (16, 32, 64), dynamics.
struct VectorKernels {
  const char* name;
  const KernelCosts& costs;
  int (*row_lane)(int width, int channel, int bytes);
  void (*load_line)(const LoadLine&);
  void (*store_line)(const StoreLine&);
  std::int64_t (*list_line[2])(const ListLine&);
  std::int64_t (*count_spikes)(const std::uint64_t* words, std::int64_t size);
  void (*count_repeats)(const std::uint64_t* words, std::int64_t size, std::int64_t period, std::int64_t repeats,
                        std::int64_t* counts);
  void (*gather_line[weight_types + 1][3][2])(const GatherLine&);
  void (*fire_column[3][dynamics_count])(const NeuronLine&, const StepSums<const std::int32_t>&, std::int64_t column);
  void (*list_chunks)(const ListChunks&);
  void (*add_events[weight_types][2])(const ChunkEvents&);
  void (*fire_chunk[2][3][dynamics_count])(const NeuronLine&, StepSums<void>);
  void (*load_strings)(const LoadStrings&);
  void (*table_line[2][3][dynamics_count])(const TableLine&);  // bytes of a number (2, 4), width, dynamics
  void (*add_stream[weight_types][3])(const AddStream&);
  void (*encode)(const EncodeSample&, std::int64_t tile);
  std::int64_t (*list_places)(const std::int32_t* changes, std::int64_t size, std::uint32_t* to);
  RowGroup (*row_group)(int width, int bytes);
  int row_lanes;  // that rows of graded layers are interleaved for (see ../graded/rows.hpp)
  ChangeTotals (*graded_lines[graded_rows][3])(const GradedLines&);  // one row of 1, 2, 4 bytes, two rows, four rows; width
};

// The kernels for the vector unit of this machine (or that of the environment variable SNNC_SIMD).
const VectorKernels& vector_kernels();

}  // namespace snnc::kernels
