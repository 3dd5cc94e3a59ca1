// Exact checks of the kernels alone, without onnxruntime. Prints the checks that fail, and exits with 1 if any does.

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

// The encoder's kernel is checked for the best vector unit that the compiler may use.
#if defined(__AVX512VBMI2__) && defined(__AVX512VNNI__)
#define SNNC_SIMD avx512
#include "../../runtime/native/kernels/simd/avx512.hpp"
#elif defined(__AVX2__)
#define SNNC_SIMD avx2
#include "../../runtime/native/kernels/simd/avx2.hpp"
#else
#define SNNC_SIMD portable
#include "../../runtime/native/kernels/simd/portable.hpp"
#endif

#include "../../runtime/native/kernels/count.hpp"
#include "../../runtime/native/kernels/encode_tile.hpp"
#include "../../runtime/native/kernels/neurons.hpp"
#include "../../runtime/native/kernels/unpack.hpp"

using namespace snnc::kernels;
using namespace snnc::kernels::SNNC_SIMD;

namespace {

int failures = 0;

#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      ++failures;                                                                       \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
    }                                                                                   \
  } while (false)

constexpr int block_sizes[] = {0, 1, 31, 32, 33, 63, 64};

bool bit(std::uint64_t word, int step) { return (word >> step & 1) != 0; }

std::vector<std::uint64_t> random_words(std::int64_t size, std::mt19937_64& random) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>(size));
  for (auto& word : words) word = random();
  return words;
}

using Words = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// Philox4x32-10 as published, one counter at a time.
Words philox_reference(Words counter, Key key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// The kernel's words of one counter in one lane of a vector; the other lanes hold other groups.
Words philox_kernel(Words counter, Key key, int lane) {
  const std::uint64_t seed = key[0] | static_cast<std::uint64_t>(key[1]) << 32;
  const std::uint64_t sample = counter[2] | static_cast<std::uint64_t>(counter[3]) << 32;
  constexpr int step = 5;
  const PhiloxSample shared = philox_sample(seed, sample, counter[1] - step, step + 1);
  Wide groups = spread(0x1234567);
  groups[lane] = counter[0];
  const PhiloxWords words = philox_words(shared, philox_groups(shared, groups), step);
  const std::uint64_t words01 = words.words01[lane], words23 = words.words23[lane];
  return {static_cast<std::uint32_t>(words01 >> 32), static_cast<std::uint32_t>(words01),
          static_cast<std::uint32_t>(words23 >> 32), static_cast<std::uint32_t>(words23)};
}

// Known answers published with Random123 (file kat_vectors, philox4x32 10).
void test_philox_known_answers() {
  struct Vector {
    Words counter;
    Key key;
    Words expected;
  };
  constexpr std::uint32_t ones = 0xffffffff;
  const Vector vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{ones, ones, ones, ones}, {ones, ones}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Vector& vector : vectors) {
    CHECK(philox_reference(vector.counter, vector.key) == vector.expected);
    for (int lane = 0; lane < wide_lanes; ++lane) {
      CHECK(philox_kernel(vector.counter, vector.key, lane) == vector.expected);
    }
  }
}

void test_spike_odds() {
  constexpr std::uint32_t certain = 1 << 24;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float x[] = {0.0f,   -0.0f, 0.5f,     -0.5f,     1.0f, 2.0f, -infinity, std::nanf(""), 1e-30f,
                     1e-45f, 0.25f, 0x1p-24f, 0x1.8p-24f};
  const std::uint32_t expected[] = {0, 0, certain / 2, certain / 2, certain, certain, certain, certain, 1,
                                    1, certain / 4, 1, 2};
  std::uint32_t odds[std::size(x)];
  spike_odds(x, static_cast<std::int64_t>(std::size(x)), 1.0f, odds);
  for (std::size_t i = 0; i < std::size(x); ++i) CHECK(odds[i] == expected[i]);
}

