#include "../../runtime/native/kernels/graded/pools.hpp"

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "../../runtime/native/kernels/graded/totals.hpp"
#include "graded_test.hpp"

namespace snnc::tests {

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "graded pools: %s\n", what);
}

using snnc::kernels::PoolAxis;
using snnc::kernels::PoolOfPlane;

std::int64_t between(std::mt19937_64& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

struct Window {
  std::int64_t size, outputs, kernel, stride, dilation, pad;
};

Window random_window(std::mt19937_64& random, bool dilated) {
  for (;;) {
    Window window{between(random, 1, 9), 0, between(random, 1, 4), between(random, 1, 3),
                  dilated ? between(random, 1, 2) : 1, 0};
    window.pad = between(random, 0, (window.kernel - 1) * window.dilation);
    const std::int64_t rest = window.size + 2 * window.pad - (window.kernel - 1) * window.dilation - 1;
    if (rest < 0) continue;
    window.outputs = rest / window.stride + 1;
    bool all_inside = true;  // each window needs an element
    for (std::int64_t at = 0; at < window.outputs; ++at) {
      bool inside = false;
      for (std::int64_t tap = 0; tap < window.kernel; ++tap) {
        const std::int64_t place = at * window.stride - window.pad + tap * window.dilation;
        inside = inside || (place >= 0 && place < window.size);
      }
      all_inside = all_inside && inside;
    }
    if (all_inside) return window;
  }
}

// Calls body(output, element) for every element of every window.
template <class Body>
void each_element(const std::vector<Window>& windows, const Body& body) {
  std::int64_t outputs = 1, taps = 1;
  for (const Window& window : windows) {
    outputs *= window.outputs;
    taps *= window.kernel;
  }
  for (std::int64_t output = 0; output < outputs; ++output) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      std::int64_t rest_of_output = output, rest_of_tap = tap, element = 0, scale = 1;
      bool inside = true;
      for (std::size_t i = windows.size(); i-- > 0;) {
        const Window& window = windows[i];
        const std::int64_t at = rest_of_output % window.outputs * window.stride - window.pad +
                                rest_of_tap % window.kernel * window.dilation;
        inside = inside && at >= 0 && at < window.size;
        element += at * scale;
        scale *= window.size;
        rest_of_output /= window.outputs;
        rest_of_tap /= window.kernel;
      }
      if (inside) body(output, element);
    }
  }
}

std::vector<std::int32_t> random_changes(std::int64_t size, std::mt19937_64& random) {
  const std::int64_t density = between(random, 0, 4);
  std::vector<std::int32_t> changes(static_cast<std::size_t>(size));
  for (auto& change : changes) {
    if (between(random, 0, 3) < density) change = static_cast<std::int32_t>(between(random, -5, 5));
  }
  return changes;
}

void check_pool(std::mt19937_64& random, bool largest) {
  std::vector<Window> windows;
  std::vector<PoolAxis> axes;
  for (std::int64_t i = between(random, 1, 3); i > 0; --i) {
    const Window w = windows.emplace_back(random_window(random, largest));
    axes.emplace_back(w.size, w.outputs, w.kernel, w.stride, w.dilation, w.pad);
  }
  const PoolOfPlane pool(axes);
  const std::int64_t planes = largest ? 1 : between(random, 0, 9);
  const std::vector<std::int32_t> changes = random_changes(planes * pool.size(), random);
  std::vector<std::int32_t> found(static_cast<std::size_t>(planes * pool.outputs()), -99), expected(found.size(), 0);
  const auto at = [](auto& values, std::int64_t index) -> auto& { return values[static_cast<std::size_t>(index)]; };
  if (!largest) {
    for (std::int64_t plane = 0; plane < planes; ++plane) {
      each_element(windows, [&](std::int64_t output, std::int64_t element) {
        at(expected, plane * pool.outputs() + output) += at(changes, plane * pool.size() + element);
      });
    }
    snnc::kernels::sum_changes(pool, changes.data(), planes, found.data());
    check(found == expected, "sums of windows");
    return;
  }
  std::vector<std::int32_t> counts = random_changes(pool.size(), random), after = counts;
  std::vector<std::int32_t> before(found.size(), INT32_MIN), then(found.size(), INT32_MIN);
  for (std::size_t i = 0; i < after.size(); ++i) after[i] += changes[i];
  each_element(windows, [&](std::int64_t output, std::int64_t element) {
    at(before, output) = std::max(at(before, output), at(counts, element));
    at(then, output) = std::max(at(then, output), at(after, element));
  });
  for (std::size_t i = 0; i < found.size(); ++i) expected[i] = then[i] - before[i];
  snnc::kernels::largest_changes(pool, changes.data(), counts.data(), found.data());
  check(found == expected, "changes of the largest counts");
  check(counts == after, "counts");
}

void check_totals(std::mt19937_64& random) {
  const std::int64_t period = between(random, 0, 1) == 0 ? 1 : between(random, 1, 70), repeats = between(random, 0, 5);
  const std::vector<std::int32_t> changes = random_changes(period * repeats, random);
  std::vector<std::int64_t> fanout(static_cast<std::size_t>(period));
  for (auto& cost : fanout) cost = between(random, 0, 1000);
  std::int64_t events = 0, operations = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (changes[i] == 0) continue;
    ++events;
    operations += fanout[i % fanout.size()];
  }
  const auto totals = snnc::kernels::change_totals(changes.data(), period * repeats, fanout.data(), period);
  check(totals.events == events, "events");
  check(totals.operations == operations, "operations");
}

}  // namespace

int check_graded_pools(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  failures = 0;
  for (int i = 0; i < 400; ++i) {
    check_pool(random, false);
    check_pool(random, true);
    check_totals(random);
  }
  return failures;
}

}  // namespace snnc::tests
