// The vector primitives that the kernels of layers are written on, in GCC and Clang vector types: SSE2, NEON, ...
//
// avx2.hpp and avx512.hpp define the same struct. Arithmetic on potentials is modulo 2^32, as in the ONNX form.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "../dynamics.hpp"

namespace snnc::kernels::SNNC_SIMD {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

struct Simd {
  static constexpr const char* name = "portable";
  static constexpr int lanes = 4;
  typedef u32 Vector __attribute__((vector_size(16)));
  typedef std::int32_t Signed __attribute__((vector_size(16)));
  typedef std::int16_t Short __attribute__((vector_size(8)));
  typedef std::int8_t Byte __attribute__((vector_size(4)));

  static Vector load(const std::int32_t* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(std::int32_t* to, Vector v) { std::memcpy(to, &v, sizeof v); }
  static Vector broadcast(std::int32_t value) {
    const u32 bits = static_cast<u32>(value);
    return Vector{bits, bits, bits, bits};
  }
  static Vector add(Vector a, Vector b) { return a + b; }

  // `lanes` weights of a row, in the order of the channels.
  static Vector load_row(const std::int32_t* from) { return load(from); }
  static Vector load_row(const std::int16_t* from) {
    Short row;
    std::memcpy(&row, from, sizeof row);
    return reinterpret_cast<Vector>(__builtin_convertvector(row, Signed));
  }

  static Vector load_row(const std::int8_t* from) {
    Byte row;
    std::memcpy(&row, from, sizeof row);
    return reinterpret_cast<Vector>(__builtin_convertvector(row, Signed));
  }

  // A bit for each lane that is not 0.
  static u32 not_zero(Vector v) { return (v[0] != 0) | (v[1] != 0) << 1 | (v[2] != 0) << 2 | (v[3] != 0) << 3; }

  static Vector subtract(Vector a, Vector b) { return a - b; }
  static Vector multiply(Vector a, Vector b) { return a * b; }

  // Whether rows of weights are multiplied and added two by two, in 16 bits, or four by four, in 8 bits: `low` and `high`
  // get the products of interleaved rows with as many changes (see ../graded/rows.hpp).
  static constexpr bool two_rows = false, four_rows = false;
  static void add_two_rows(Vector&, Vector&, const std::int16_t*, const std::int16_t*, const std::int16_t*) {}
  static void add_four_rows(Vector*, Vector&, const std::int8_t*, const std::uint8_t* const (&)[4]) {}

  // v + w in the lanes whose bit is set.
  static Vector add_where(Vector v, u32 bits, Vector w) {
    const Vector lane_bits = {1, 2, 4, 8};
    const Vector spread = {bits, bits, bits, bits};
    return v + (w & reinterpret_cast<Vector>((spread & lane_bits) != 0));
  }

  static u32 bits_of(Vector mask) { return (mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8); }

  // v - floor(v / 2^leak); `leak` is the same in all lanes.
  static Vector after_leak(Vector v, Vector leak) {
    return v - reinterpret_cast<Vector>(reinterpret_cast<Signed>(v) >> reinterpret_cast<Signed>(leak));
  }

  // One bit per lane with v >= threshold; these lanes lose the threshold (soft reset) or become 0 (hard).
  template <Dynamics dynamics>
  static u32 fire(Vector& v, Vector threshold) {
    const Vector fired = reinterpret_cast<Vector>(reinterpret_cast<Signed>(v) >= reinterpret_cast<Signed>(threshold));
    v = keeps_excess(dynamics) ? v - (fired & threshold) : v & ~fired;
    return bits_of(fired);
  }

  // The same of several vectors, the bits of the first one lowest; higher bits than theirs mean nothing. Thresholds begin
  // again after `own` vectors.
  template <Dynamics dynamics, int vectors, int own>
  static u64 fire_all(Vector (&v)[vectors], const Vector (&threshold)[own]) {
    u64 bits = 0;
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) bits |= u64{fire<dynamics>(v[i], threshold[i % own])} << (i * lanes);
    return bits;
  }

  // A step of the staircase.
  static SignedBits fire_signed(Vector& v, Vector& counts, Vector threshold, Vector low, Vector high) {
    const auto potential = reinterpret_cast<Signed>(v), count = reinterpret_cast<Signed>(counts);
    const Vector plus = reinterpret_cast<Vector>(
        (potential >= reinterpret_cast<Signed>(threshold)) & (count < reinterpret_cast<Signed>(high)));
    const Vector minus =
        reinterpret_cast<Vector>((potential < 0) & (count > reinterpret_cast<Signed>(low))) & ~plus;
    v = v - (plus & threshold) + (minus & threshold);
    counts = counts - plus + minus;  // a lane of a mask is -1
    return {bits_of(plus), bits_of(minus)};
  }

