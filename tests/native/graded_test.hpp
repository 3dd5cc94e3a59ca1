// Exact checks of the layers and pools of graded networks, without onnxruntime.
#pragma once

#include <cstdint>

namespace snnc::tests {

// Random layers, numbered; those with number % shares == share. Gives how many differ from the reference, and prints
// them.
int check_graded_layers(int count, std::uint64_t seed, int shares, int share);

// Pools of changes and their totals, against loops over windows. Gives how many differ, and prints them.
int check_graded_pools(std::uint64_t seed);

}  // namespace snnc::tests
