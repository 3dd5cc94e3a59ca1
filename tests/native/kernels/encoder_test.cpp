#include <array>
#include <cmath>
#include <limits>

#include "check.hpp"

// The encoder's kernel is checked for the best vector unit that the compiler may use.
#if defined(__AVX512VBMI2__) && defined(__AVX512VNNI__)
#define SNNC_SIMD avx512
#include "../../../runtime/native/kernels/simd/avx512.hpp"
#elif defined(__AVX2__)
#define SNNC_SIMD avx2
#include "../../../runtime/native/kernels/simd/avx2.hpp"
#else
#define SNNC_SIMD portable
#include "../../../runtime/native/kernels/simd/portable.hpp"
#endif

#include "../../../runtime/native/kernels/encode_tile.hpp"

using namespace snnc::kernels;
using namespace snnc::kernels::SNNC_SIMD;

namespace {

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

void test_spikes() {
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

}  // namespace

void test_encoder() {
  test_philox_known_answers();
  test_spike_odds();
  test_spikes();
}
