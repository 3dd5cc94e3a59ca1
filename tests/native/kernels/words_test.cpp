#include "check.hpp"

#include "../../../runtime/native/kernels/count.hpp"
#include "../../../runtime/native/kernels/unpack.hpp"

using namespace snnc::kernels;

namespace {

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

void test_last_spikes() {
  const std::vector<std::uint64_t> spikes{0, 1, 0, std::uint64_t{1} << 40, 6};
  CHECK(last_spike(spikes.data(), 0) == 0);
  CHECK(last_spike(spikes.data(), 1) == 0);
  CHECK(last_spike(spikes.data(), 3) == 1);
  CHECK(last_spike(spikes.data(), 5) == 41);
}

}  // namespace

void test_words() {
  test_unpack();
  test_counts();
  test_last_spikes();
}
