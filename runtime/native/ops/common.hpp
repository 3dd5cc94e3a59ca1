// Checks that several operators share.
#pragma once

#include <cstdint>
#include <string>

#include "../ort_operator.hpp"

namespace snnc::ops {

using ort::ElementType;
using ort::InvalidInput;
using ort::Shape;
using ort::to_string;

constexpr int max_block_steps = 64;

// Steps of the block, from the int64 scalar input `index`.
inline int read_count(const ort::Context& context, std::size_t index) {
  const std::int64_t count = context.scalar(index, "count");
  if (count < 0 || count > max_block_steps) {
    throw InvalidInput("count is " + std::to_string(count) + ", must be 0 to " + std::to_string(max_block_steps));
  }
  return static_cast<int>(count);
}

inline void require_batch_axis(const Shape& shape, const char* name) {
  if (shape.empty()) throw InvalidInput(std::string(name) + " has shape [], must have a batch axis: [N, ...]");
}

inline void require_channel_axis(const Shape& shape, const char* name) {
  if (shape.size() < 2) {
    throw InvalidInput(std::string(name) + " has shape " + to_string(shape) +
                       ", must have a batch and a channel axis: [N, C, ...]");
  }
}

inline void require_same_shape(const Shape& shape, const char* name, const Shape& other, const char* other_name) {
  if (shape != other) {
    throw InvalidInput(std::string(name) + " has shape " + to_string(shape) + ", must be that of " + other_name + ", " +
                       to_string(other));
  }
}

// Whether neurons keep what exceeds the threshold (RMP) or start from 0 again (IF).
inline bool read_soft_reset(const ort::NodeInfo& node) {
  const std::int64_t soft_reset = node.get_int("soft_reset");
  if (soft_reset != 0 && soft_reset != 1) {
    throw InvalidInput("attribute soft_reset is " + std::to_string(soft_reset) + ", must be 0 or 1");
  }
  return soft_reset == 1;
}

// The optional attribute leak: every step begins with V <- V - floor(V / 2^leak), where it is not 0.
inline int read_leak(const ort::NodeInfo& node) {
  constexpr std::int64_t largest = 15;
  const std::int64_t leak = node.get_int("leak", 0);
  if (leak < 0 || leak > largest) {
    throw InvalidInput("attribute leak is " + std::to_string(leak) + ", must be 0 to " + std::to_string(largest));
  }
  return static_cast<int>(leak);
}

inline std::int64_t tiles_of(std::int64_t items, std::int64_t tile) { return (items + tile - 1) / tile; }

// The shape [count * N, ...] of values of all steps, for a state of shape [N, ...].
inline Shape time_major(Shape shape, int count) {
  shape[0] *= count;
  return shape;
}

inline void require_current_shape(const Shape& current, const Shape& v, int count) {
  if (current != time_major(v, count)) {
    throw InvalidInput("current has shape " + to_string(current) + ", must be " + to_string(time_major(v, count)) +
                       " for v " + to_string(v) + " and count " + std::to_string(count));
  }
}

// The shape [N, 2 * C, ...] of signed spikes of neurons [N, C, ...]: positive ones of all channels, then negative ones.
inline Shape joined(Shape shape) {
  shape[1] *= 2;
  return shape;
}

}  // namespace snnc::ops