bool expected_spike(
    float x, float scale, std::uint64_t seed, std::uint64_t sample, std::int64_t e, std::uint32_t step) {
  const float p = std::fabs(x) / scale;
  const double odds = p < 1.0f ? std::ceil(std::ldexp(static_cast<double>(p), 24)) : std::ldexp(1.0, 24);
  const Words random = philox_reference(
      {static_cast<std::uint32_t>(e / 4), step, static_cast<std::uint32_t>(sample),
       static_cast<std::uint32_t>(sample >> 32)},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return (random[static_cast<std::size_t>(e % 4)] >> 8) < odds;
}

void test_encode() {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<float> value(-2.5f, 2.5f);
  constexpr std::uint64_t seed = 0xfedcba9876543210, sample = 0x123456789;
  constexpr std::uint32_t first_step = 0xfffffff0;  // steps wrap around within a block
  constexpr float scale = 2.0f;
  for (const std::int64_t elements : {1, 3, 4, 5, 63, 65, 1000, 1023, 1024, 1030}) {
    std::vector<float> x(static_cast<std::size_t>(elements));
    for (float& element : x) element = random() % 3 == 0 ? 0.0f : value(random);
    for (std::size_t i = 0; i < x.size(); i += 7) x[i] = i % 2 == 0 ? scale : -scale;  // spikes at every step
    for (const int count : block_sizes) {
      std::vector<std::uint64_t> plus(x.size(), ~0ull), minus(x.size(), ~0ull);
      const EncodeSample in{x.data(), elements, scale,       seed,        sample,
                            first_step, count,  plus.data(), minus.data()};
      for (std::int64_t tile = 0; tile * encode_tile < elements; ++tile) encode(in, tile);
      for (std::int64_t e = 0; e < elements; ++e) {
        const auto i = static_cast<std::size_t>(e);
        std::uint64_t word = 0;
        for (int step = 0; step < count; ++step) {
          const std::uint32_t global_step = first_step + static_cast<std::uint32_t>(step);
          if (expected_spike(x[i], scale, seed, sample, e, global_step)) word |= 1ull << step;
        }
        CHECK((x[i] < 0 ? minus : plus)[i] == word);
        CHECK((x[i] < 0 ? plus : minus)[i] == 0);
      }
    }
  }
}

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
void test_neurons(std::int64_t samples, std::int64_t channels, std::int64_t plane, bool per_channel, bool extreme) {
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
void test_neurons_all() {
  for (const bool extreme : {false, true}) {
    test_neurons<reset>(1, 1, 1, false, extreme);
    test_neurons<reset>(2, 3, 7, true, extreme);
    test_neurons<reset>(3, 5, 11 * 11, true, extreme);  // channels and samples across tile borders
    test_neurons<reset>(2, 700, 1, true, extreme);
    test_neurons<reset>(1, 2, 1025, false, extreme);
  }
}

void test_unpack() {
  std::mt19937_64 random(3);
  for (const std::int64_t words : {1, 7, 1024, 1500}) {
    const auto spikes = random_words(words, random);
    for (const int count : block_sizes) {
      std::vector<float> out(static_cast<std::size_t>(words * count), -1.0f);
      for (std::int64_t tile = 0; tile * unpack_tile < words; ++tile) {
        unpack_tile_of(spikes.data(), words, count, out.data(), tile);
      }
      for (int step = 0; step < count; ++step) {
        for (std::int64_t i = 0; i < words; ++i) {
          const bool spike = bit(spikes[static_cast<std::size_t>(i)], step);
          CHECK(out[static_cast<std::size_t>(step * words + i)] == (spike ? 1.0f : 0.0f));
        }
      }
    }
  }
}

int slow_popcount(std::uint64_t word) {
  int set = 0;
  for (int step = 0; step < 64; ++step) set += bit(word, step);
  return set;
}

void test_counts() {
  std::mt19937_64 random(4);
  for (const std::int64_t words : {1, 9, 5000}) {
    auto spikes = random_words(words, random);
    spikes.back() = ~0ull;
    std::vector<std::int32_t> counts(spikes.size());
    for (std::int64_t tile = 0; tile * count_tile < words; ++tile) {
      count_tile_of(spikes.data(), words, counts.data(), tile);
    }
    for (std::size_t i = 0; i < spikes.size(); ++i) CHECK(counts[i] == slow_popcount(spikes[i]));
  }
}

void test_totals() {
  std::mt19937_64 random(5);
  constexpr std::int64_t elements = 60;
  const auto spikes = random_words(elements, random);
  for (const std::int64_t period : {1, 12, 60}) {
    std::vector<std::int64_t> fanout;
    for (std::int64_t i = 0; i < period; ++i) fanout.push_back(static_cast<std::int64_t>(random() % 1000));
    std::int64_t total = 0, operations = 0;
    for (std::size_t i = 0; i < spikes.size(); ++i) {
      total += slow_popcount(spikes[i]);
      operations += slow_popcount(spikes[i]) * fanout[i % fanout.size()];
    }
    const SampleTotals sums = sample_totals(spikes.data(), elements, fanout.data(), period);
    CHECK(sums.spikes == total);
    CHECK(sums.operations == operations);
  }
  const SampleTotals none = sample_totals(spikes.data(), 0, nullptr, 0);
  CHECK(none.spikes == 0 && none.operations == 0);
}

}  // namespace

int main() {
  test_philox_known_answers();
  test_spike_odds();
  test_encode();
  test_neurons_all<Reset::soft>();
  test_neurons_all<Reset::hard>();
  test_unpack();
  test_counts();
  test_totals();
  return failures == 0 ? 0 : 1;
}
