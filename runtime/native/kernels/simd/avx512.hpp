// The vector primitives on AVX-512 (F, BW, DQ, VL, VNNI, VBMI2: Ice Lake, Zen 4 and newer). Meaning: portable.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "../dynamics.hpp"

namespace snnc::kernels::SNNC_SIMD {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

struct Simd {
  static constexpr const char* name = "avx512";
  static constexpr int lanes = 16;
  static constexpr int word_bits = 64;
  using Vector = __m512i;

  static Vector load(const std::int32_t* from) { return _mm512_loadu_si512(from); }
  static void store(std::int32_t* to, Vector v) { _mm512_storeu_si512(to, v); }
  static Vector broadcast(std::int32_t value) { return _mm512_set1_epi32(value); }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static Vector load_row(const std::int32_t* from) { return load(from); }
  static Vector load_row(const std::int16_t* from) {
    return _mm512_maskz_cvtepi16_epi32(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Vector add_where(Vector v, u32 bits, Vector w) {
    return _mm512_mask_add_epi32(v, static_cast<__mmask16>(bits), v, w);
  }

  static u32 not_zero(Vector v) { return _mm512_test_epi32_mask(v, v); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_epi32(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mullo_epi32(a, b); }

  static constexpr bool two_rows = true, four_rows = true;
  template <class Change>
  static Vector broadcast_changes(const Change* changes) {
    std::int32_t all;
    std::memcpy(&all, changes, sizeof all);
    return _mm512_set1_epi32(all);
  }
  static void add_two_rows(
      Vector& low, Vector& high, const std::int16_t* changes, const std::int16_t* first, const std::int16_t* second) {
    const Vector a = _mm512_loadu_si512(first), b = _mm512_loadu_si512(second), both = broadcast_changes(changes);
    low = _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(a, b), both);
    high = _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(a, b), both);
  }
  static void add_four_rows(
      Vector* sum, Vector& added, const std::int8_t* changes, const std::uint8_t* const (&rows)[4]) {
    const Vector a = _mm512_loadu_si512(rows[0]), b = _mm512_loadu_si512(rows[1]);
    const Vector c = _mm512_loadu_si512(rows[2]), d = _mm512_loadu_si512(rows[3]);
    const Vector low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
    const Vector low_too = _mm512_unpacklo_epi8(c, d), high_too = _mm512_unpackhi_epi8(c, d);
    const Vector all = broadcast_changes(changes);
    sum[0] = _mm512_dpbusd_epi32(sum[0], _mm512_unpacklo_epi16(low, low_too), all);
    sum[1] = _mm512_dpbusd_epi32(sum[1], _mm512_unpackhi_epi16(low, low_too), all);
    sum[2] = _mm512_dpbusd_epi32(sum[2], _mm512_unpacklo_epi16(high, high_too), all);
    sum[3] = _mm512_dpbusd_epi32(sum[3], _mm512_unpackhi_epi16(high, high_too), all);
    added = _mm512_dpbusd_epi32(added, _mm512_set1_epi8(-128), all);
  }

  static Vector after_leak(Vector v, Vector leak) { return _mm512_sub_epi32(v, _mm512_srav_epi32(v, leak)); }

  template <Dynamics dynamics>
  static __mmask16 fire(Vector& v, Vector threshold) {
    const __mmask16 fired = _mm512_cmpge_epi32_mask(v, threshold);
    v = keeps_excess(dynamics) ? _mm512_mask_sub_epi32(v, fired, v, threshold)
                               : _mm512_mask_mov_epi32(v, fired, _mm512_setzero_si512());
    return fired;
  }

  template <Dynamics dynamics, int vectors, int own>
  static u64 fire_all(Vector (&v)[vectors], const Vector (&threshold)[own]) {
    __mmask16 fired[4] = {};
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) fired[i] = fire<dynamics>(v[i], threshold[i % own]);
    if constexpr (vectors == 1) return fired[0];
    const __mmask32 low = _mm512_kunpackw(fired[1], fired[0]);
    if constexpr (vectors == 2) return low;
    return _mm512_kunpackd(_mm512_kunpackw(fired[3], fired[2]), low);
  }

