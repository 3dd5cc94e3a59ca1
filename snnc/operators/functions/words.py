"""Spike words put together (`PackSpikes`) and taken apart: `SpikeUnpack`, `SpikeCount`, `SpikeTotals`, `LastSpike`."""

from __future__ import annotations

from snnc.ir.domain import BLOCK_STEPS, DOMAIN

# `(spikes, count) -> bits [count, N, ...]`, uint64: the shared first half of SpikeUnpack and SpikeCount.
_SPIKE_BITS = """
SpikeBits (spikes, count) => (bits) {
  zero = Constant <value = int64 {0}> ()
  one = Constant <value = int64 {1}> ()
  list1 = Constant <value_ints = [1]> ()
  shape = Shape (spikes)
  size = Size (spikes)
  size_list = Reshape (size, list1)
  flat_shape = Concat <axis = 0> (list1, size_list)
  flat = Reshape <allowzero = 1> (spikes, flat_shape)
  steps = Range (zero, count, one)
  unsigned_steps = Cast <to = 13> (steps)
  shift = Unsqueeze (unsigned_steps, list1)
  shifted = BitShift <direction = "RIGHT"> (flat, shift)
  bit_mask = Constant <value = uint64 {1}> ()
  flat_bits = BitwiseAnd (shifted, bit_mask)
  count_list = Reshape (count, list1)
  bits_shape = Concat <axis = 0> (count_list, shape)
  bits = Reshape <allowzero = 1> (flat_bits, bits_shape)
}"""

# `(fires [count, ...], count) -> words [...]`: from bool to int64, which more operators take than uint64. The halves of
# a word are summed apart.
_PACK_SPIKES = """
PackSpikes (fires, count) => (words) {
  zero = Constant <value = int64 {0}> ()
  one = Constant <value = int64 {1}> ()
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  shape = Shape <start = 1> (fires)
  size_list = ReduceProd (shape)
  count_list = Reshape (count, list1)
  flat_shape = Concat <axis = 0> (count_list, size_list)
  flat = Reshape <allowzero = 1> (fires, flat_shape)
  steps = Range (zero, count, one)
  unsigned_steps = Cast <to = 13> (steps)
  one_unsigned = Constant <value = uint64 {1}> ()
  power = BitShift <direction = "LEFT"> (one_unsigned, unsigned_steps)
  half = Constant <value = uint64 {32}> ()
  power_high_unsigned = BitShift <direction = "RIGHT"> (power, half)
  low_mask = Constant <value = uint64 {4294967295}> ()
  power_low_unsigned = BitwiseAnd (power, low_mask)
  power_high_flat = Cast <to = 7> (power_high_unsigned)
  power_low_flat = Cast <to = 7> (power_low_unsigned)
  power_high = Unsqueeze (power_high_flat, list1)
  power_low = Unsqueeze (power_low_flat, list1)
  bits_high = Where (flat, power_high, zero)
  bits_low = Where (flat, power_low, zero)
  sum_high = ReduceSum <keepdims = 0> (bits_high, list0)
  sum_low = ReduceSum <keepdims = 0> (bits_low, list0)
  two_to_32 = Constant <value = int64 {4294967296}> ()
  shifted_high = Mul (sum_high, two_to_32)
  flat_words = Add (shifted_high, sum_low)
  words = Reshape <allowzero = 1> (flat_words, shape)
}"""

