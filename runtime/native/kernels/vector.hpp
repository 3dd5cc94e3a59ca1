// How kernels reach the vector units of the machine they run on.
//
// The library is compiled for the oldest CPU of its architecture. Hot functions are plain loops that the compiler
// vectorises; on x86-64 they are compiled once more for AVX2 (x86-64-v3) and AVX-512 (x86-64-v4), and the loader picks
// the best version. All arithmetic is on integers or is a single correctly rounded float32 operation, so every version
// gives the same bits.
#pragma once

#include <cstdint>  // also brings in __GLIBC__: dispatch needs the C library's support for indirect functions

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(SNNC_NO_VECTOR_CLONES)
#define SNNC_VECTOR_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
// For functions that count bits: later CPUs have a vector instruction for it.
#define SNNC_POPCOUNT_CLONES \
  __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4", "arch=icelake-server")))
#else
#define SNNC_VECTOR_CLONES
#define SNNC_POPCOUNT_CLONES
#endif

// For helpers of the functions above: they must be compiled for the caller's CPU, not for the oldest one.
#define SNNC_ALWAYS_INLINE __attribute__((always_inline)) inline

namespace snnc::kernels {

// A block of spikes is a uint64 word per neuron. Loops work on its two halves, so that all vector lanes have 32 bits.
constexpr int steps_per_half = 32;

struct WordHalves {
  std::uint32_t low, high;
};

SNNC_ALWAYS_INLINE WordHalves split_word(std::uint64_t word) {
  return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> steps_per_half)};
}

SNNC_ALWAYS_INLINE std::uint64_t join_word(std::uint32_t low, std::uint32_t high) {
  return low | static_cast<std::uint64_t>(high) << steps_per_half;
}

}  // namespace snnc::kernels
