// Exact checks of the event-driven layers, without onnxruntime: listed shapes, then a seeded stream of random ones.
//
//     layers_test [random layers] [seed] [shares] [share]
//
// Layers are numbered; those with number % shares == share are checked. Their values depend on seed and number only.
// Every layer runs as planned, and by several callers at the same time that cut it into tasks differently, each with
// several threads. Prints the layers that differ from the reference, and exits with 1 if any does.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "graded_test.hpp"
#include "layers_runs.hpp"
#include "layers_shapes.hpp"
#include "layers_totals.hpp"

using namespace snnc::kernels;
using namespace snnc::tests;

namespace {

// What the command line asks for, and what there was.
std::uint64_t seed = 0;
int shares = 1, share = 0;
int layers = 0, failures = 0, planned_for[layer_kernels.size()] = {};

// --- runs ------------------------------------------------------------------------------------------------------------

// Index of the first element of `actual` that is not that of `expected`, from `first` on; -1 if there is none.
template <class T>
std::int64_t first_difference(const std::vector<T>& actual, const std::vector<T>& expected, std::int64_t first) {
  const auto found = std::mismatch(actual.begin(), actual.end(), expected.begin() + first);
  return found.first == actual.end() ? -1 : found.first - actual.begin();
}

void compare(const Layer& layer, const Run& run, const Result& expected, const char* how) {
  const std::int64_t first = run.first * layer.image_neurons();
  const std::int64_t fired = first_difference(run.result.fired, expected.fired, first * layer.planes());
  const std::int64_t v = first_difference(run.result.v_out, expected.v_out, first);
  const std::int64_t counts = first_difference(run.result.counts_out, expected.counts_out, first);
  if (fired < 0 && v < 0 && counts < 0) return;
  ++failures;
  std::fprintf(stderr, "layer %d: %s, by %s, %s\n"
               "  from image %lld: first differences at fired %lld, v_out %lld, counts_out %lld\n",
               layers - 1, layer.name.c_str(), layer_kernels[run.plan.kernel].name, how,
               static_cast<long long>(run.first), static_cast<long long>(fired), static_cast<long long>(v),
               static_cast<long long>(counts));
}

// Bytes that the weights of a layer without signs take.
int bytes_of(Weights kind) {
  switch (kind) {
    case Weights::above_int16:
    case Weights::below_int16: return 4;
    case Weights::above_int8:
    case Weights::below_int8:
    case Weights::bits13:
    case Weights::int16: return 2;
    default: return 1;
  }
}

void check_weight_bytes(const Layer& layer, const SpikingLayer& native, const Values& values) {
  bool has_signs = false;  // then int16 has no negative of -32768
  for (const Part& part : layer.parts) has_signs = has_signs || part.shape.signs == 2;
  if (layer.parts[0].shape.depthwise() || values.weights == Weights::wide || has_signs) return;
  if (native.synapses()[0].weight_bytes() == bytes_of(values.weights)) return;
  ++failures;
  std::fprintf(stderr, "layer %d: %s: weights take %d bytes\n", layers - 1, layer.name.c_str(),
               native.synapses()[0].weight_bytes());
}

// Several callers at the same time, each with several threads.
void check_callers(const Layer& layer, const SpikingLayer& native, const Result& expected, Random& random) {
  constexpr std::size_t callers = 2, threads_each = 2;
  std::vector<std::unique_ptr<Run>> runs;
  for (std::size_t caller = 0; caller < callers; ++caller) {
    const auto first = static_cast<std::int64_t>(caller) % layer.images;
    runs.push_back(std::make_unique<Run>(layer, native, first, caller > 0));
    cut_differently(*runs.back(), native, random);
  }
  std::vector<std::thread> threads;
  for (const auto& run : runs) {
    for (std::size_t thread = 0; thread < threads_each; ++thread) {
      threads.emplace_back([&native, &run = *run, thread] {
        for (std::size_t i = thread; i < run.plan.tasks.size(); i += threads_each) {
          native.run(run.call, run.plan, run.plan.tasks[i]);
        }
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& run : runs) compare(layer, *run, expected, "several callers");
}

void check(const Sizes& sizes, const Values& values = {}) {
  const int number = layers++;
  if (number % shares != share) return;
  Random random(seed << 32 | static_cast<std::uint64_t>(number));
  const Layer layer = random_layer(random, sizes, values);
  const Result expected = reference(layer);
  std::vector<SpikingLayer::Part> parts;
  for (const Part& part : layer.parts) parts.push_back({part.weights.data(), part.shape});
  const SpikingLayer native(parts, layer.bias.empty() ? nullptr : layer.bias.data(), layer.neurons);
  check_weight_bytes(layer, native, values);
  Run planned(layer, native, 0, false);
  for (const LayerTask& task : planned.plan.tasks) native.run(planned.call, planned.plan, task);
  compare(layer, planned, expected, "as planned");
  ++planned_for[planned.plan.kernel];
  check_callers(layer, native, expected, random);
}

// --- shapes ----------------------------------------------------------------------------------------------------------

void test_listed_layers() {
  const Axis three = axis(5, 3, 1, 1);
  check(Sizes{1, 1, {axis(1, 1)}}.with_images(1).with_steps(1), {256, Weights::small, Potentials::extreme});
  check(Sizes{2, 40, {axis(1, 3, 1, 1), axis(1, 3, 1, 1)}}, {256});
  check(Sizes{130, 63, {axis(3, 3, 1, 1), axis(4, 3, 1, 1)}}.with_copies(2), {5});
  check(Sizes{17, 130, {axis(3, 3, 1, 1), axis(4, 3, 1, 1)}});
  check(Sizes{3, 64, {axis(9, 3, 1, 1), axis(40, 3, 1, 1)}}.with_images(1).with_steps(33));  // several bands
  check(Sizes{5, 9, {axis(3, 7, 1, 3), axis(2, 7, 1, 2, 3)}}, {256});  // kernel > plane
  check(Sizes{3, 4, {axis(2, 2, 3, 3), axis(2, 2, 3, 3)}}, {256});  // only padding
  check(Sizes{7, 31, {axis(6, 3, 1, 2, 0), axis(5, 2, 1, 0, 3)}}, {75});  // asymmetric
  check(Sizes{8, 16, {axis(13, 3, 3, 1, 0, 2), axis(17, 2, 1, 2, 1, 3)}}, {75});  // mixed
  check(Sizes{8, 20, {axis(12, 3, 2, 1), axis(18, 5, 3, 1, 2)}}, {75});  // phases of 2 and 1 taps
  check(Sizes{8, 20, {axis(7, 3, 2, 1, 1, 2), axis(9, 4, 2, 3, 0)}}, {75});  // dilated lines
  check(Sizes{9, 33, {axis(11, 2, 3, 1), axis(10, 2, 3, 1)}}, {26, Weights::small, Potentials::zero, false});
  check(Sizes{4, 64, {axis(6, 3, 3), axis(20, 3, 3)}}, {75});  // rest of the stride
  check(Sizes{16, 15, {axis(9, 3, 1, 2, 2, 3), axis(9, 3, 1, 2, 2, 3)}}, {75});
  check(Sizes{6, 5, {axis(4, 3, 1, 1), axis(11, 3, 2, 4, 4, 5)}}, {75});  // dilation > kernel
  check(Sizes{33, 33, {axis(7, 3, 2, 1), axis(19, 3, 2, 1)}}.with_groups(33), {75});
  check(Sizes{33, 33, {axis(40, 3, 1, 6, 0, 3)}}.with_groups(33).with_copies(2), {75});
  check(Sizes{65, 65, {three, axis(9, 3, 1, 1)}}.with_groups(65), {128, Weights::wide, Potentials::extreme});
  check(Sizes{17, 51, {three, axis(7, 3, 1, 1)}}.with_groups(17),
        {26, Weights::small, Potentials::zero, false, false, hard});
  check(Sizes{15, 33, {three, axis(6, 3, 1, 1)}}.with_groups(3));
  check(Sizes{140, 4, {axis(2, 1), axis(5, 3, 1, 1)}}.with_groups(2), {75});
  check(Sizes{12, 64, {three, axis(5, 3, 1, 1)}}.with_groups(4).with_copies(3), {75});
  check(Sizes{96, 24, {axis(3, 1), axis(7, 1)}}, {75});
  check(Sizes{33, 65, {axis(5, 1, 3), axis(11, 1, 3)}});
  check(Sizes{3, 16, {axis(200, 9, 2, 4)}}.with_images(1).with_steps(63));  // 1-D
  check(Sizes{4, 18, {axis(3, 3, 1, 1), axis(4, 3, 1, 1), axis(5, 3, 1, 1)}});  // 3-D
  check(Sizes{6, 4, {axis(4, 1, 2, 0), axis(5, 3, 2, 1), axis(6, 2, 2, 0, 1)}}.with_groups(2), {75});
  check(Sizes{5, 5, {axis(3, 3, 1, 1), axis(4, 3, 1, 1), axis(5, 3, 1, 1)}}.with_residual(5, 5), {75});
  check(Sizes{3, 20, {axis(2, 3, 1, 1), axis(3, 3, 1, 1)}}.with_images(23).with_steps(40));  // many images
  check(Sizes{65525, 65, {axis(4, 1, 1, 3, 9)}}.with_images(1).with_steps(5), {2});  // rows behind the last of 16 bits
  check(Sizes{3, 5, {axis(20, 3, 1, 1), axis(4, 3, 1, 1)}}.with_residual(5, 5).with_images(3));  // many lines
  // Fully connected: the plane is the kernel.
  check(Sizes{1, 17, {axis(8, 8), axis(1, 1)}}.with_copies(4), {75});
  check(Sizes{65, 129, {axis(8, 8), axis(1, 1)}}.with_images(9).with_steps(7));
  check(Sizes{200, 10, {axis(1, 1)}}, {5});
  // Junctions: identity paths, projections, all with copies.
  for (const std::int64_t channels : {16, 17, 33, 64, 65}) {
    const Sizes junction = Sizes{3, channels, {three, axis(18, 3, 1, 1)}}.with_residual(channels, channels);
    check(junction, {50});
    check(junction, {50, Weights::small, Potentials::moderate, false});
    check(Sizes{3, channels, {three, axis(9, 3, 1, 1)}}.with_residual(channels, channels, 3), {26, Weights::wide});
    check(Sizes{3, channels, {three, axis(7, 3, 2, 1)}}.with_copies(2).with_residual(5, 1, 2), {50});
    const Sizes depthwise = Sizes{channels, channels, {three, axis(9, 3, 1, 1)}}.with_groups(channels);
    check(depthwise.with_residual(channels, channels), {50});
    check(depthwise.with_residual(7, 1, 2), {50});
  }
  check(Sizes{8, 12, {three, axis(6, 3, 1, 1)}}.with_groups(2).with_residual(8, 4),
        {50, Weights::int16, Potentials::moderate, true, true, hard});
  check(Sizes{70, 40, {three, axis(6, 3, 1, 1)}}.with_residual(20), {26});
}

void test_line_lengths() {
  // Bits of several columns are moved at once: lines of all lengths about these numbers, for columns of all widths.
  int counter = 0;
  for (const std::int64_t channels : {15, 16, 17, 31, 32, 33, 63, 64, 65}) {
    for (const std::int64_t columns : {7, 8, 9, 15, 16, 17, 31, 32, 33, 65}) {
      const Values values{26, counter % 3 ? Weights::small : Weights::wide, Potentials::moderate, counter % 2 == 0,
                          counter % 5 != 0, counter % 7 ? soft : counter % 2 ? hard : rising};
      const int steps = counter % 4 ? 64 : 1 + counter % 63;
      const std::vector<Axis> axes{axis(2, 1), axis(columns, 3, 1, 1)};
      check(Sizes{channels, 3, axes}.with_images(1).with_steps(steps), values);
      check(Sizes{2, channels, axes}.with_images(1).with_steps(steps), values);
      check(Sizes{channels, channels, axes}.with_groups(channels).with_images(1).with_steps(steps), values);
      ++counter;
    }
  }
}

void test_values() {
  // Values: limits of the weights, counts of steps, potentials up to the bound.
  for (const std::int64_t outputs : {16, 33, 65}) {
    const Sizes sizes{6, outputs, {axis(3, 3, 1, 1), axis(7, 3, 1, 1)}};
    const Sizes depthwise = Sizes{outputs, outputs, sizes.axes}.with_groups(outputs);
    for (const Weights weights : {Weights::int8, Weights::above_int8, Weights::below_int8, Weights::bits13, Weights::int16,
                                  Weights::above_int16, Weights::below_int16, Weights::wide}) {
      check(sizes, {50, weights});
      check(sizes.with_residual(5), {50, weights});
      check(depthwise, {50, weights, Potentials::extreme, true, true, hard});
    }
    for (const int steps : {0, 1, 31, 32, 63, 64}) {
      check(sizes.with_steps(steps), {75, Weights::small, Potentials::extreme, steps % 2 == 0, true, steps % 3 ? hard : soft});
    }
    // More rows in a step than sums of 16 bits hold.
    for (const Weights weights : {Weights::highest_int8, Weights::lowest_int8, Weights::bits13}) {
      check(Sizes{60, outputs, {axis(3, 3, 1, 1), axis(5, 3, 1, 1)}}, {256, weights});
      check(Sizes{60, outputs, {axis(2, 1), axis(5, 3, 1, 1)}}.with_residual(40).with_signs(2), {200, weights});
    }
    // As many rows as they hold, and one more: 127 or 128 times 256 inputs and taps, and times 260.
    for (const Weights weights : {Weights::highest_int8, Weights::lowest_int8}) {
      for (const std::int64_t copies : {1, 2}) {
        const std::vector<Axis> axes{axis(3, 2, 1, 1), axis(5, 2, 1, 1)};
        check(Sizes{64 / copies, outputs, axes}.with_copies(copies), {256, weights, Potentials::bound});
        check(Sizes{65, outputs, axes}.with_copies(copies), {256, weights, Potentials::bound});
        check(Sizes{40, outputs, axes}.with_copies(copies), {256, weights});  // too many with two copies
        check(Sizes{32, outputs, axes}.with_residual(128 / copies, 1, copies), {256, weights});
        check(Sizes{32, outputs, axes}.with_residual(140, 1, copies), {256, weights});  // too many in both parts together
      }
    }
    for (const Weights weights : {Weights::positive, Weights::negative}) {
      check(sizes, {256, weights, Potentials::bound, false});
      check(depthwise, {256, weights, Potentials::bound, false});
    }
    check(sizes, {0, Weights::small, Potentials::extreme, false, false});
  }
}

// Negative spikes: copies, groups, identity paths, all kinds of neurons.
void test_signs() {
  const Axis three = axis(5, 3, 1, 1);
  for (const NeuronModel& neurons : {soft, hard, rising, symmetric, leaky_soft}) {
    const Values values = Values{75}.with_neurons(neurons);
    check(Sizes{3, 16, {three, axis(17, 3, 1, 1)}}.with_signs(2), values);  // first layer
    check(Sizes{1, 65, {axis(9, 5, 2, 2), axis(9, 5, 2, 2)}}.with_signs(2), values);
    check(Sizes{33, 20, {three, axis(9, 3, 2, 1)}}.with_signs(2).with_copies(3), values);
    check(Sizes{12, 64, {three, axis(5, 3, 1, 1)}}.with_groups(4).with_signs(2).with_copies(2), values);
    check(Sizes{130, 12, {axis(2, 1), axis(5, 3, 1, 1)}}.with_groups(2).with_signs(2), values);
    check(Sizes{33, 33, {three, axis(9, 3, 1, 1)}}.with_groups(33).with_signs(2).with_copies(2), values);
    check(Sizes{3, 16, {three, axis(18, 3, 1, 1)}}.with_residual(16, 16).with_signs(2, 2), values);
    check(Sizes{8, 65, {three, axis(7, 3, 1, 1)}}.with_residual(65, 65, 2).with_signs(1, 2), values);
    check(Sizes{8, 12, {three, axis(6, 3, 1, 1)}}.with_residual(8, 4).with_signs(2, 2), values);
    check(Sizes{65, 129, {axis(8, 8), axis(1, 1)}}.with_signs(2).with_copies(2), values);
  }
  for (const Weights weights : {Weights::int8, Weights::lowest_int8, Weights::int16, Weights::below_int16, Weights::wide}) {
    check(Sizes{6, 33, {three, axis(7, 3, 1, 1)}}.with_signs(2), {50, weights});
    check(Sizes{33, 33, {three, axis(7, 3, 1, 1)}}.with_groups(33).with_signs(2), {50, weights});
  }
}

// The counts at their limits, potentials of both signs, thresholds up to the bound.
void test_staircases() {
  const Axis three = axis(5, 3, 1, 1);
  const NeuronModel still{Dynamics::staircase, 2, 2};
  const NeuronModel widest{Dynamics::staircase, -2000000000, 2000000000};
  for (const NeuronModel& neurons : {rising, symmetric, still, widest}) {
    for (const std::int64_t outputs : {5, 16, 33, 64, 65}) {
      const Sizes sizes{8, outputs, {three, axis(19, 3, 1, 1)}};
      for (const Potentials potentials : {Potentials::zero, Potentials::moderate, Potentials::extreme}) {
        check(sizes.with_images(1), Values{75, Weights::small, potentials}.with_neurons(neurons));
      }
      check(sizes.with_residual(outputs, outputs), Values{75, Weights::wide}.with_neurons(neurons));
    }
    check(Sizes{200, 10, {axis(1, 1)}}.with_steps(33), Values{128}.with_neurons(neurons));
    check(Sizes{3, 20, {three, axis(8, 3, 2, 1)}}.with_steps(0), Values{75}.with_neurons(neurons));
  }
}

// Pixels without events and at rest, between others: in the middle of lines, at their ends, whole lines of them.
void test_rests() {
  for (const NeuronModel& neurons : {rising, symmetric}) {
    for (const int density : {0, 1, 2}) {
      for (const std::int64_t outputs : {1, 16, 17, 33, 64}) {
        const Values values = Values{density, Weights::small, Potentials::resting, false}.with_neurons(neurons);
        const std::vector<Axis> plane{axis(20, 3, 1, 1), axis(21, 3, 1, 1)};
        check(Sizes{2, outputs, plane}.with_signs(2).with_steps(12), values);
        check(Sizes{2, outputs, plane}.with_steps(64), {density, Weights::wide, Potentials::resting, false, false, neurons});
        check(Sizes{1, outputs, plane}.with_residual(outputs, outputs).with_signs(1, 2).with_steps(17), values);
        check(Sizes{1, outputs, {axis(21, 3, 2, 1), axis(20, 3, 2, 1)}}.with_residual(2).with_steps(9), values);
        check(Sizes{1, outputs, {axis(9, 5, 3, 7, 2, 2), axis(13, 5, 3, 6, 1)}}.with_copies(2).with_steps(8), values);
        check(Sizes{2, outputs, {axis(400, 3, 1, 1)}}.with_images(1).with_steps(13), values);
        check(Sizes{outputs, outputs, plane}.with_groups(outputs).with_signs(2).with_steps(16), values);
      }
    }
    // More pixels than are looked at together, and than are computed together.
    const Values many = Values{1, Weights::small, Potentials::resting, false}.with_neurons(neurons);
    check(Sizes{1, 33, {axis(70, 3, 1, 1), axis(65, 3, 1, 1)}}.with_images(1).with_steps(16), many);
    check(Sizes{1, 64, {axis(2, 1), axis(2500, 3, 1, 1)}}.with_images(1).with_steps(7), many);
    check(Sizes{1, 64, {axis(1, 1), axis(900, 3, 1, 1)}}.with_images(1).with_steps(64), many);
  }
}

// Potentials of both signs and any size, by any of the leaks, also of neurons that get nothing but a bias.
void test_leaks() {
  const Axis three = axis(5, 3, 1, 1);
  for (const Dynamics dynamics : {Dynamics::leaky_soft, Dynamics::leaky_hard}) {
    for (const std::int32_t leak : {1, 3, 15}) {
      const NeuronModel neurons{dynamics, 0, 0, leak};
      for (const std::int64_t outputs : {5, 16, 33, 64, 65}) {
        const Sizes sizes{8, outputs, {three, axis(19, 3, 1, 1)}};
        for (const Potentials potentials : {Potentials::moderate, Potentials::extreme}) {
          check(sizes.with_images(1), Values{75, Weights::small, potentials}.with_neurons(neurons));
        }
        check(sizes.with_residual(outputs, outputs), Values{75, Weights::wide}.with_neurons(neurons));
      }
      check(Sizes{33, 33, {three, axis(9, 3, 1, 1)}}.with_groups(33), Values{75}.with_neurons(neurons));
      check(Sizes{200, 10, {axis(1, 1)}}.with_steps(33), Values{128}.with_neurons(neurons));
      check(Sizes{3, 20, {three, axis(8, 3, 2, 1)}}.with_steps(0), Values{75}.with_neurons(neurons));
      check(Sizes{3, 20, {three, axis(8, 3, 2, 1)}}, Values{0}.with_neurons(neurons));
    }
  }
}

void test_random_layers(int count) {
  constexpr std::int64_t most_work = 6'000'000;
  Random random(seed);
  while (count > 0) {
    const Sizes sizes = random_sizes(random);
    const Values values = random_values(random);
    if (work_of(sizes, values) > most_work) continue;
    check(sizes, values);
    --count;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int index, int otherwise) { return argc > index ? std::atoi(argv[index]) : otherwise; };
  const int count = argument(1, 150);
  seed = static_cast<std::uint64_t>(argument(2, 0));
  shares = argument(3, 1);
  share = argument(4, 0) % shares;
  test_listed_layers();
  test_line_lengths();
  test_values();
  test_signs();
  test_staircases();
  test_rests();
  test_leaks();
  test_random_layers(count);
  Random random(seed);
  failures += wrong_totals(random);
  failures += check_graded_pools(seed);
  failures += check_graded_layers(count, seed, shares, share);
  std::printf("%s:", vector_kernels().name);
  for (std::size_t i = 0; i < layer_kernels.size(); ++i) std::printf(" %d %s,", planned_for[i], layer_kernels[i].name);
  std::printf(" %d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
