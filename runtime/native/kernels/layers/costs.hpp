// Rough costs of the kernels of layers: what an image costs in nanoseconds, and why.
//
// Only their ratios matter, and only for the choice of kernel and the size of tasks. `tests/benchmarks/kernel_costs.py`
// runs layers by every kernel, prints what it would put here, and how much slower than the fastest kernel the chosen ones
// are. The values were fitted to times of single layers with weights of 8 bits and soft reset, on one thread; they are
// used for all weights and dynamics.
#pragma once

namespace snnc::kernels {

struct GatherCosts {
  double pixel;        // a step of the neurons of a pixel and tile: bookkeeping, firing
  double listed_word;  // a step of a word of the input lines that a pixel's line reads
  double row;          // a row of a tile: reading the entry, a branch that may go wrong
  double vector;       // 16 additions of a row
};

struct ChunkCosts {
  double vector_step;      // a step of 16 neurons of a pixel
  double piece;            // a step of 64 channels of an input pixel: finding its events
  double run;              // a run of weights along a kernel line
  double run_vector;       // 16 additions for each output column that it reaches
  double wide_run_vector;  // the same, of sums of 32 bits
};

// Beyond what other kernels do for each neuron too, which `ChunkCosts` leave out.
struct SparseCosts {
  double neuron;        // of all: asking whether it is awake, keeping its states, clearing its words
  double awake_neuron;  // fetching and storing its states
};

struct TableCosts {
  double pixel;          // a step of the neurons of a pixel and tile
  double lookup;         // finding a row, of a tile
  double lookup_vector;  // 16 additions of it
};

struct KernelCosts {
  GatherCosts gather;
  ChunkCosts chunk;
  TableCosts table;
  SparseCosts sparse;
};

namespace avx512 {  // AMD EPYC (Zen 4), 2026-11-27
constexpr KernelCosts costs{{1.34, 4.0, 0.29, 0.10}, {1.6, 3.1, 0.29, 0.33, 0.66}, {0.36, 0.71, 0.51}, {0.5, 3.0}};
}
namespace avx2 {  // AMD EPYC, 2026-11-26
constexpr KernelCosts costs{{2.8, 8.6, 0.75, 0.16}, {2.8, 5.2, 0.25, 0.46, 0.9}, {3.0, 0.1, 1.3}, {0.5, 3.0}};
}
namespace portable {  // not measured
constexpr KernelCosts costs = avx2::costs;
}

}  // namespace snnc::kernels
