// The vector primitives on AVX2 (x86-64-v3: Haswell, Zen and newer). Meaning: portable.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "../dynamics.hpp"

namespace snnc::kernels::SNNC_SIMD {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

struct Simd {
  static constexpr const char* name = "avx2";
  static constexpr int lanes = 8;
  using Vector = __m256i;

  static Vector load(const std::int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static void store(std::int32_t* to, Vector v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
  static Vector broadcast(std::int32_t value) { return _mm256_set1_epi32(value); }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  static Vector load_row(const std::int32_t* from) { return load(from); }
  static Vector load_row(const std::int16_t* from) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Vector add_where(Vector v, u32 bits, Vector w) {
    const Vector lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const Vector chosen = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane_bits);
    return add(v, _mm256_and_si256(w, _mm256_cmpeq_epi32(chosen, lane_bits)));
  }

  static u32 bits_of(Vector mask) { return static_cast<u32>(_mm256_movemask_ps(_mm256_castsi256_ps(mask))); }

  static Vector after_leak(Vector v, Vector leak) { return _mm256_sub_epi32(v, _mm256_srav_epi32(v, leak)); }

  template <Dynamics dynamics>
  static u32 fire(Vector& v, Vector threshold) {
    const Vector quiet = _mm256_cmpgt_epi32(threshold, v);
    v = keeps_excess(dynamics) ? _mm256_sub_epi32(v, _mm256_andnot_si256(quiet, threshold))
                               : _mm256_and_si256(v, quiet);
    return 0xffu ^ bits_of(quiet);
  }

  static SignedBits fire_signed(Vector& v, Vector& counts, Vector threshold, Vector low, Vector high) {
    const Vector plus = _mm256_andnot_si256(_mm256_cmpgt_epi32(threshold, v), _mm256_cmpgt_epi32(high, counts));
    const Vector negative = _mm256_and_si256(_mm256_srai_epi32(v, 31), _mm256_cmpgt_epi32(counts, low));
    const Vector minus = _mm256_andnot_si256(plus, negative);
    v = add(_mm256_sub_epi32(v, _mm256_and_si256(plus, threshold)), _mm256_and_si256(minus, threshold));
    counts = add(_mm256_sub_epi32(counts, plus), minus);  // a lane of a mask is -1
    return {bits_of(plus), bits_of(minus)};
  }

  typedef u64 Wide __attribute__((vector_size(32), aligned(8), may_alias));
  static Wide multiply_low(Wide a, Wide b) {
    return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
  }
  static Wide or_where_below(Wide v, Wide bits, Wide a, Wide most) {
    const auto limit = reinterpret_cast<__m256i>(most);
    const auto below = _mm256_cmpeq_epi32(_mm256_max_epu32(reinterpret_cast<__m256i>(a), limit), limit);
    return v | (bits & reinterpret_cast<Wide>(below));
  }

  static int row_lane(int, int channel, int) { return channel; }

  template <int vectors, class Weight>
  static void add_row(Vector (&sum)[vectors], const Weight* row) {
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) sum[i] = add(sum[i], load_row(row + lanes * i));
  }

  static Vector load_row(const std::int8_t* from) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }

  // Sums of `width` channels in 16 bits.
  template <int width>
  struct Narrow {
    static constexpr int vectors = width / 16;
    __m256i v[vectors];

    void clear() {
      for (int i = 0; i < vectors; ++i) v[i] = _mm256_setzero_si256();
    }
    void add(const std::int16_t* row) {
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) {
        v[i] = _mm256_add_epi16(v[i], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 16 * i)));
      }
    }
    void add(const std::int8_t* row) {
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) {
        const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 16 * i));
        v[i] = _mm256_add_epi16(v[i], _mm256_cvtepi8_epi16(narrow));
      }
    }
    void add_to(Vector (&sum)[2 * vectors]) const {
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) {
        sum[2 * i] = Simd::add(sum[2 * i], _mm256_cvtepi16_epi32(_mm256_castsi256_si128(v[i])));
        sum[2 * i + 1] = Simd::add(sum[2 * i + 1], _mm256_cvtepi16_epi32(_mm256_extracti128_si256(v[i], 1)));
      }
    }
  };

  static int list_events(u64 word, u32 base, u32 stride, u32* to) {
    const int count = static_cast<int>(_mm_popcnt_u64(word));
    // Two events without asking whether they are there: most words hold no more.
    to[0] = base + static_cast<u32>(_tzcnt_u64(word)) * stride;
    word = _blsr_u64(word);
    to[1] = base + static_cast<u32>(_tzcnt_u64(word)) * stride;
    if (__builtin_expect(count > 2, 0)) {
      for (int i = 2; i < count; ++i) {
        word = _blsr_u64(word);
        to[i] = base + static_cast<u32>(_tzcnt_u64(word)) * stride;
      }
    }
    return count;
  }
};

}  // namespace snnc::kernels::SNNC_SIMD
