#include "check.hpp"

#include "../../../runtime/native/kernels/neurons.hpp"

using namespace snnc::kernels;

namespace {

struct Neuron {
  std::uint32_t v;
  bool step(std::int32_t current, std::int32_t threshold, Reset reset) {
    v += static_cast<std::uint32_t>(current);
    const bool spike = static_cast<std::int32_t>(v) >= threshold;
    if (spike) v = reset == Reset::soft ? v - static_cast<std::uint32_t>(threshold) : 0;
    return spike;
  }
};

// Small numbers often hit the threshold exactly; extreme ones make membranes wrap around.
template <Reset reset>
void test_block(std::int64_t samples, std::int64_t channels, std::int64_t plane, bool per_channel, bool extreme) {
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
    block.spikes = spikes.data();
    block.v_out = v_out.data();
    for (std::int64_t tile = 0; tile * neuron_tile < neurons; ++tile) simulate_tile<reset>(block, tile);
    for (std::int64_t i = 0; i < neurons; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto channel = static_cast<std::size_t>(per_channel ? i / plane % channels : 0);
      Neuron neuron{static_cast<std::uint32_t>(v[at])};
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
  for (const bool extreme : {false, true}) {
    test_block<reset>(1, 1, 1, false, extreme);
    test_block<reset>(2, 3, 7, true, extreme);
    test_block<reset>(3, 5, 11 * 11, true, extreme);  // channels and samples across tile borders
    test_block<reset>(2, 700, 1, true, extreme);
    test_block<reset>(1, 2, 1025, false, extreme);
  }
}

}  // namespace

void test_neurons() {
  test_reset<Reset::soft>();
  test_reset<Reset::hard>();
}
