// What a scatter task knows of the connections of a part of a layer.
#pragma once

#include <algorithm>
#include <list>
#include <vector>

#include "line_memory.hpp"

namespace snnc::kernels {

// Columns that share a word of the transposed input.
inline int packed_for(const SynapseShape& shape) {
  return columns_per_word(static_cast<int>(std::min<std::int64_t>(shape.copy_channels(), word_steps)));
}

inline int channel_bits_of(const SynapseShape& shape, int packed) {
  if (packed > 1) return packed == 4 ? 4 : 5;
  int bits = 6;
  while ((std::int64_t{1} << bits) < shape.copy_channels()) ++bits;
  return bits;
}

// Input lines of a band that reach the same lines, seen from the first of these.
struct ScatterLines {
  std::vector<ScatterTarget> targets;
  std::vector<std::int64_t> lines;
  std::vector<ScatterLine> views;
};

// What the events of a part reach in output lines [first, last), in any image.
struct ScatterConnections {
  std::int64_t first, last;
  std::vector<ScatterLines> groups;
  std::vector<ScatterColumn> columns;  // [line][field]
  std::vector<ScatterGroup> views;
};

struct ScatterPart {
  const Synapses* synapses;
  const LayerInput* input;
  int packed;
  std::vector<Slot> slots;
  std::vector<std::uint32_t> slot_channel;
  std::vector<ScatterColumn> columns;  // by field of the packed line, for all lines
  std::int64_t run;
  LoadedLines* loaded;
  std::list<ScatterConnections> bands;  // those that were met
  ScatterConnections* band;             // the one that is computed
};

}  // namespace snnc::kernels
