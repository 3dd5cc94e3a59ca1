// Where the runs of weights that events add to a line end up.
#pragma once

#include "spiking_layer.hpp"

namespace snnc::kernels {

// Output columns that events are added to: [first, last), some of them beside the plane.
struct ColumnSpan {
  std::int64_t first, last;
};

ColumnSpan span_of(const SpikingLayer& layer, const LayerCall& call);

}  // namespace snnc::kernels
