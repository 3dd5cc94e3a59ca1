// The neurons of a pixel: what all kernels do after the events of a step.
#pragma once

#include "../vector.hpp"
#include "tasks.hpp"

namespace snnc::kernels::SNNC_SIMD {

template <int width>
struct FieldOf;
template <>
struct FieldOf<16> {
  typedef std::uint16_t type __attribute__((may_alias));
};
template <>
struct FieldOf<32> {
  typedef std::uint32_t type __attribute__((may_alias));
};
template <>
struct FieldOf<64> {
  typedef std::uint64_t type __attribute__((may_alias));
};

// A number for each of `width` neurons of a pixel, or of as many pixels whose columns share a word: eight columns apart.
template <int width, int columns = 1>
struct Pixel {
  static constexpr int own = width / Simd::lanes;  // vectors of a column
  static constexpr int vectors = columns * own;
  using Field = typename FieldOf<columns * width>::type;
  Simd::Vector v[vectors];

  // Where the numbers of a vector lie in [column][width].
  static constexpr std::int64_t place(int vector) {
    return vector / own * columns_at_once * width + vector % own * Simd::lanes;
  }

  void load(const std::int32_t* from) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) v[i] = Simd::load(from + place(i));
  }

  void store(std::int32_t* to) const {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) Simd::store(to + place(i), v[i]);
  }

  void add(const std::int32_t* current) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) v[i] = Simd::add(v[i], Simd::load(current + place(i)));
  }

  // To the neurons of one of the columns.
  template <class Number>
  void add_to(int column, const Number* current) {
#pragma GCC unroll 16
    for (int i = 0; i < own; ++i) {
      v[column * own + i] = Simd::add(v[column * own + i], Simd::load_row(current + i * Simd::lanes));
    }
  }

  // The same for all columns.
  void add_bias(const std::int32_t* bias) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) v[i] = Simd::add(v[i], Simd::load(bias + i % own * Simd::lanes));
  }

  void add_where(u64 bits, const std::int32_t* weights) {
#pragma GCC unroll 16
    for (int i = 0; i < vectors; ++i) {
      const auto chosen = static_cast<u32>(bits >> (i * Simd::lanes)) & ((1u << Simd::lanes) - 1);
      v[i] = Simd::add_where(v[i], chosen, Simd::load(weights + i * Simd::lanes));
    }
  }

  // `field` is that of `column`. Inline whatever the compiler thinks: potentials are to stay in registers.
  SNNC_ALWAYS_INLINE void add_masked(const MaskedTaps& masked, int step, std::int64_t column, std::int64_t field) {
    static_assert(columns == 1);
    for (int i = 0; i < masked.count; ++i) {
      const MaskedTap& tap = masked.taps[i];
      const auto* fields = reinterpret_cast<const Field*>(tap.bits + step * tap.step_stride);
      if (tap.column_stride == 1 && tap.offset == 0) {  // an identity path, or the middle of a kernel
        if (column < tap.columns_in) add_where(fields[field], tap.weights);
        continue;
      }
      const std::int64_t input = column * tap.column_stride + tap.offset;
      if (input < 0 || input >= tap.columns_in) continue;
      add_where(fields[field_of_column(input, columns_per_word(width))], tap.weights);
    }
  }
};

// The neurons of a `Pixel`, by their dynamics: what they carry from step to step, how a step begins (`leak`) and how
// it ends (`fire`). `Constants` are the same for all pixels of a line. `fire` writes a field of each bit plane; `plane`
// is the distance of two of these. This is for dynamics that have the potential alone.
template <int neurons, Dynamics dynamics, int columns = 1>
struct Neurons {
  static constexpr int width = neurons;
  static_assert(!has_counts(dynamics) && planes_of(dynamics) == 1);
  using Pixels = Pixel<width, columns>;
  using Field = typename Pixels::Field;

  struct Constants {
    Pixel<width> threshold;
    Simd::Vector leak;
    explicit Constants(const NeuronLine& line) : leak(Simd::broadcast(line.leak)) { threshold.load(line.threshold); }
  };

  Pixels potential;

  void load(const NeuronStates& states, std::int64_t element) { potential.load(states.v + element); }
  void store(const NeuronStates& states, std::int64_t element) const { potential.store(states.v + element); }

  template <class Shared>
  void leak([[maybe_unused]] const Shared& constants) {
    if constexpr (leaks(dynamics)) {
#pragma GCC unroll 16
      for (int i = 0; i < Pixels::vectors; ++i) potential.v[i] = Simd::after_leak(potential.v[i], constants.leak);
    }
  }

  template <class Shared>
  void fire(const Shared& constants, Field* fired, std::int64_t) {
    *fired = static_cast<Field>(Simd::fire_all<dynamics>(potential.v, constants.threshold.v));
  }
};

template <int neurons, int columns>
struct Neurons<neurons, Dynamics::staircase, columns> {
  static constexpr int width = neurons;
  using Pixels = Pixel<width, columns>;
  using Field = typename Pixels::Field;

  struct Constants {
    Pixel<width> threshold;
    Simd::Vector low, high;
    explicit Constants(const NeuronLine& line) : low(Simd::broadcast(line.low)), high(Simd::broadcast(line.high)) {
      threshold.load(line.threshold);
    }
  };

  Pixels potential, counts;

  void load(const NeuronStates& states, std::int64_t element) {
    potential.load(states.v + element);
    counts.load(states.counts + element);
  }
  void store(const NeuronStates& states, std::int64_t element) const {
    potential.store(states.v + element);
    counts.store(states.counts + element);
  }

  template <class Shared>
  void leak(const Shared&) {}

  template <class Shared>
  void fire(const Shared& constants, Field* fired, std::int64_t plane) {
    u64 plus = 0, minus = 0;
#pragma GCC unroll 16
    for (int i = 0; i < Pixels::vectors; ++i) {
      const SignedBits lanes = Simd::fire_signed(
          potential.v[i], counts.v[i], constants.threshold.v[i % Pixels::own], constants.low, constants.high);
      plus |= u64{lanes.plus} << (i * Simd::lanes);
      minus |= u64{lanes.minus} << (i * Simd::lanes);
    }
    fired[0] = static_cast<Field>(plus);
    fired[plane] = static_cast<Field>(minus);
  }
};

// Columns that go through their steps together, so that they do not wait for each other: those of a word, if there are
// enough registers.
template <int width, Dynamics dynamics>
constexpr int columns_together = has_counts(dynamics) && Simd::lanes < 16 ? 1 : columns_per_word(width);

// Of the word of `column`: calls `walker.go<columns>(column)` for the columns from this one on, eight apart.
template <int together, class Walker>
inline void walk_word(std::int64_t columns, std::int64_t column, const Walker& walker) {
  const std::int64_t left = (columns - column + columns_at_once - 1) / columns_at_once;
  if (left >= together) return walker.template go<together>(column);
  if constexpr (together == 4) {
    if (left == 3) walker.template go<1>(column + 2 * columns_at_once);
    if (left > 1) return walker.template go<2>(column);
  }
  walker.template go<1>(column);
}

// All columns of a line, at most `together` of a word at a time.
template <int together, class Walker>
inline void walk_words(std::int64_t columns, const Walker& walker) {
  for (std::int64_t first = 0; first < columns; first += columns_at_once * together) {
    for (std::int64_t column = first; column < first + columns_at_once && column < columns; ++column) {
      walk_word<together>(columns, column, walker);
    }
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
