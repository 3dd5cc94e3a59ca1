// The kernels of layers for AVX512. Standard headers come first: nothing of them may be compiled for this unit alone.
#if defined(__x86_64__)
#include "vector_kernels.hpp"

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target( \
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,avx512vpopcntdq," \
        "avx2,bmi,bmi2,popcnt"))), \
    apply_to = function)
#else
// GCC 12 warns of its own header: the unused operand of unmasked intrinsics is undefined on purpose.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,avx512vpopcntdq,avx2,bmi,bmi2,popcnt")
#endif

#define SNNC_SIMD avx512
#include "../simd/avx512.hpp"
#include "vector_table.hpp"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