  static SignedBits fire_signed(Vector& v, Vector& counts, Vector threshold, Vector low, Vector high) {
    const Vector one = broadcast(1);
    const __mmask16 reached = _mm512_cmpge_epi32_mask(v, threshold);
    const __mmask16 plus = _mm512_mask_cmplt_epi32_mask(reached, counts, high);
    const auto negative = static_cast<__mmask16>(_mm512_movepi32_mask(v) & ~plus);
    const __mmask16 minus = _mm512_mask_cmpgt_epi32_mask(negative, counts, low);
    v = _mm512_mask_sub_epi32(v, plus, v, threshold);
    v = _mm512_mask_add_epi32(v, minus, v, threshold);
    counts = _mm512_mask_sub_epi32(counts, minus, counts, one);
    counts = _mm512_mask_add_epi32(counts, plus, counts, one);
    return {plus, minus};
  }

  typedef u64 Wide __attribute__((vector_size(64), aligned(8), may_alias));
  static Wide multiply_low(Wide a, Wide b) {
    // Masked with ones, which compiles to no mask: GCC 12 warns of its own header's unmasked form.
    return reinterpret_cast<Wide>(
        _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  }
  static Wide or_where_below(Wide v, Wide bits, Wide a, Wide most) {
    const auto below = _mm512_cmple_epu32_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(most));
    const auto old = reinterpret_cast<__m512i>(v);
    return reinterpret_cast<Wide>(_mm512_mask_or_epi32(old, below, old, reinterpret_cast<__m512i>(bits)));
  }

  static Wide count_bits(Wide words) {
    return reinterpret_cast<Wide>(_mm512_popcnt_epi64(reinterpret_cast<__m512i>(words)));
  }

  // A multiply-add of pairs by (1, 0) or (0, 1) widens and adds in one instruction: rows of int16 hold channels i and
  // 16 + i of each 32 next to each other, and so do those of int8, which become int16 first.
  static int row_lane(int width, int channel, int bytes) {
    if (bytes == 4 || width == lanes) return channel;
    const int in_pair = channel % 32;
    return channel - in_pair + 2 * (in_pair % lanes) + in_pair / lanes;
  }

  template <int vectors>
  static void add_row(Vector (&sum)[vectors], const std::int16_t* row) {
    if constexpr (vectors == 1) {
      sum[0] = add(sum[0], load_row(row));
    } else {
      const Vector even = _mm512_set1_epi32(0x00000001);
      const Vector odd = _mm512_set1_epi32(0x00010000);
#pragma GCC unroll 2
      for (int pair = 0; pair < vectors / 2; ++pair) {
        const Vector both = _mm512_loadu_si512(row + 32 * pair);
        sum[2 * pair] = _mm512_dpwssd_epi32(sum[2 * pair], both, even);
        sum[2 * pair + 1] = _mm512_dpwssd_epi32(sum[2 * pair + 1], both, odd);
      }
    }
  }

  template <int vectors>
  static void add_row(Vector (&sum)[vectors], const std::int32_t* row) {
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) sum[i] = add(sum[i], load(row + lanes * i));
  }

  static Vector load_row(const std::int8_t* from) {
    return _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }

  // Sums of `width` channels in 16 bits, in the order of the rows.
  template <int width>
  struct Narrow {
    static constexpr int vectors = width / 32;
    __m512i v[vectors];

