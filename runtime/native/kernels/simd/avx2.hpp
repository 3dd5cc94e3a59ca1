// The vector primitives on AVX2 (x86-64-v3: Haswell, Zen and newer). Meaning: portable.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

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

  static u32 not_zero(Vector v) { return bits_of(_mm256_cmpeq_epi32(v, _mm256_setzero_si256())) ^ 0xff; }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_epi32(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mullo_epi32(a, b); }

  static constexpr bool two_rows = true, four_rows = false;
  static void add_two_rows(
      Vector& low, Vector& high, const std::int16_t* changes, const std::int16_t* first, const std::int16_t* second) {
    const Vector a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first));
    const Vector b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second));
    std::int32_t all;
    std::memcpy(&all, changes, sizeof all);
    const Vector both = broadcast(all);
    low = add(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), both));
    high = add(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), both));
  }
  // Never called: products of bytes are not exact here.
  static void add_four_rows(Vector*, Vector&, const std::int8_t*, const std::uint8_t* const (&)[4]) {}

  static Vector after_leak(Vector v, Vector leak) { return _mm256_sub_epi32(v, _mm256_srav_epi32(v, leak)); }

  template <Dynamics dynamics, int vectors, int own>
  static u64 fire_all(Vector (&v)[vectors], const Vector (&threshold)[own]) {
    static_assert(vectors == 2 || vectors % 4 == 0);
    Vector quiet[vectors];
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) {
      quiet[i] = _mm256_cmpgt_epi32(threshold[i % own], v[i]);
      v[i] = keeps_excess(dynamics) ? _mm256_sub_epi32(v[i], _mm256_andnot_si256(quiet[i], threshold[i % own]))
                                    : _mm256_and_si256(v[i], quiet[i]);
    }
    u64 bits = 0;
    if constexpr (vectors == 2) {
      bits = bits_of(quiet[0]) | bits_of(quiet[1]) << lanes;
    } else {
#pragma GCC unroll 2
      for (int i = 0; i < vectors; i += 4) {
        bits |= u64{bits_of(quiet[i], quiet[i + 1], quiet[i + 2], quiet[i + 3])} << (lanes * i);
      }
    }
    return ~bits;
  }

  static u32 bits_of(Vector a, Vector b, Vector c, Vector d) {
    const Vector packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    const Vector ordered = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return static_cast<u32>(_mm256_movemask_epi8(ordered));
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

  static Wide count_bits(Wide words) {
    const __m256i of_nibbles = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15), all = reinterpret_cast<__m256i>(words);
    const __m256i low = _mm256_shuffle_epi8(of_nibbles, _mm256_and_si256(all, nibble));
    const __m256i high = _mm256_shuffle_epi8(of_nibbles, _mm256_and_si256(_mm256_srli_epi16(all, 4), nibble));
    return reinterpret_cast<Wide>(_mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256()));
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

  // Row after row: the compiler would add them in pairs, for which there are not enough registers.
  static void in_this_order(__m256i& sum) { asm("" : "+x"(sum)); }

  // Sums of `width` channels in 16 bits.
  template <int width>
  struct Narrow {
    static constexpr int vectors = width / 16;
    __m256i v[vectors];

    void clear() {
      for (int i = 0; i < vectors; ++i) v[i] = _mm256_setzero_si256();
    }
    void load(const std::int16_t* from) {
      for (int i = 0; i < vectors; ++i) v[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 16 * i));
    }
    void store(std::int16_t* to) const {
      for (int i = 0; i < vectors; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16 * i), v[i]);
    }
    void add(const std::int16_t* row) {
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) {
        v[i] = _mm256_add_epi16(v[i], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 16 * i)));
        in_this_order(v[i]);
      }
    }
    void add(const std::int8_t* row) {
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) {
        const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 16 * i));
        v[i] = _mm256_add_epi16(v[i], _mm256_cvtepi8_epi16(narrow));
        in_this_order(v[i]);
      }
    }
    void add_to(Vector (&sum)[2 * vectors]) const {
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) widen(v[i], sum[2 * i], sum[2 * i + 1]);
    }
  };

  static void widen(__m256i narrow, Vector& low, Vector& high) {
    low = add(low, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(narrow)));
    high = add(high, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(narrow, 1)));
  }

  static u64 low_bits(u64 count) { return _bzhi_u64(~u64{0}, static_cast<u32>(count)); }
  static u64 first_bit(u64 word) { return _tzcnt_u64(word); }

  template <class Entry>
  static int list_events(u64 word, u32 base, u32 stride, Entry* to) {
    const int count = static_cast<int>(_mm_popcnt_u64(word));
    const auto next = [&] {
      const u64 place = _tzcnt_u64(word);
      word = _blsr_u64(word);
      return static_cast<Entry>(base + static_cast<u32>(place) * stride);
    };
    // Three events without asking whether they are there: most words hold no more.
    to[0] = next();
    to[1] = next();
    to[2] = next();
    for (int i = 3; i < count; ++i) to[i] = next();
    return count;
  }

  template <int field>
  static int list_fields(u64 word, u32 base, const u32* bit_events, u32* to) {
    const int count = static_cast<int>(_mm_popcnt_u64(word));
    const auto next = [&] {
      const u64 place = _tzcnt_u64(word);
      word = _blsr_u64(word);
      return base + bit_events[place];
    };
    to[0] = next();
    to[1] = next();
    to[2] = next();
    for (int i = 3; i < count; ++i) to[i] = next();
    return count;
  }
};

}  // namespace snnc::kernels::SNNC_SIMD
