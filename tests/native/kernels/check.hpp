// What the checks of single kernels share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

inline int failures = 0;

#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      ++failures;                                                                       \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
    }                                                                                   \
  } while (false)

constexpr int block_sizes[] = {0, 1, 31, 32, 33, 63, 64};

inline bool bit(std::uint64_t word, int step) { return (word >> step & 1) != 0; }

inline std::vector<std::uint64_t> random_words(std::int64_t size, std::mt19937_64& random) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>(size));
  for (auto& word : words) word = random();
  return words;
}

// One per source file of this folder.
void test_encoder();
void test_neurons();
void test_staircases();
void test_max_pool();
void test_products();
void test_words();
