// Sizes of layers: axes by their numbers, and random ones.
#pragma once

#include "layers_random.hpp"

namespace snnc::tests {

inline Axis axis(std::int64_t in, std::int64_t kernel, std::int64_t stride = 1, std::int64_t begin = 0,
                 std::int64_t end = -1, std::int64_t dilation = 1) {
  if (end < 0) end = begin;
  return {in, (in + begin + end - (kernel - 1) * dilation - 1) / stride + 1, kernel, stride, begin, dilation};
}

inline Axis random_axis(Random& random, const std::vector<std::int64_t>& sizes) {
  const std::int64_t in = pick(random, sizes);
  std::int64_t kernel = pick<std::int64_t>(random, {1, 2, 3, 3, 3, 4, 5});
  const std::int64_t dilation = pick<std::int64_t>(random, {1, 1, 1, 2, 3});
  const std::int64_t begin = below(random, kernel + 1), end = below(random, kernel + 1);
  if ((kernel - 1) * dilation >= in + begin + end) kernel = 1;
  return axis(in, kernel, pick<std::int64_t>(random, {1, 1, 1, 2, 3}), begin, end, dilation);
}

inline Sizes random_sizes(Random& random) {
  const std::vector<std::int64_t> channels{1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 130};
  Sizes sizes{pick(random, channels), pick(random, channels), {}};
  const std::int64_t kind = below(random, 5);
  if (kind == 0) {  // depthwise
    sizes.groups = sizes.inputs = sizes.outputs;
  } else if (kind == 1) {
    sizes.groups = 1 + below(random, 5);
    sizes.inputs = sizes.groups * (1 + below(random, 20));
    sizes.outputs = sizes.groups * (1 + below(random, 40));
  }
  for (std::int64_t rank = below(random, 4); rank > 1; --rank) {
    sizes.axes.push_back(random_axis(random, {1, 2, 3, 4, 5}));
  }
  sizes.axes.push_back(random_axis(random, {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 65}));
  sizes.copies = pick<std::int64_t>(random, {1, 1, 1, 2, 4});
  if (below(random, 3) == 0) {
    const bool identity = below(random, 2) == 0;
    sizes.residual = identity ? sizes.outputs : pick(random, channels);
    sizes.residual_groups = identity ? sizes.outputs : 1;
    sizes.residual_copies = pick<std::int64_t>(random, {1, 1, 2});
  }
  sizes.signs = pick<std::int64_t>(random, {1, 1, 2});
  sizes.residual_signs = pick<std::int64_t>(random, {1, 1, 2});
  sizes.images = pick<std::int64_t>(random, {1, 1, 2, 3, 9});
  sizes.steps = static_cast<int>(pick<std::int64_t>(random, {64, 64, 63, 33, 7, 1}));
  return sizes;
}

inline Values random_values(Random& random) {
  return {pick<int>(random, {2, 13, 13, 50, 50, 256}),
          pick<Weights>(random, {Weights::small, Weights::small, Weights::int16, Weights::above_int16, Weights::wide}),
          pick<Potentials>(random, {Potentials::zero, Potentials::moderate, Potentials::moderate, Potentials::extreme}),
          below(random, 2) == 0, below(random, 2) == 0,
          pick<NeuronModel>(random, {soft, soft, hard, rising, symmetric, leaky_soft, leaky_hard})};
}

// Additions of the reference, about.
inline std::int64_t work_of(const Sizes& sizes, const Values& values) {
  const Geometry geometry(sizes.axes);
  const std::int64_t taps = geometry.line_taps * geometry.column_axis.kernel;
  const std::int64_t fan_in = sizes.inputs / sizes.groups * sizes.copies * sizes.signs * taps +
                              sizes.residual / sizes.residual_groups * sizes.residual_copies * sizes.residual_signs;
  return sizes.images * sizes.outputs * geometry.plane_out() * fan_in * (1 + (values.density > 2 ? sizes.steps : 8));
}

}  // namespace snnc::tests
