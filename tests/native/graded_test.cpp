#include "graded_test.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../runtime/native/kernels/graded/graded_layer.hpp"

namespace snnc::tests {

namespace {

using kernels::Axis;
using kernels::ChangeLists;
using kernels::Geometry;
using kernels::GradedInput;
using kernels::GradedLayer;
using kernels::GradedRun;
using kernels::GradedWeights;
using Random = std::mt19937_64;

std::int64_t between(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

struct Part {
  std::int64_t inputs, taps;
  std::vector<Axis> axes;
  bool own;
  std::vector<float> weights;         // [outputs, inputs, taps], or [outputs, taps]
  std::vector<std::int32_t> changes;  // [images, inputs, plane]
};

struct Layer {
  std::int64_t images, outputs, plane;  // plane: pixels of the neurons
  std::vector<Part> parts;
  std::vector<std::int32_t> v, counts;  // [images, plane, outputs]
  std::vector<std::int32_t> threshold, begun;
  std::vector<std::int64_t> fanout;     // [outputs, plane], or what of it repeats
  std::int32_t low, high;
};

struct Result {
  std::vector<std::int32_t> fired, v, counts;
  std::int64_t events = 0, operations = 0;
  bool operator==(const Result& other) const {
    return fired == other.fired && v == other.v && counts == other.counts && events == other.events &&
           operations == other.operations;
  }
};

// --- the reference: loops over images, pixels, channels and taps, in int64 -------------------------------------------

// The element of a plane that an output sees under a tap, -1 outside.
std::int64_t element_under(const std::vector<Axis>& axes, std::int64_t output, std::int64_t tap) {
  std::int64_t element = 0, scale = 1;
  for (std::size_t i = axes.size(); i-- > 0;) {
    const Axis& axis = axes[i];
    const std::int64_t at = output % axis.out * axis.stride - axis.pad + tap % axis.kernel * axis.dilation;
    if (at < 0 || at >= axis.in) return -1;
    element += at * scale;
    output /= axis.out;
    tap /= axis.kernel;
    scale *= axis.in;
  }
  return element;
}

std::int64_t plane_of(const std::vector<Axis>& axes, std::int64_t Axis::*size) {
  std::int64_t plane = 1;
  for (const Axis& axis : axes) plane *= axis.*size;
  return plane;
}

std::int64_t current(const Part& part, std::int64_t image, std::int64_t output, std::int64_t pixel) {
  const std::int64_t plane = plane_of(part.axes, &Axis::in);
  const std::int32_t* const changes = part.changes.data() + image * part.inputs * plane;
  const auto at = [](const auto& values, std::int64_t index) { return values[static_cast<std::size_t>(index)]; };
  std::int64_t sum = 0;
  for (std::int64_t tap = 0; tap < part.taps; ++tap) {
    const std::int64_t element = element_under(part.axes, pixel, tap);
    if (part.own) {
      const auto weight = static_cast<std::int64_t>(at(part.weights, output * part.taps + tap));
      if (element >= 0) sum += weight * changes[output * plane + element];
      continue;
    }
    for (std::int64_t input = 0; element >= 0 && input < part.inputs; ++input) {
      const auto weight = static_cast<std::int64_t>(at(part.weights, (output * part.inputs + input) * part.taps + tap));
      sum += weight * changes[input * plane + element];
    }
  }
  return sum;
}

Result reference(const Layer& layer) {
  Result result{std::vector<std::int32_t>(layer.v.size()), layer.v, layer.counts};
  for (std::int64_t image = 0; image < layer.images; ++image) {
    for (std::int64_t pixel = 0; pixel < layer.plane; ++pixel) {
      for (std::int64_t output = 0; output < layer.outputs; ++output) {
        const auto state = static_cast<std::size_t>((image * layer.plane + pixel) * layer.outputs + output);
        std::int64_t v = layer.v[state], count = layer.counts[state];
        for (const Part& part : layer.parts) v += current(part, image, output, pixel);
        const std::int64_t before = count, unit = layer.threshold[static_cast<std::size_t>(output)];
        for (; v >= unit && count < layer.high; ++count) v -= unit;
        for (; v < 0 && count > layer.low; --count) v += unit;
        result.v[state] = static_cast<std::int32_t>(v);
        result.counts[state] = static_cast<std::int32_t>(count);
        const std::int64_t place = (image * layer.outputs + output) * layer.plane + pixel;
        result.fired[static_cast<std::size_t>(place)] = static_cast<std::int32_t>(count - before);
        if (count == before) continue;
        const auto neuron = static_cast<std::size_t>(output * layer.plane + pixel);
        ++result.events;
        result.operations += layer.fanout[neuron % layer.fanout.size()];
      }
    }
  }
  return result;
}

// --- random layers ---------------------------------------------------------------------------------------------------

Axis random_axis(Random& random) {
  for (;;) {
    Axis axis{between(random, 1, 37), 0, between(random, 1, 5), between(random, 1, 3), between(random, 0, 3),
              between(random, 0, 3) == 0 ? 2 : 1};
    const std::int64_t rest = axis.in + axis.pad + between(random, 0, 2) - (axis.kernel - 1) * axis.dilation - 1;
    if (rest < 0) continue;
    axis.out = rest / axis.stride + 1;
    return axis;
  }
}

std::int32_t random_change(Random& random, int density) {
  if (between(random, 0, 255) >= density) return 0;
  return static_cast<std::int32_t>(between(random, 0, 7) == 0 ? between(random, -510, 510) : between(random, -2, 2));
}

void fill(Part& part, std::int64_t images, std::int64_t outputs, std::int64_t largest, int density, Random& random) {
  part.taps = plane_of(part.axes, &Axis::kernel);
  part.weights.resize(static_cast<std::size_t>(outputs * part.taps * (part.own ? 1 : part.inputs)));
  for (float& weight : part.weights) weight = static_cast<float>(between(random, -largest, largest));
  part.changes.resize(static_cast<std::size_t>(images * part.inputs * plane_of(part.axes, &Axis::in)));
  for (std::int32_t& change : part.changes) change = random_change(random, density);
}

Layer random_layer(Random& random) {
  Layer layer{};
  layer.images = between(random, 1, 3);
  layer.outputs = between(random, 0, 2) == 0 ? between(random, 1, 150) : between(random, 1, 70);
  const int density = std::vector<int>{0, 3, 26, 256}[static_cast<std::size_t>(between(random, 0, 3))];
  const std::vector<std::int64_t> magnitudes{127, 2000, 40'000};
  const std::int64_t largest = magnitudes[static_cast<std::size_t>(between(random, 0, 2))];
  Part main{};
  main.own = between(random, 0, 3) == 0;
  main.inputs = main.own ? layer.outputs : between(random, 1, 40);
  const std::int64_t rank = between(random, 1, 3);
  for (std::int64_t i = 0; i < rank; ++i) main.axes.push_back(random_axis(random));
  while (plane_of(main.axes, &Axis::in) * main.inputs > 40'000 || plane_of(main.axes, &Axis::out) > 2'000) {
    main.axes.pop_back();
    if (main.axes.empty()) main.axes.push_back(random_axis(random));
  }
  layer.plane = plane_of(main.axes, &Axis::out);
  fill(main, layer.images, layer.outputs, main.own ? 30'000 : largest, density, random);
  const auto second = between(random, 0, 3);  // none, none, a convolution, one weight for each neuron
  if (second >= 2) {
    Part residual{};
    residual.own = second == 3;
    residual.inputs = residual.own ? layer.outputs : between(random, 1, 20);
    for (const Axis& axis : main.axes) residual.axes.push_back({axis.out, axis.out, 1, 1, 0, 1});
    fill(residual, layer.images, layer.outputs, residual.own ? 100'000 : largest, density, random);
    layer.parts = {main, residual};
  } else {
    layer.parts = {main};
  }
  layer.low = static_cast<std::int32_t>(between(random, 0, 1) == 0 ? 0 : -between(random, 1, 9));
  layer.high = static_cast<std::int32_t>(between(random, 1, 40));
  const std::int64_t most = std::min<std::int64_t>(largest, 2000) * (between(random, 0, 1) == 0 ? 30 : 3);
  for (std::int64_t i = 0; i < layer.outputs; ++i) {
    layer.threshold.push_back(static_cast<std::int32_t>(between(random, 1, most)));
  }
  const std::vector<std::int64_t> periods{1, layer.plane, layer.plane * layer.outputs};
  const std::int64_t fanouts = periods[static_cast<std::size_t>(between(random, 0, 2))];
  for (std::int64_t i = 0; i < fanouts; ++i) layer.fanout.push_back(between(random, 0, 1000));
  for (std::int64_t i = 0; i < layer.images; ++i) {
    layer.begun.push_back(static_cast<std::int32_t>(between(random, 0, 1)));
  }
  for (std::int64_t i = 0; i < layer.images * layer.plane * layer.outputs; ++i) {
    const std::int32_t unit = layer.threshold[static_cast<std::size_t>(i % layer.outputs)];
    const bool begun = layer.begun[static_cast<std::size_t>(i / (layer.plane * layer.outputs))] != 0;
    const std::int32_t count = static_cast<std::int32_t>(between(random, layer.low, layer.high));
    // At rest after a frame; anything before the first one. Limited counts leave potentials beyond the threshold.
    const std::int64_t beyond = begun ? (count == layer.high ? 3 * unit : 0) : between(random, -3, 3) * unit;
    layer.counts.push_back(count);
    layer.v.push_back(static_cast<std::int32_t>(between(random, 0, unit - 1) + beyond));
  }
  return layer;
}

// --- runs ------------------------------------------------------------------------------------------------------------

// Cut into bands of lines; with several threads that share the lists.
Result run(const Layer& layer, const GradedLayer& native, std::int64_t bands, bool threads) {
  Result result{std::vector<std::int32_t>(layer.v.size(), -1), layer.v, layer.counts};
  std::mutex mutex;
  std::vector<Geometry> geometries;
  for (const Part& part : layer.parts) geometries.emplace_back(part.axes);
  GradedRun run{};
  for (std::size_t i = 0; i < layer.parts.size(); ++i) {
    run.inputs.push_back({layer.parts[i].changes.data(), &geometries[i]});
  }
  run.images = layer.images;
  run.v = result.v.data();
  run.counts = result.counts.data();
  run.fired = result.fired.data();
  run.begun = layer.begun.data();
  run.threshold = layer.threshold.data();
  run.low = layer.low;
  run.high = layer.high;
  run.fanout = layer.fanout.data();
  run.fanout_period = static_cast<std::int64_t>(layer.fanout.size());
  std::vector<ChangeLists> lists;
  const std::int64_t lines = geometries[0].lines_out;
  for (std::int64_t image = 0; image < layer.images; ++image) {
    if (!native.begin(run, image, lists)) return {};
    std::vector<std::thread> workers;
    for (std::int64_t task = 0; task < native.tiles() * bands; ++task) {
      const auto work = [&, image, task] {
        const auto totals = native.compute(
            run, image, lists, task / bands, task % bands * lines / bands, (task % bands + 1) * lines / bands);
        const std::lock_guard<std::mutex> lock(mutex);
        result.events += totals.events;
        result.operations += totals.operations;
      };
      if (threads && workers.size() < 4) workers.emplace_back(work);
      else work();
    }
    for (std::thread& worker : workers) worker.join();
  }
  return result;
}

GradedLayer native_of(const Layer& layer) {
  std::vector<GradedWeights> parts;
  for (const Part& part : layer.parts) {
    parts.push_back({part.weights.data(), part.inputs, layer.outputs, part.taps, part.taps,
                     part.taps * (part.own ? 1 : part.inputs), part.own});
  }
  return GradedLayer(parts);
}

// Changes of 16 bits are taken, larger ones are not.
int check_limits() {
  int failures = 0;
  for (const std::int32_t change : {32767, -32767, 32768, -32768, 1 << 20, INT32_MIN}) {
    std::vector<std::int32_t> changes(40);
    changes[33] = change;
    ChangeLists lists;
    const bool taken = lists.list(changes.data(), 2, 20, 5, 2);
    if (taken != (change == 32767 || change == -32767)) ++failures;
  }
  return failures;
}

}  // namespace

int check_graded_layers(int count, std::uint64_t seed, int shares, int share) {
  int failures = check_limits();
  for (int number = 0; number < count; ++number) {
    if (number % shares != share) continue;
    Random random(seed * 1'000'003 + static_cast<std::uint64_t>(number));
    const Layer layer = random_layer(random);
    const GradedLayer native = native_of(layer);
    const Result expected = reference(layer);
    const std::int64_t bands = between(random, 1, 4);
    if (run(layer, native, 1, false) == expected && run(layer, native, bands, true) == expected) continue;
    ++failures;
    std::fprintf(stderr, "graded layer %d: %lld images, %lld channels of %lld pixels, %zu parts, limits %d and %d\n",
                 number, static_cast<long long>(layer.images), static_cast<long long>(layer.outputs),
                 static_cast<long long>(layer.plane), layer.parts.size(), layer.low, layer.high);
  }
  return failures;
}

}  // namespace snnc::tests
