// The table of the kernels of one vector unit. Included once in each vector_*.cpp.
#pragma once

#include "../encode_tile.hpp"
#include "../graded/graded_lines.hpp"
#include "../graded/list_places.hpp"
#include "add_stream.hpp"
#include "chunk.hpp"
#include "gather.hpp"
#include "spike_counts.hpp"
#include "table.hpp"
#include "transpose.hpp"
#include "vector_kernels.hpp"

namespace snnc::kernels::SNNC_SIMD {

// A kernel for all dynamics, in the order of the enum.
#define SNNC_BY_DYNAMICS(kernel, ...)               \
  {kernel<__VA_ARGS__, Dynamics::soft>, kernel<__VA_ARGS__, Dynamics::hard>, \
   kernel<__VA_ARGS__, Dynamics::staircase>, kernel<__VA_ARGS__, Dynamics::leaky_soft>, \
   kernel<__VA_ARGS__, Dynamics::leaky_hard>}
#define SNNC_BY_WIDTH(kernel, ...)                                                             \
  {SNNC_BY_DYNAMICS(kernel, __VA_ARGS__, 16), SNNC_BY_DYNAMICS(kernel, __VA_ARGS__, 32), \
   SNNC_BY_DYNAMICS(kernel, __VA_ARGS__, 64)}
#define SNNC_BY_SUM(kernel, Weight) {kernel<Weight, std::int16_t>, kernel<Weight, std::int32_t>}
#define SNNC_FOR_WIDTHS(kernel) \
  {SNNC_BY_DYNAMICS(kernel, 16), SNNC_BY_DYNAMICS(kernel, 32), SNNC_BY_DYNAMICS(kernel, 64)}

#define SNNC_BY_ENTRY(kernel, ...) {kernel<__VA_ARGS__, std::uint16_t>, kernel<__VA_ARGS__, u32>}
#define SNNC_GATHER(Weight, narrow)                                                                   \
  {SNNC_BY_ENTRY(gather_line, Weight, narrow, 16), SNNC_BY_ENTRY(gather_line, Weight, narrow, 32), \
   SNNC_BY_ENTRY(gather_line, Weight, narrow, 64)}

#define SNNC_GRADED(Rows) {lines_of<Rows, 16>(), lines_of<Rows, 32>(), lines_of<Rows, 64>()}
#define SNNC_ADD_STREAM(Weight) {add_stream<Weight, 16>, add_stream<Weight, 32>, add_stream<Weight, 64>}

// Function pointers of different types: an entry in the wrong place does not compile.
extern const VectorKernels table;
const VectorKernels table = {
    Simd::name,
    costs,
    Simd::row_lane,
    load_line,
    store_line,
    {list_line<std::uint16_t>, list_line<u32>},
    count_spikes,
    count_repeats,
    {SNNC_GATHER(std::int8_t, true), SNNC_GATHER(std::int16_t, true), SNNC_GATHER(std::int16_t, false),
     SNNC_GATHER(std::int32_t, false)},
    SNNC_FOR_WIDTHS(fire_column),
    list_chunks,
    // Sums of weights of 32 bits never fit into 16.
    {SNNC_BY_SUM(add_events, std::int8_t), SNNC_BY_SUM(add_events, std::int16_t),
     {nullptr, add_events<std::int32_t, std::int32_t>}},
    {SNNC_BY_WIDTH(fire_chunk, std::int16_t), SNNC_BY_WIDTH(fire_chunk, std::int32_t)},
    load_strings,
    {SNNC_BY_WIDTH(table_line, std::int16_t), SNNC_BY_WIDTH(table_line, std::int32_t)},
    {SNNC_ADD_STREAM(std::int8_t), SNNC_ADD_STREAM(std::int16_t), SNNC_ADD_STREAM(std::int32_t)},
    encode,
    list_places,
    row_group,
    Simd::lanes,
    {SNNC_GRADED(OneRow<std::int8_t>), SNNC_GRADED(OneRow<std::int16_t>), SNNC_GRADED(OneRow<std::int32_t>),
     SNNC_GRADED(TwoRows), SNNC_GRADED(FourRows)},
};

#undef SNNC_BY_DYNAMICS
#undef SNNC_BY_WIDTH
#undef SNNC_BY_SUM
#undef SNNC_FOR_WIDTHS
#undef SNNC_BY_ENTRY
#undef SNNC_GATHER
#undef SNNC_GRADED
#undef SNNC_ADD_STREAM

}  // namespace snnc::kernels::SNNC_SIMD
