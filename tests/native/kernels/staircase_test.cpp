#include "check.hpp"

#include <limits>

#include "../../../runtime/native/kernels/staircase.hpp"

using namespace snnc::kernels;

namespace {

constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();

struct Layer {
  std::int64_t samples, channels, plane;
  bool per_channel, extreme;

  std::int64_t sample() const { return channels * plane; }
  std::int64_t neurons() const { return samples * sample(); }
  std::int64_t channel_of(std::int64_t neuron) const { return per_channel ? neuron / plane % channels : 0; }
  std::int64_t parameters() const { return per_channel ? channels : 1; }
};

constexpr Layer layers[] = {
    {1, 1, 1, false, false},  {2, 3, 7, true, false},    {2, 3, 7, true, true},
    {3, 5, 121, true, false},  // channels and samples across tile borders
    {2, 700, 1, true, true},  {1, 2, 1025, false, true},
};

std::int32_t random_value(const Layer& layer, std::mt19937& random, std::int32_t largest) {
  if (!layer.extreme) return static_cast<std::int32_t>(random() % (2u * largest + 1)) - largest;
  constexpr std::int32_t edges[] = {least, least + 1, -1, 0, 1, most - 1, most};
  return random() % 4 == 0 ? edges[random() % 7] : static_cast<std::int32_t>(random());
}

std::int32_t plus_wrapping(std::int32_t a, std::int64_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

// The states before a block, its currents and what the kernel makes of them.
struct Block {
  std::vector<float> current;
  std::vector<std::int32_t> v, counts, v_out, counts_out;
  std::vector<std::uint64_t> fired;

  Block(const Layer& layer, int count, std::mt19937& random) {
    const auto neurons = static_cast<std::size_t>(layer.neurons());
    const std::uint32_t largest = layer.extreme ? (1u << 24) - 1 : 7;
    for (std::size_t i = 0; i < neurons * static_cast<std::size_t>(count); ++i) {
      const auto charge = static_cast<std::int32_t>(random() % (2 * largest + 1)) - static_cast<std::int32_t>(largest);
      current.push_back(i / neurons % 3 == 2 ? 0.0f : static_cast<float>(charge));
    }
    for (std::size_t i = 0; i < neurons; ++i) {
      v.push_back(random_value(layer, random, 30));
      counts.push_back(static_cast<std::int32_t>(random() % 9) - 4);
    }
    v_out = v;
    counts_out = counts;
    fired.assign(2 * neurons, ~0ull);
  }

  StaircaseBlock view(const Layer& layer, int count) {
    StaircaseBlock block{};
    block.current = current.data();
    block.v = v_out.data();  // in place
    block.counts = counts_out.data();
    block.neurons = layer.neurons();
    block.sample = layer.sample();
    block.plane = layer.plane;
    block.count = count;
    block.fired = fired.data();
    block.v_out = v_out.data();
    block.counts_out = counts_out.data();
    return block;
  }

  // Compares with spike(channel, v, counts), which takes a step with v charged, changes it and returns the spike.
  template <class Spike>
  void check(const Layer& layer, int count, const Spike& spike) const {
    for (std::int64_t i = 0; i < layer.neurons(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      std::int32_t potential = v[at], spikes = counts[at];
      std::uint64_t plus = 0, minus = 0;
      for (int step = 0; step < count; ++step) {
        const float now = current[static_cast<std::size_t>(step * layer.neurons() + i)];
        potential = plus_wrapping(potential, static_cast<std::int64_t>(now));
        const int sign = spike(static_cast<std::size_t>(layer.channel_of(i)), potential, spikes);
        spikes += sign;
        if (sign > 0) plus |= 1ull << step;
        if (sign < 0) minus |= 1ull << step;
      }
      const std::int64_t place = i / layer.sample() * layer.sample() + i;
      CHECK(fired[static_cast<std::size_t>(place)] == plus);
      CHECK(fired[static_cast<std::size_t>(place + layer.sample())] == minus);
      CHECK(v_out[at] == potential);
      CHECK(counts_out[at] == spikes);
    }
  }
};

template <class Simulate>
void simulate(const StaircaseBlock& block, const Simulate& tile) {
  for (std::int64_t index = 0; index * staircase_tile < block.neurons; ++index) tile(index);
}

void test_staircase(const Layer& layer) {
  std::mt19937 random(1);
  constexpr std::int32_t low = -3, high = 4;
  std::vector<std::int32_t> threshold;
  for (std::int64_t i = 0; i < layer.parameters(); ++i) {
    threshold.push_back(static_cast<std::int32_t>(layer.extreme ? random() : random() % 8 + 1));
  }
  for (const int count : block_sizes) {
    Block block(layer, count, random);
    const StaircaseBlock view = block.view(layer, count);
    const StaircaseLimits limits{threshold.data(), layer.parameters(), low, high};
    simulate(view, [&](std::int64_t index) { simulate_staircase(view, limits, index); });
    block.check(layer, count, [&](std::size_t channel, std::int32_t& v, std::int32_t counts) {
      const std::int32_t theta = threshold[channel];
      const int sign = v >= theta && counts < high ? 1 : v < 0 && counts > low ? -1 : 0;
      v = plus_wrapping(v, -static_cast<std::int64_t>(sign) * theta);
      return sign;
    });
  }
}

void test_table(const Layer& layer, std::int64_t steps) {
  std::mt19937 random(2);
  std::vector<std::int32_t> first, breaks, rises;
  for (std::int64_t channel = 0; channel < layer.parameters(); ++channel) {
    first.push_back(static_cast<std::int32_t>(random() % 7) - 3);
    std::vector<std::int32_t> row;
    for (std::int64_t k = 0; k < steps; ++k) row.push_back(random_value(layer, random, 40));
    std::sort(row.begin(), row.end());
    breaks.insert(breaks.end(), row.begin(), row.end());
    for (std::int64_t k = 0; k < steps; ++k) rises.push_back(static_cast<std::int32_t>(random() % 5) - 2);
  }
  const TargetTable table(first.data(), breaks.data(), rises.data(), layer.parameters(), steps);
  for (const int count : block_sizes) {
    Block block(layer, count, random);
    const StaircaseBlock view = block.view(layer, count);
    simulate(view, [&](std::int64_t index) { simulate_staircase_table(view, table, index); });
    block.check(layer, count, [&](std::size_t channel, std::int32_t& v, std::int32_t counts) {
      std::int32_t target = first[channel];
      for (std::size_t k = 0; k < static_cast<std::size_t>(steps); ++k) {
        const std::size_t at = channel * static_cast<std::size_t>(steps) + k;
        if (v >= breaks[at]) target += rises[at];
      }
      return target > counts ? 1 : target < counts ? -1 : 0;
    });
  }
}

bool is_refused(std::vector<std::int32_t> breaks, std::vector<std::int32_t> rises) {
  const std::int32_t first = most - 1;
  try {
    TargetTable(&first, breaks.data(), rises.data(), 1, static_cast<std::int64_t>(breaks.size()));
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

void test_tables_that_are_refused() {
  CHECK(!is_refused({1, 1}, {1, -9}));
  CHECK(is_refused({2, 1}, {0, 0}));
  CHECK(is_refused({1, 2}, {2, -9}));
}

}  // namespace

void test_staircases() {
  for (const Layer& layer : layers) {
    test_staircase(layer);
    for (const std::int64_t steps : {1, 3, 4, 17}) test_table(layer, steps);
  }
  test_tables_that_are_refused();
}
