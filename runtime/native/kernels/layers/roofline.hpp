// What this machine could do at most, measured.
#pragma once

#include <cstdint>

namespace snnc::kernels {

// Additions of weights per second of one thread: rows of `width` (16, 32 or 64) weights of `weight_bytes` (1, 2
// or 4) bytes, which fill `working_set` bytes (4 KiB at least), are read in order again and again and added to sums in
// registers: in 16 bits, of int32 rows in 32. The best of some repetitions of some milliseconds each. 0 for other widths and weights.
double measure_add_stream(std::int64_t working_set, int weight_bytes, int width);

}  // namespace snnc::kernels
