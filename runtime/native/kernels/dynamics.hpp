// What neurons do once the current of a step has been added: their states, when they fire and what they give.
#pragma once

#include <cstdint>

namespace snnc::kernels {

// soft       fires where V >= threshold; V <- V - threshold        RMP-SNN, Han et al., CVPR 2020, equation 2
// hard       fires where V >= threshold; V <- 0
// staircase  fires +1 where V >= threshold and S < high, else -1 where V < 0 and S > low;
//            V <- V - fired * threshold, S <- S + fired
// leaky_soft, leaky_hard  the same as soft and hard; every step begins with V <- V - floor(V / 2^leak)
// V is the membrane potential, S counts what a neuron has fired. All in int32, modulo 2^32 as in the ONNX form.
enum class Dynamics { soft, hard, staircase, leaky_soft, leaky_hard };
constexpr int dynamics_count = 5;

// Bit planes that a step gives: spikes; or positive spikes, then negative ones.
constexpr int planes_of(Dynamics dynamics) { return dynamics == Dynamics::staircase ? 2 : 1; }

// Whether neurons have the state S.
constexpr bool has_counts(Dynamics dynamics) { return dynamics == Dynamics::staircase; }

// Whether a step begins with the leak.
constexpr bool leaks(Dynamics dynamics) { return dynamics == Dynamics::leaky_soft || dynamics == Dynamics::leaky_hard; }

// Whether a spike takes the threshold and leaves the rest.
constexpr bool keeps_excess(Dynamics dynamics) {
  return dynamics == Dynamics::soft || dynamics == Dynamics::leaky_soft;
}

// One bit per neuron.
struct SignedBits {
  std::uint32_t plus, minus;
};

}  // namespace snnc::kernels