  // 64-bit lanes: products of their low halves.
  typedef u64 Wide __attribute__((vector_size(16), aligned(8), may_alias));
  static Wide multiply_low(Wide a, Wide b) {
#if defined(__SSE2__)  // which GCC would not think of
    return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
  }

  // v | bits in the 32-bit lanes with a <= most, unsigned.
  static Wide or_where_below(Wide v, Wide bits, Wide a, Wide most) {
    return v | (bits & reinterpret_cast<Wide>(reinterpret_cast<Vector>(a) <= reinterpret_cast<Vector>(most)));
  }

  // The number of set bits of each 64-bit lane.
  static Wide count_bits(Wide words) {
    return Wide{static_cast<u64>(__builtin_popcountll(words[0])), static_cast<u64>(__builtin_popcountll(words[1]))};
  }

  // Place of a channel in a packed row of `width` weights of `bytes` bytes.
  static int row_lane(int, int channel, int) { return channel; }

  // Adds a packed row of `vectors * lanes` weights.
  template <int vectors, class Weight>
  static void add_row(Vector (&sum)[vectors], const Weight* row) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) sum[i] = add(sum[i], load_row(row + lanes * i));
  }

  // Sums of `width` channels in 16 bits, in the order of the rows; whoever adds knows how many rows they hold.
  template <int width>
  struct Narrow {
    typedef std::uint16_t Sums __attribute__((vector_size(16)));  // modulo 2^16: what nobody reads may leave 16 bits
    typedef std::int16_t SignedSums __attribute__((vector_size(16)));
    typedef std::int8_t Bytes __attribute__((vector_size(8)));
    static constexpr int vectors = width / 8;
    Sums v[vectors];

    void clear() {
      for (int i = 0; i < vectors; ++i) v[i] = Sums{};
    }
    void load(const std::int16_t* from) { std::memcpy(v, from, sizeof v); }
    void store(std::int16_t* to) const { std::memcpy(to, v, sizeof v); }
    void add(const std::int16_t* row) {
      for (int i = 0; i < vectors; ++i) {
        Sums weights;
        std::memcpy(&weights, row + 8 * i, sizeof weights);
        v[i] += weights;
      }
    }
    void add(const std::int8_t* row) {
      for (int i = 0; i < vectors; ++i) {
        Bytes weights;
        std::memcpy(&weights, row + 8 * i, sizeof weights);
        v[i] += reinterpret_cast<Sums>(__builtin_convertvector(weights, SignedSums));
      }
    }
    void add_to(Vector (&sum)[2 * vectors]) const {
      for (int i = 0; i < vectors; ++i) {
        Short halves[2];
        std::memcpy(halves, &v[i], sizeof halves);
        for (int half = 0; half < 2; ++half) {
          sum[2 * i + half] += reinterpret_cast<Vector>(__builtin_convertvector(halves[half], Signed));
        }
      }
    }
  };

  // A word whose lowest `count` bits (0 to 64) are set.
  static u64 low_bits(u64 count) { return count >= 64 ? ~u64{0} : (u64{1} << count) - 1; }

  // Place of the lowest bit that is set, 64 if there is none.
  static u64 first_bit(u64 word) { return word == 0 ? 64 : static_cast<u64>(__builtin_ctzll(word)); }

  // Writes base + place * stride for every set bit of `word`, in order, and returns how many there are. May write up to
  // 16 entries more than that.
  template <class Entry>
  static int list_events(u64 word, u32 base, u32 stride, Entry* to) {
    int count = 0;
    for (; word != 0; word &= word - 1) {
      to[count++] = static_cast<Entry>(base + static_cast<u32>(__builtin_ctzll(word)) * stride);
    }
    return count;
  }

  // Of a word whose fields have 8 or 16 bits: writes base + bit_events[place] for every set bit, in order, and returns how
  // many there are. May write up to 8 more than that.
  template <int field>
  static int list_fields(u64 word, u32 base, const u32* bit_events, u32* to) {
    const int count = __builtin_popcountll(word);
    // Three without asking whether they are there: most words hold no more.
    for (int i = 0; i < 3; ++i, word &= word - 1) to[i] = base + bit_events[first_bit(word)];
    for (int i = 3; i < count; ++i, word &= word - 1) to[i] = base + bit_events[first_bit(word)];
    return count;
  }
};

}  // namespace snnc::kernels::SNNC_SIMD
