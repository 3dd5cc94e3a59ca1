#include "check.hpp"

#include <limits>
#include <utility>

#include "../../../runtime/native/kernels/max_pool.hpp"

using namespace snnc::kernels;

namespace {

// What the reference knows of an axis.
struct Windows {
  std::int64_t size, kernel, stride, dilation, pad;

  std::int64_t outputs() const { return (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1; }
  PoolAxis axis() const { return {size, outputs(), kernel, stride, dilation, pad}; }
};

// A plane of two axes and its spikes.
struct Plane {
  std::vector<Windows> axes;
  bool is_signed;
  std::vector<std::uint64_t> plus, minus;
  std::vector<std::int32_t> counts;

  std::int64_t size() const { return axes[0].size * axes[1].size; }
  std::int64_t outputs() const { return axes[0].outputs() * axes[1].outputs(); }

  int change(std::int64_t at, int step) const {
    const auto i = static_cast<std::size_t>(at);
    return bit(plus[i], step) - (is_signed && bit(minus[i], step) ? 1 : 0);
  }
};

// `rarity`: how many random words must agree in a bit for a spike.
Plane random_plane(
    std::vector<Windows> axes, bool is_signed, int rarity, std::uint64_t spread, std::mt19937_64& random) {
  Plane plane{std::move(axes), is_signed, {}, {}, {}};
  const auto rare_words = [&] {
    auto words = random_words(plane.size(), random);
    for (int i = 1; i < rarity; ++i) {
      for (auto& word : words) word &= random();
    }
    return words;
  };
  plane.plus = rare_words();
  plane.minus = rare_words();
  for (std::int64_t i = 0; i < plane.size(); ++i) {
    plane.counts.push_back(static_cast<std::int32_t>(random() % spread));
  }
  return plane;
}

std::int32_t window_maximum(const Plane& plane, const std::vector<std::int32_t>& counts, std::int64_t output) {
  std::int32_t largest = std::numeric_limits<std::int32_t>::min();
  const Windows &rows = plane.axes[0], &columns = plane.axes[1];
  for (std::int64_t i = 0; i < rows.kernel; ++i) {
    for (std::int64_t j = 0; j < columns.kernel; ++j) {
      const std::int64_t y = output / columns.outputs() * rows.stride - rows.pad + i * rows.dilation;
      const std::int64_t x = output % columns.outputs() * columns.stride - columns.pad + j * columns.dilation;
      if (y < 0 || y >= rows.size || x < 0 || x >= columns.size) continue;
      largest = std::max(largest, counts[static_cast<std::size_t>(y * columns.size + x)]);
    }
  }
  return largest;
}

void check_plane(const Plane& plane, int count) {
  const auto outputs = static_cast<std::size_t>(plane.outputs());
  std::vector<std::uint64_t> fired_plus(outputs, ~0ull), fired_minus(outputs, ~0ull);
  std::vector<std::int32_t> counts = plane.counts;
  PoolPlane view{};
  view.plus = plane.plus.data();
  view.minus = plane.is_signed ? plane.minus.data() : nullptr;
  view.counts = view.counts_out = counts.data();  // in place
  view.steps = count == 64 ? ~0ull : (1ull << count) - 1;
  view.fired_plus = fired_plus.data();
  view.fired_minus = plane.is_signed ? fired_minus.data() : nullptr;
  max_pool_plane(view, {plane.axes[0].axis(), plane.axes[1].axis()});

  std::vector<std::int32_t> now = plane.counts;
  std::vector<std::uint64_t> plus(outputs, 0), minus(outputs, 0);
  for (int step = 0; step < count; ++step) {
    const std::vector<std::int32_t> before = now;
    for (std::int64_t i = 0; i < plane.size(); ++i) now[static_cast<std::size_t>(i)] += plane.change(i, step);
    for (std::size_t i = 0; i < outputs; ++i) {
      const auto output = static_cast<std::int64_t>(i);
      const std::int32_t change = window_maximum(plane, now, output) - window_maximum(plane, before, output);
      if (change == 1) plus[i] |= 1ull << step;
      if (change == -1) minus[i] |= 1ull << step;
    }
  }
  CHECK(counts == now);
  CHECK(fired_plus == plus);
  if (plane.is_signed) CHECK(fired_minus == minus);
}

}  // namespace

void test_max_pool() {
  std::mt19937_64 random(6);
  const std::vector<Windows> planes[] = {
      {{1, 1, 1, 1, 0}, {1, 1, 1, 1, 0}}, {{6, 2, 2, 1, 0}, {8, 2, 2, 1, 0}},  {{7, 3, 2, 1, 1}, {9, 3, 2, 1, 1}},
      {{5, 3, 1, 1, 2}, {7, 2, 3, 1, 1}}, {{8, 3, 1, 2, 2}, {11, 2, 2, 3, 1}}, {{3, 3, 1, 1, 0}, {40, 5, 4, 1, 4}},
  };
  for (const auto& axes : planes) {
    for (const bool is_signed : {false, true}) {
      for (const int rarity : {1, 3, 6, 12}) {
        for (const std::uint64_t spread : {1, 4, 100}) {
          const Plane plane = random_plane(axes, is_signed, rarity, spread, random);
          for (const int count : block_sizes) check_plane(plane, count);
        }
      }
    }
  }
}