    void clear() {
      for (int i = 0; i < vectors; ++i) v[i] = _mm512_setzero_si512();
    }
    void store(std::int16_t* to) const {
      for (int i = 0; i < vectors; ++i) _mm512_storeu_si512(to + 32 * i, v[i]);
    }
    void add(const std::int16_t* row) {
      for (int i = 0; i < vectors; ++i) v[i] = _mm512_add_epi16(v[i], _mm512_loadu_si512(row + 32 * i));
    }
    void add(const std::int8_t* row) {
      for (int i = 0; i < vectors; ++i) {
        const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 32 * i));
        v[i] = _mm512_add_epi16(v[i], _mm512_cvtepi8_epi16(narrow));
      }
    }
    void add_to(Vector (&sum)[2 * vectors]) const {
      const Vector even = _mm512_set1_epi32(0x00000001);
      const Vector odd = _mm512_set1_epi32(0x00010000);
      for (int i = 0; i < vectors; ++i) {
        sum[2 * i] = _mm512_dpwssd_epi32(sum[2 * i], v[i], even);
        sum[2 * i + 1] = _mm512_dpwssd_epi32(sum[2 * i + 1], v[i], odd);
      }
    }
  };

  static u64 low_bits(u64 count) { return _bzhi_u64(~u64{0}, static_cast<u32>(count)); }
  static u64 first_bit(u64 word) { return _tzcnt_u64(word); }

  // A word's fields have 8 or 16 bits. What a bit adds to an event is the sum of what its field and its place in it add.
  template <int field>
  static int list_fields(u64 word, u32 base, const u32* bit_events, u32* to) {
    constexpr int to_high_half = field == 8 ? 13 : 12;
    const int count = static_cast<int>(_mm_popcnt_u64(word));
    __m512i places = places_of(word);
    const __m256i scale = _mm256_set1_epi32(static_cast<int>(bit_events[field] + bit_events[1]));
    const __m256i first = _mm256_set1_epi32(static_cast<int>(base));
    const __m256i low_half = _mm256_set1_epi32(field - 1);
    const __m256i high_half = _mm256_set1_epi32((word_bits / field - 1) << 16);
    for (int done = 0;;) {
      const __m256i wide = _mm256_cvtepu8_epi32(_mm512_castsi512_si128(places));
      const __m256i in_field = _mm256_and_si256(wide, low_half);
      const __m256i fields = _mm256_and_si256(_mm256_slli_epi32(wide, to_high_half), high_half);
      const __m256i offsets = _mm256_mullo_epi16(_mm256_or_si256(in_field, fields), scale);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + done), _mm256_add_epi32(offsets, first));
      done += 8;
      if (__builtin_expect(done >= count, 1)) return count;
      places = _mm512_alignr_epi64(places, places, 1);
    }
  }

  static __m512i places_of(u64 word) {
    const __m512i all = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36,
        35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7,
        6, 5, 4, 3, 2, 1, 0);
    return _mm512_maskz_compress_epi8(word, all);
  }

  static int list_events(u64 word, u32 base, u32 stride, u32* to) {
    const int count = static_cast<int>(_mm_popcnt_u64(word));
    __m512i places = places_of(word);
    const __m256i scale = _mm256_set1_epi32(static_cast<int>(stride));
    const __m256i first = _mm256_set1_epi32(static_cast<int>(base));
    for (int done = 0;;) {
      const __m256i wide = _mm256_cvtepu8_epi32(_mm512_castsi512_si128(places));
      const __m256i offsets = _mm256_add_epi32(_mm256_mullo_epi32(wide, scale), first);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + done), offsets);
      done += 8;
      if (__builtin_expect(done >= count, 1)) return count;
      places = _mm512_alignr_epi64(places, places, 1);
    }
  }

  static int list_events(u64 word, u32 base, u32 stride, std::uint16_t* to) {
    const int count = static_cast<int>(_mm_popcnt_u64(word));
    __m512i places = places_of(word);
    const __m128i scale = _mm_set1_epi16(static_cast<short>(stride));
    const __m128i first = _mm_set1_epi16(static_cast<short>(base));
    for (int done = 0;;) {
      const __m128i wide = _mm_cvtepu8_epi16(_mm512_castsi512_si128(places));
      const __m128i offsets = _mm_add_epi16(_mm_mullo_epi16(wide, scale), first);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + done), offsets);
      done += 8;
      if (__builtin_expect(done >= count, 1)) return count;
      places = _mm512_alignr_epi64(places, places, 1);
    }
  }
};

template <>
struct Simd::Narrow<16> {
  __m256i v;

  void clear() { v = _mm256_setzero_si256(); }
  void load(const std::int16_t* from) { v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  void store(std::int16_t* to) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
  void add(const std::int16_t* row) {
    v = _mm256_add_epi16(v, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
  }
  void add(const std::int8_t* row) {
    v = _mm256_add_epi16(v, _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row))));
  }
  void add_to(Vector (&sum)[1]) const { sum[0] = Simd::add(sum[0], _mm512_maskz_cvtepi16_epi32(0xffff, v)); }
};

}  // namespace snnc::kernels::SNNC_SIMD
