// Output layers, which integrate and never fire: the spikes of a block are counted first and weighted once.
#pragma once

#include <cstdint>

#include "count.hpp"
#include "neurons.hpp"

namespace snnc::kernels {

struct Readout {
  std::int64_t copies, inputs, outputs;
  const std::int32_t* weights;  // [inputs, outputs]
  const std::int32_t* bias;     // [outputs]
  int count;                    // steps of the block
};

// v += factor * weights, modulo 2^32 as in the ONNX form.
SNNC_VECTOR_CLONES static void add_weighted(
    std::int32_t* __restrict v, const std::int32_t* __restrict weights, std::int64_t size, int factor) {
  for (std::int64_t i = 0; i < size; ++i) {
    const auto product = static_cast<std::uint32_t>(weights[i]) * static_cast<std::uint32_t>(factor);
    v[i] = wrapping_add(v[i], static_cast<std::int32_t>(product));
  }
}

// One sample: spikes [copies * inputs], v and v_out [outputs].
inline void read_out(
    const Readout& readout, const std::uint64_t* spikes, const std::int32_t* v, std::int32_t* v_out) {
  if (v != v_out) std::copy_n(v, readout.outputs, v_out);  // a host may keep its states in place
  add_weighted(v_out, readout.bias, readout.outputs, readout.count);
  for (std::int64_t i = 0; i < readout.copies * readout.inputs; ++i) {
    const int fired = __builtin_popcountll(spikes[i]);
    if (fired == 0) continue;
    add_weighted(v_out, readout.weights + i % readout.inputs * readout.outputs, readout.outputs, fired);
  }
}

}  // namespace snnc::kernels
