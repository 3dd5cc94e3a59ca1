// Neurons of a pixel go through some steps, once the events of these have been added up.
#pragma once

#include "neuron_line.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Written out: for so many bytes the compiler would call a function or a slow instruction.
template <int width>
inline void clear_sums(std::int16_t* sums) {
  typename Simd::template Narrow<width> zeros;
  zeros.clear();
  zeros.store(sums);
}

template <int width>
inline void clear_sums(std::int32_t* sums) {
  static_assert(width % Simd::lanes == 0);
#pragma GCC unroll 16
  for (int i = 0; i < width; i += Simd::lanes) Simd::store(sums + i, Simd::broadcast(0));
}

// Sums to which events are added become 0.
template <int width, int columns, class Sum>
inline void take_sums(Pixel<width, columns>& pixel, Sum* sums) {
  using Pixels = Pixel<width, columns>;
#pragma GCC unroll 16
  for (int i = 0; i < Pixels::vectors; ++i) {
    pixel.v[i] = Simd::add(pixel.v[i], Simd::load_row(sums + Pixels::place(i)));
  }
#pragma GCC unroll 4
  for (int column = 0; column < columns; ++column) clear_sums<width>(sums + Pixels::place(column * Pixels::own));
}

template <int width, int columns>
inline void take_sums(Pixel<width, columns>& pixel, const std::int32_t* sums) {
  pixel.add(sums);
}

// What neurons get besides sums: nothing, a bias, or a bias and what masked taps let through.
enum class Extra { none, bias, masked };

// The pixel of `column`, and those that go with it. `steps.sums` are its own.
template <class Pixels, Extra extra, class Constants, class Sum>
SNNC_ALWAYS_INLINE void go_through(
    const NeuronLine& neurons, const Constants& constants, const StepSums<Sum>& steps, std::int64_t column) {
  using Field = typename Pixels::Field;
  constexpr int width = Pixels::width, packed = columns_per_word(width), fields = sizeof(u64) / sizeof(Field);
  const std::int64_t fired_stride = neurons.fired_stride * fields, fired_plane = neurons.fired_plane * fields;
  const std::int64_t field = field_of_column(column, packed);
  auto* fired = reinterpret_cast<Field*>(neurons.fired) + field * fields / packed + steps.first * fired_stride;
  Pixels pixel;
  pixel.load(neurons.states, column * width);
  Sum* sums = steps.sums;
  for (int step = steps.first; step < steps.last; ++step, fired += fired_stride, sums += steps.stride) {
    pixel.leak(constants);
    take_sums(pixel.potential, sums);
    if constexpr (extra != Extra::none) {
      if (extra == Extra::bias || neurons.bias != nullptr) pixel.potential.add_bias(neurons.bias);
    }
    if constexpr (extra == Extra::masked) pixel.potential.add_masked(neurons.masked, step, column, field);
    pixel.fire(constants, fired, fired_plane);
  }
  pixel.store(neurons.states, column * width);
}

template <int width, Dynamics dynamics>
void fire_column(const NeuronLine& neurons, const StepSums<const std::int32_t>& steps, std::int64_t column) {
  using Pixels = Neurons<width, dynamics>;
  const typename Pixels::Constants constants(neurons);
  if (neurons.masked.count > 0) {
    go_through<Pixels, Extra::masked>(neurons, constants, steps, column);
  } else if (neurons.bias != nullptr) {
    go_through<Pixels, Extra::bias>(neurons, constants, steps, column);
  } else {
    go_through<Pixels, Extra::none>(neurons, constants, steps, column);
  }
}

template <int width, Dynamics dynamics, Extra extra, class Sum>
struct FireLine {
  const NeuronLine& neurons;
  const StepSums<Sum>& line;  // those of column 0, the others follow
  typename Neurons<width, dynamics>::Constants constants{neurons};

  template <int columns>
  void go(std::int64_t column) const {
    StepSums<Sum> steps = line;
    steps.sums += column * width;
    go_through<Neurons<width, dynamics, columns>, extra>(neurons, constants, steps, column);
  }
};

// All pixels of a line.
template <class Sum, int width, Dynamics dynamics>
void fire_chunk(const NeuronLine& neurons, StepSums<void> steps) {
  const StepSums<Sum> line{steps.first, steps.last, static_cast<Sum*>(steps.sums), steps.stride};
  if (neurons.bias != nullptr) {
    walk_words<columns_together<width, dynamics>>(neurons.columns, FireLine<width, dynamics, Extra::bias, Sum>{neurons, line});
  } else {
    walk_words<columns_together<width, dynamics>>(neurons.columns, FireLine<width, dynamics, Extra::none, Sum>{neurons, line});
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
