#include <cmath>

#include "check.hpp"

#include "../../../runtime/native/kernels/neurons.hpp"

using namespace snnc::kernels;

namespace {

struct Neuron {
  std::uint32_t v;
  int leak;
  bool step(std::int32_t current, std::int32_t threshold, Reset reset) {
    const double lost = leak == 0 ? 0 : std::floor(std::ldexp(static_cast<std::int32_t>(v), -leak));
    v -= static_cast<std::uint32_t>(static_cast<std::int64_t>(lost));
    v += static_cast<std::uint32_t>(current);
    const bool spike = static_cast<std::int32_t>(v) >= threshold;
    if (spike) v = reset == Reset::soft ? v - static_cast<std::uint32_t>(threshold) : 0;
    return spike;
  }
};

// Small numbers often hit the threshold exactly; extreme ones make membranes wrap around.
template <Reset reset>
void test_block(
    std::int64_t samples, std::int64_t channels, std::int64_t plane, bool per_channel, bool extreme, int leak) {
  std::mt19937 random(2);
  const std::int64_t neurons = samples * channels * plane;
  const std::int32_t largest = extreme ? (1 << 24) - 1 : 7;
  std::uniform_int_distribution<std::int32_t> charge(-largest, largest);
  std::vector<std::int32_t> v(static_cast<std::size_t>(neurons)), threshold(per_channel ? channels : 1);
  for (auto& value : v) value = extreme ? static_cast<std::int32_t>(random()) : charge(random);
  for (auto& value : threshold) value = static_cast<std::int32_t>(extreme ? random() : random() % 8 + 1);
  for (const int count : block_sizes) {
    std::vector<float> current(static_cast<std::size_t>(neurons * count));
    for (float& value : current) value = static_cast<float>(charge(random));
    std::vector<std::uint64_t> spikes(v.size(), ~0ull);
    std::vector<std::int32_t> v_out(v.size(), -1);
    NeuronBlock block{};
    block.current = current.data();
    block.v = v.data();
    block.threshold = threshold.data();
    block.neurons = neurons;
    block.channels = static_cast<std::int64_t>(threshold.size());
    block.plane = per_channel ? plane : channels * plane;
    block.count = count;
    block.leak = leak;
    block.spikes = spikes.data();
    block.v_out = v_out.data();
    for (std::int64_t tile = 0; tile * neuron_tile < neurons; ++tile) simulate_tile<reset>(block, tile);
    for (std::int64_t i = 0; i < neurons; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto channel = static_cast<std::size_t>(per_channel ? i / plane % channels : 0);
      Neuron neuron{static_cast<std::uint32_t>(v[at]), leak};
      std::uint64_t word = 0;
      for (int step = 0; step < count; ++step) {
        const auto now = static_cast<std::int32_t>(current[static_cast<std::size_t>(step * neurons + i)]);
        if (neuron.step(now, threshold[channel], reset)) word |= 1ull << step;
      }
      CHECK(spikes[at] == word);
      CHECK(v_out[at] == static_cast<std::int32_t>(neuron.v));
    }
  }
}

template <Reset reset>
void test_reset() {
  for (const int leak : {0, 1, 4, 15}) {
    for (const bool extreme : {false, true}) {
      test_block<reset>(1, 1, 1, false, extreme, leak);
      test_block<reset>(2, 3, 7, true, extreme, leak);
      test_block<reset>(3, 5, 11 * 11, true, extreme, leak);  // channels and samples across tile borders
      test_block<reset>(2, 700, 1, true, extreme, leak);
      test_block<reset>(1, 2, 1025, false, extreme, leak);
    }
  }
}

// By hand, with leak 1 and threshold 10: 0 + 9; 9 - 4 + 5 = 10 fires; then 0 or 0; below zero -1 - (-1) = 0 and
// -3 - (-2) = -1.
void test_leak_by_hand() {
  const float current[] = {9, 5, -1, 0, -3, 0};
  const std::int32_t threshold = 10, v = 0;
  const std::int32_t after[] = {9, 0, -1, 0, -3, -1};
  for (int count = 1; count <= 6; ++count) {
    std::uint64_t spikes = ~0ull;
    std::int32_t v_out = -99;
    NeuronBlock block{};
    block.current = current;
    block.v = &v;
    block.threshold = &threshold;
    block.neurons = block.channels = block.plane = 1;
    block.count = count;
    block.leak = 1;
    block.spikes = &spikes;
    block.v_out = &v_out;
    simulate_tile<Reset::soft>(block, 0);
    CHECK(v_out == after[count - 1]);
    CHECK(spikes == (count >= 2 ? 2u : 0u));
  }
}

}  // namespace

void test_neurons() {
  test_reset<Reset::soft>();
  test_reset<Reset::hard>();
  test_leak_by_hand();
}
