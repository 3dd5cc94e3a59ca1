// The kernels of layers for AVX2. Standard headers come first: nothing of them may be compiled for this unit alone.
#if defined(__x86_64__)
#include "vector_kernels.hpp"

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target( \
    "avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,bmi,bmi2,popcnt")
#endif

#define SNNC_SIMD avx2
#include "../simd/avx2.hpp"
#include "vector_table.hpp"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
