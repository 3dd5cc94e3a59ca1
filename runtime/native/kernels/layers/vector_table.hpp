// The table of the kernels of one vector unit. Included once in each vector_*.cpp.
#pragma once

#include "gather.hpp"
#include "scatter.hpp"
#include "transpose.hpp"

namespace snnc::kernels::SNNC_SIMD {

#define SNNC_BY_RESET(kernel, Weight, width) {kernel<Weight, width, false>, kernel<Weight, width, true>}
#define SNNC_BY_WIDTH(kernel, Weight) \
  {SNNC_BY_RESET(kernel, Weight, 16), SNNC_BY_RESET(kernel, Weight, 32), SNNC_BY_RESET(kernel, Weight, 64)}
#define SNNC_BY_WEIGHT(kernel) {SNNC_BY_WIDTH(kernel, std::int16_t), SNNC_BY_WIDTH(kernel, std::int32_t)}

extern const VectorKernels table;
const VectorKernels table = {
    Simd::name,  Simd::row_lane, load_line,
    store_line,  list_line,      count_spikes,
    SNNC_BY_WEIGHT(gather_line), SNNC_BY_WEIGHT(scatter_band),
};

#undef SNNC_BY_RESET
#undef SNNC_BY_WIDTH
#undef SNNC_BY_WEIGHT

}  // namespace snnc::kernels::SNNC_SIMD
