// The table of the kernels of one vector unit. Included once in each vector_*.cpp.
#pragma once

#include "../encode_tile.hpp"
#include "add_stream.hpp"
#include "gather.hpp"
#include "scatter.hpp"
#include "table.hpp"
#include "transpose.hpp"

namespace snnc::kernels::SNNC_SIMD {

// A kernel for all dynamics, in the order of the enum.
#define SNNC_BY_DYNAMICS(kernel, ...)               \
  {kernel<__VA_ARGS__, Dynamics::soft>, kernel<__VA_ARGS__, Dynamics::hard>, \
   kernel<__VA_ARGS__, Dynamics::staircase>, kernel<__VA_ARGS__, Dynamics::leaky_soft>, \
   kernel<__VA_ARGS__, Dynamics::leaky_hard>}
#define SNNC_BY_WIDTH(kernel, ...)                                                             \
  {SNNC_BY_DYNAMICS(kernel, __VA_ARGS__, 16), SNNC_BY_DYNAMICS(kernel, __VA_ARGS__, 32), \
   SNNC_BY_DYNAMICS(kernel, __VA_ARGS__, 64)}
#define SNNC_BY_WEIGHT(kernel)                                             \
  {SNNC_BY_WIDTH(kernel, std::int8_t), SNNC_BY_WIDTH(kernel, std::int16_t), \
   SNNC_BY_WIDTH(kernel, std::int32_t)}

#define SNNC_TABLES \
  {SNNC_BY_DYNAMICS(table_line, 16), SNNC_BY_DYNAMICS(table_line, 32), SNNC_BY_DYNAMICS(table_line, 64)}

#define SNNC_ADD_STREAM(Weight) {add_stream<Weight, 16>, add_stream<Weight, 32>, add_stream<Weight, 64>}

// Function pointers of different types: an entry in the wrong place does not compile.
extern const VectorKernels table;
const VectorKernels table = {
    Simd::name,
    Simd::row_lane,
    load_line,
    store_line,
    list_line,
    count_spikes,
    {SNNC_BY_WIDTH(gather_line, std::int8_t, true), SNNC_BY_WIDTH(gather_line, std::int16_t, true),
     SNNC_BY_WIDTH(gather_line, std::int16_t, false), SNNC_BY_WIDTH(gather_line, std::int32_t, false)},
    SNNC_BY_WEIGHT(scatter_band),
    load_strings,
    SNNC_TABLES,
    {SNNC_ADD_STREAM(std::int8_t), SNNC_ADD_STREAM(std::int16_t), SNNC_ADD_STREAM(std::int32_t)},
    encode,
};

#undef SNNC_BY_DYNAMICS
#undef SNNC_BY_WIDTH
#undef SNNC_BY_WEIGHT
#undef SNNC_TABLES
#undef SNNC_ADD_STREAM

}  // namespace snnc::kernels::SNNC_SIMD