# `(spikes, counts, count) -> counts [count + 1, N, C, ...]`, int32: before the block and after each of its steps.
# "Sides" are the halves of joined words: positive spikes and, if there are any, negative ones.
_COUNTS_BY_STEP = f"""
CountsByStep <signed> (spikes, counts, count) => (counts_by_step) {{
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  shape = Shape (counts)
  batch = Shape <start = 0, end = 1> (counts)
  sample_dims = Shape <start = 1> (counts)
  elements = ReduceProd (sample_dims)
  count_list = Reshape (count, list1)
  minus_sides = Constant <value_int: int = @signed> ()
  sides = Add (list1, minus_sides)
  both_signs = Constant <value = int32[2] {{1, -1}}> ()
  signs = Slice (both_signs, list0, sides)
  sign_shape = Concat <axis = 0> (sides, list1)
  sign_of_side = Reshape (signs, sign_shape)
  bits = {DOMAIN}.SpikeBits (spikes, count)
  bits_shape = Concat <axis = 0> (count_list, batch, sides, elements)
  bits_of_sides = Reshape <allowzero = 1> (bits, bits_shape)
  unsigned_spikes = Cast <to = 6> (bits_of_sides)
  spikes_of_sides = Mul (unsigned_spikes, sign_of_side)
  side_axis = Constant <value_ints = [2]> ()
  changes = ReduceSum <keepdims = 0> (spikes_of_sides, side_axis)
  start_shape = Concat <axis = 0> (list1, batch, elements)
  start = Reshape <allowzero = 1> (counts, start_shape)
  start_and_changes = Concat <axis = 0> (start, changes)
  step_axis = Constant <value = int64 {{0}}> ()
  flat_counts = CumSum (start_and_changes, step_axis)
  states = Add (count_list, list1)
  by_step_shape = Concat <axis = 0> (states, shape)
  counts_by_step = Reshape <allowzero = 1> (flat_counts, by_step_shape)
}}"""

_SPIKE_UNPACK = f"""
SpikeUnpack (spikes, count) => (values) {{
  list1 = Constant <value_ints = [1]> ()
  bits = {DOMAIN}.SpikeBits (spikes, count)
  batch = Shape <start = 0, end = 1> (spikes)
  sample_dims = Shape <start = 1> (spikes)
  count_list = Reshape (count, list1)
  rows = Mul (count_list, batch)
  values_shape = Concat <axis = 0> (rows, sample_dims)
  rows_of_bits = Reshape <allowzero = 1> (bits, values_shape)
  values = Cast <to = 1> (rows_of_bits)
}}"""

_SPIKE_COUNT = f"""
SpikeCount (spikes) => (counts) {{
  block = Constant <value = int64 {{{BLOCK_STEPS}}}> ()
  first = Constant <value_ints = [0]> ()
  bits = {DOMAIN}.SpikeBits (spikes, block)
  signed_bits = Cast <to = 6> (bits)
  counts = ReduceSum <keepdims = 0> (signed_bits, first)
}}"""

_SPIKE_TOTALS = f"""
SpikeTotals (spikes, fanout) => (total, operations) {{
  zero = Constant <value = int64 {{0}}> ()
  one = Constant <value = int64 {{1}}> ()
  counts32 = {DOMAIN}.SpikeCount (spikes)
  counts = Cast <to = 7> (counts32)
  shape = Shape (spikes)
  rank = Size (shape)
  sample_axes = Range (one, rank, one)
  total = ReduceSum <keepdims = 0, noop_with_empty_axes = 1> (counts, sample_axes)
  weighted = Mul (counts, fanout)
  operations = ReduceSum <keepdims = 0, noop_with_empty_axes = 1> (weighted, sample_axes)
}}"""

_LAST_SPIKE = f"""
LastSpike (spikes) => (last) {{
  block = Constant <value = int64 {{{BLOCK_STEPS}}}> ()
  zero = Constant <value = int64 {{0}}> ()
  one = Constant <value = int64 {{1}}> ()
  list1 = Constant <value_ints = [1]> ()
  first = Constant <value_ints = [0]> ()
  bits = {DOMAIN}.SpikeBits (spikes, block)
  signed_bits = Cast <to = 6> (bits)
  shape = Shape (signed_bits)
  rank = Size (shape)
  two = Add (one, one)
  sample_axes = Range (two, rank, one)
  fired = ReduceMax <keepdims = 0, noop_with_empty_axes = 1> (signed_bits, sample_axes)
  fired_long = Cast <to = 7> (fired)
  steps = Range (zero, block, one)
  steps_so_far = Add (steps, one)
  column = Unsqueeze (steps_so_far, list1)
  step_of_spike = Mul (fired_long, column)
  last_or_least = ReduceMax <keepdims = 0> (step_of_spike, first)
  last = Max (last_or_least, zero)
}}"""

FUNCTIONS = (_SPIKE_BITS, _PACK_SPIKES, _COUNTS_BY_STEP, _SPIKE_UNPACK, _SPIKE_COUNT, _SPIKE_TOTALS, _LAST_SPIKE)
