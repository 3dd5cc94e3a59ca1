// Pooling of changes: sums over windows, and by how much the largest count of a window changes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../layers/vector_kernels.hpp"
#include "../max_pool.hpp"

namespace snnc::kernels {

// Along each axis: which windows an element lies in.
struct WindowsOfElement {
  std::int64_t first, last;  // [first, last)
};

inline std::vector<WindowsOfElement> windows_of_elements(const PoolAxis& axis) {
  std::vector<WindowsOfElement> found(static_cast<std::size_t>(axis.size), {axis.outputs(), 0});
  for (std::int64_t window = 0; window < axis.outputs(); ++window) {
    const PoolWindow& of = axis.windows[static_cast<std::size_t>(window)];
    for (std::int64_t i = 0; i < of.elements; ++i) {
      WindowsOfElement& element = found[static_cast<std::size_t>(of.first + i * axis.dilation)];
      element.first = std::min(element.first, window);
      element.last = std::max(element.last, window + 1);
    }
  }
  return found;
}

// A plane of three axes, of which the first ones may have size 1.
struct PoolOfPlane {
  std::vector<PoolAxis> axes;                        // three
  std::vector<std::vector<WindowsOfElement>> within;  // of each axis
  std::vector<std::int64_t> only_window;             // of each element, or -1; empty where some lie in several

  explicit PoolOfPlane(std::vector<PoolAxis> last_axes) : axes(3 - last_axes.size(), PoolAxis(1, 1, 1, 1, 1, 0)) {
    axes.insert(axes.end(), last_axes.begin(), last_axes.end());
    for (const PoolAxis& axis : axes) within.push_back(windows_of_elements(axis));
    const bool apart = std::all_of(within.begin(), within.end(), [](const auto& axis) {
      const auto one = [](const WindowsOfElement& windows) { return windows.last - windows.first <= 1; };
      return std::all_of(axis.begin(), axis.end(), one);
    });
    if (!apart) return;
    only_window.assign(static_cast<std::size_t>(size()), -1);
    for (std::int64_t element = 0; element < size(); ++element) {
      each_window(element, [&](std::int64_t output) { only_window[static_cast<std::size_t>(element)] = output; });
    }
  }

  std::int64_t size() const { return axes[0].size * axes[1].size * axes[2].size; }
  std::int64_t outputs() const { return axes[0].outputs() * axes[1].outputs() * axes[2].outputs(); }

  // Calls body(element) for all that are not 0.
  template <class Body>
  void each_change(const std::int32_t* changes, const Body& body) const {
    constexpr std::int64_t at_once = 4096;
    std::uint32_t places[at_once];
    const std::int64_t all = size();
    for (std::int64_t first = 0; first < all; first += at_once) {
      const std::int64_t found = vector_kernels().list_places(changes + first, std::min(at_once, all - first), places);
      for (std::int64_t i = 0; i < found; ++i) body(first + places[i]);
    }
  }

  // Calls body(output) for the windows that an element may lie in. Dilated windows leave elements between theirs out.
  template <class Body>
  void each_window(std::int64_t element, const Body& body) const {
    const std::int64_t column = element % axes[2].size, line = element / axes[2].size % axes[1].size;
    const auto of = [&](std::size_t axis, std::int64_t at) { return within[axis][static_cast<std::size_t>(at)]; };
    const WindowsOfElement planes = of(0, element / axes[2].size / axes[1].size);
    const WindowsOfElement lines = of(1, line), columns = of(2, column);
    for (std::int64_t z = planes.first; z < planes.last; ++z) {
      for (std::int64_t y = lines.first; y < lines.last; ++y) {
        for (std::int64_t x = columns.first; x < columns.last; ++x) {
          body((z * axes[1].outputs() + y) * axes[2].outputs() + x);
        }
      }
    }
  }

  std::int32_t largest(const std::int32_t* counts, std::int64_t output) const {
    const auto window = [&](std::size_t axis, std::int64_t at) {
      return axes[axis].windows[static_cast<std::size_t>(at)];
    };
    const PoolWindow x = window(2, output % axes[2].outputs());
    const PoolWindow y = window(1, output / axes[2].outputs() % axes[1].outputs());
    const PoolWindow z = window(0, output / axes[2].outputs() / axes[1].outputs());
    std::int32_t most = INT32_MIN;
    for (std::int64_t k = 0; k < z.elements; ++k) {
      for (std::int64_t j = 0; j < y.elements; ++j) {
        const std::int64_t plane = (z.first + k * axes[0].dilation) * axes[1].size;
        const std::int64_t first = (plane + y.first + j * axes[1].dilation) * axes[2].size + x.first;
        for (std::int64_t i = 0; i < x.elements; ++i) most = std::max(most, counts[first + i * axes[2].dilation]);
      }
    }
    return most;
  }
};

// Planes one after the other: sums of the changes in each window (no dilation).
inline void sum_changes(const PoolOfPlane& pool, const std::int32_t* changes, std::int64_t planes, std::int32_t* sums) {
  constexpr std::int64_t at_once = 4096;
  std::uint32_t places[at_once];
  const std::int64_t size = pool.size(), outputs = pool.outputs(), all = planes * size;
  if (planes == 0) return;
  std::memset(sums, 0, static_cast<std::size_t>(planes * outputs) * sizeof *sums);
  const auto add = [](std::int32_t& sum, std::int32_t change) {
    sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) + static_cast<std::uint32_t>(change));
  };
  std::int64_t end = size;  // of the plane
  for (std::int64_t first = 0; first < all; first += at_once) {
    const std::int64_t found = vector_kernels().list_places(changes + first, std::min(at_once, all - first), places);
    for (std::int64_t i = 0; i < found; ++i) {
      const std::int64_t place = first + places[i];
      for (; place >= end; end += size) sums += outputs;
      const std::int64_t element = place - (end - size);
      if (pool.only_window.empty()) {
        pool.each_window(element, [&](std::int64_t output) { add(sums[output], changes[place]); });
      } else if (pool.only_window[static_cast<std::size_t>(element)] >= 0) {
        add(sums[pool.only_window[static_cast<std::size_t>(element)]], changes[place]);
      }
    }
  }
}

// One channel of a sample: counts go on by the changes, in place; `fired` is what the largest of each window changes
// by. Modulo 2^32, as in the ONNX form.
inline void largest_changes(
    const PoolOfPlane& pool, const std::int32_t* changes, std::int32_t* counts, std::int32_t* fired) {
  using u32 = std::uint32_t;
  static thread_local std::vector<char> reached;
  std::memset(fired, 0, static_cast<std::size_t>(pool.outputs()) * sizeof *fired);
  reached.assign(static_cast<std::size_t>(pool.outputs()), 0);
  bool any = false;
  pool.each_change(changes, [&](std::int64_t element) {
    any = true;
    pool.each_window(element, [&](std::int64_t output) { reached[static_cast<std::size_t>(output)] = 1; });
  });
  if (!any) return;
  const auto add_largest = [&](u32 sign) {
    for (std::int64_t output = 0; output < pool.outputs(); ++output) {
      if (reached[static_cast<std::size_t>(output)] == 0) continue;
      const u32 largest = static_cast<u32>(pool.largest(counts, output));
      fired[output] = static_cast<std::int32_t>(static_cast<u32>(fired[output]) + sign * largest);
    }
  };
  add_largest(~u32{0});
  pool.each_change(changes, [&](std::int64_t element) {
    counts[element] = static_cast<std::int32_t>(static_cast<u32>(counts[element]) + static_cast<u32>(changes[element]));
  });
  add_largest(1);
}

}  // namespace snnc::kernels
