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
template <int width, class Sum>
inline void take_sums(Pixel<width>& pixel, Sum* sums) {
#pragma GCC unroll 16
  for (int i = 0; i < Pixel<width>::vectors; ++i) {
    pixel.v[i] = Simd::add(pixel.v[i], Simd::load_row(sums + i * Simd::lanes));
  }
  clear_sums<width>(sums);
}

template <int width>
inline void take_sums(Pixel<width>& pixel, const std::int32_t* sums) {
  pixel.add(sums);
}

// `plain`: no bias, no masked taps.
template <int width, Dynamics dynamics, bool plain, class Sum>
SNNC_ALWAYS_INLINE void go_through(
    const NeuronLine& neurons, const typename Neurons<width, dynamics>::Constants& constants,
    const StepSums<Sum>& steps, std::int64_t column) {
  using Field = typename Pixel<width>::Field;
  constexpr int packed = columns_per_word(width);
  const std::int64_t fired_stride = neurons.fired_stride * packed, fired_plane = neurons.fired_plane * packed;
  const std::int64_t field = field_of_column(column, packed);
  auto* fired = reinterpret_cast<Field*>(neurons.fired) + field + steps.first * fired_stride;
  Neurons<width, dynamics> pixel;
  pixel.load(neurons.states, column * width);
  Sum* sums = steps.sums;
  for (int step = steps.first; step < steps.last; ++step, fired += fired_stride, sums += steps.stride) {
    pixel.leak(constants);
    take_sums<width>(pixel.potential, sums);
    if constexpr (!plain) {
      if (neurons.bias != nullptr) pixel.potential.add(neurons.bias);
      pixel.potential.add_masked(neurons.masked, step, column, field);
    }
    pixel.fire(constants, fired, fired_plane);
  }
  pixel.store(neurons.states, column * width);
}

// A pixel: `steps.sums` are its own.
template <int width, Dynamics dynamics>
void fire_column(const NeuronLine& neurons, const StepSums<const std::int32_t>& steps, std::int64_t column) {
  const typename Neurons<width, dynamics>::Constants constants(neurons);
  if (neurons.bias == nullptr && neurons.masked.count == 0) {
    go_through<width, dynamics, true>(neurons, constants, steps, column);
  } else {
    go_through<width, dynamics, false>(neurons, constants, steps, column);
  }
}

// All pixels of a line: `steps.sums` are those of column 0, the others follow.
template <class Sum, int width, Dynamics dynamics>
void fire_chunk(const NeuronLine& neurons, StepSums<void> steps_of_line) {
  StepSums<Sum> steps{steps_of_line.first, steps_of_line.last, static_cast<Sum*>(steps_of_line.sums),
                      steps_of_line.stride};
  const typename Neurons<width, dynamics>::Constants constants(neurons);
  const bool plain = neurons.bias == nullptr && neurons.masked.count == 0;
  for (std::int64_t column = 0; column < neurons.columns; ++column, steps.sums += width) {
    if (plain) {
      go_through<width, dynamics, true>(neurons, constants, steps, column);
    } else {
      go_through<width, dynamics, false>(neurons, constants, steps, column);
    }
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
