#include "check.hpp"

#include "../../../runtime/native/kernels/product.hpp"

using namespace snnc::kernels;

namespace {

// The trains of a few elements.
struct Factor {
  bool is_signed;
  std::vector<std::uint64_t> plus, minus;
  std::vector<std::int32_t> counts;

  FactorPlane plane() const { return {plus.data(), is_signed ? minus.data() : nullptr, counts.data()}; }
  int change(std::size_t at, int step) const {
    return bit(plus[at], step) - (is_signed && bit(minus[at], step) ? 1 : 0);
  }
};

Factor random_factor(std::int64_t size, bool is_signed, int rarity, std::mt19937_64& random) {
  Factor factor{is_signed, random_words(size, random), random_words(size, random), {}};
  for (std::int64_t i = 0; i < size; ++i) {
    for (int agreeing = 1; agreeing < rarity; ++agreeing) {
      factor.plus[static_cast<std::size_t>(i)] &= random();
      factor.minus[static_cast<std::size_t>(i)] &= random();
    }
    factor.counts.push_back(static_cast<std::int32_t>(random() % 200) - 100);
  }
  return factor;
}

void check_products(
    const Factor& first, const Factor& second, const std::vector<std::int64_t>& second_places, int count) {
  std::vector<std::int64_t> first_places;
  for (std::size_t i = 0; i < first.counts.size(); ++i) first_places.push_back(static_cast<std::int64_t>(i));
  const auto size = static_cast<std::int64_t>(first_places.size()), step_size = size + 3;
  std::vector<float> current(static_cast<std::size_t>(count * step_size), -7.0f);
  product_plane({first.plane(), second.plane(), first_places, second_places, current.data(), step_size, count});
  for (std::size_t i = 0; i < first_places.size(); ++i) {
    const auto place = static_cast<std::size_t>(second_places[i]);
    std::int64_t a = first.counts[i], b = second.counts[place];
    for (int step = 0; step < count; ++step) {
      const std::int64_t before = a * b;
      a += first.change(i, step);
      b += second.change(place, step);
      CHECK(current[static_cast<std::size_t>(step * step_size) + i] == static_cast<float>(a * b - before));
    }
  }
  for (int step = 0; step < count; ++step) {  // what lies between two steps is not touched
    CHECK(current[static_cast<std::size_t>(step * step_size + size)] == -7.0f);
  }
}

void check_counts(const Factor& factor, int count) {
  std::vector<std::int32_t> behind(factor.counts);
  counts_behind(factor.plane(), static_cast<std::int64_t>(behind.size()), count, behind.data());
  for (std::size_t i = 0; i < behind.size(); ++i) {
    std::int32_t wanted = factor.counts[i];
    for (int step = 0; step < count; ++step) wanted += factor.change(i, step);
    CHECK(behind[i] == wanted);
  }
}

}  // namespace

void test_products() {
  std::mt19937_64 random(5);
  for (const int count : block_sizes) {
    for (const int rarity : {1, 3, 8}) {
      for (const int signs : {0, 1, 2, 3}) {
        const Factor first = random_factor(12, (signs & 1) != 0, rarity, random);
        const Factor second = random_factor(4, (signs & 2) != 0, rarity, random);
        check_products(first, second, {0, 0, 0, 0, 1, 1, 1, 1, 3, 2, 3, 2}, count);
        check_counts(first, count);
        check_counts(second, count);
      }
    }
  }
}
