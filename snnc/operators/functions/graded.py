"""The operators of graded networks, whose layers exchange changes of counts: `GradedConv`, `GradedConvAdd`,
`GradedGemm`, `GradedSumPool`, `GradedMaxPool`, `GradedTotals`.

`Conv` and `MatMul` are exact in float32 for factors in {-1, 0, 1} only, so a change is taken bit by bit: the bits of
its magnitude, with its sign, are rows of the batch.
"""

from __future__ import annotations

from snnc.ir.domain import DOMAIN

# `changes [N, ...] -> planes [bits·N, ...]` in {-1, 0, 1}: row b·N + n is bit b of sample n.
_BIT_PLANES = """
BitPlanes <bits> (changes) => (planes) {
  list1 = Constant <value_ints = [1]> ()
  powers = ai.snnc.PowersOfTwo <bits: int = @bits> ()
  shape = Shape (changes)
  axes = Shape (shape)
  ones = ConstantOfShape <value = int64[1] {1}> (axes)
  bits_number = Constant <value_int: int = @bits> ()
  bits_list = Reshape (bits_number, list1)
  powers_shape = Concat <axis = 0> (bits_list, ones)
  power_of_plane = Reshape (powers, powers_shape)
  wide = Cast <to = 7> (changes)
  magnitude = Abs (wide)
  sign = Sign (wide)
  two = Constant <value = int64 {2}> ()
  shifted = Div (magnitude, power_of_plane)
  bit = Mod (shifted, two)
  signed = Mul (bit, sign)
  batch = Shape <start = 0, end = 1> (changes)
  rows = Mul (batch, bits_list)
  dims = Shape <start = 1> (changes)
  planes_shape = Concat <axis = 0> (rows, dims)
  integers = Reshape <allowzero = 1> (signed, planes_shape)
  planes = Cast <to = 1> (integers)
}"""

# 1, 2, 4, ...: `bits` of them, int64.
_POWERS_OF_TWO = """
PowersOfTwo <bits> () => (powers) {
  zero = Constant <value = int64 {0}> ()
  one = Constant <value = int64 {1}> ()
  number = Constant <value_int: int = @bits> ()
  exponents = Range (zero, number, one)
  exponents_unsigned = Cast <to = 13> (exponents)
  one_unsigned = Cast <to = 13> (one)
  powers_unsigned = BitShift <direction = "LEFT"> (one_unsigned, exponents_unsigned)
  powers = Cast <to = 7> (powers_unsigned)
}"""

# `sums [bits·N, M, ...] -> current [N, M, ...]`, int64; `batch` is the list [N].
_JOIN_PLANES = """
JoinPlanes <bits> (sums, batch) => (current) {
  list1 = Constant <value_ints = [1]> ()
  first_axis = Constant <value_ints = [0]> ()
  powers = ai.snnc.PowersOfTwo <bits: int = @bits> ()
  dims = Shape <start = 1> (sums)
  bits_number = Constant <value_int: int = @bits> ()
  bits_list = Reshape (bits_number, list1)
  by_bit_shape = Concat <axis = 0> (bits_list, batch, dims)
  integers = Cast <to = 7> (sums)
  by_bit = Reshape <allowzero = 1> (integers, by_bit_shape)
  axes_behind = Shape <start = 1> (by_bit)
  axes = Shape (axes_behind)
  ones = ConstantOfShape <value = int64[1] {1}> (axes)
  powers_shape = Concat <axis = 0> (bits_list, ones)
  power_of_bit = Reshape (powers, powers_shape)
  worth = Mul (by_bit, power_of_bit)
  current = ReduceSum <keepdims = 0> (worth, first_axis)
}"""

# `(current [N, M, y...] int64, v and counts [N, y..., M], threshold of one element or M) -> fired [N, M, y...]`.
_GRADED_NEURON = """
GradedNeuron <low, high> (current, v, counts, threshold) => (fired, v_out, counts_out) {
  one_axis = Constant <value_ints = [-1]> ()
  current_shape = Shape (current)
  batch_and_channels = Shape <start = 0, end = 2> (current)
  plane = Shape <start = 2> (current)
  positions = ReduceProd <keepdims = 1> (plane)
  flat_shape = Concat <axis = 0> (batch_and_channels, positions)
  by_channel = Reshape <allowzero = 1> (current, flat_shape)
  by_position = Transpose <perm = [0, 2, 1]> (by_channel)
  state_shape = Shape (v)
  brought = Reshape <allowzero = 1> (by_position, state_shape)
  potential = Cast <to = 7> (v)
  charged = Add (potential, brought)
  threshold_of_channel = Reshape (threshold, one_axis)
  units = Cast <to = 7> (threshold_of_channel)
  charged_double = Cast <to = 11> (charged)
  units_double = Cast <to = 11> (units)
  share = Div (charged_double, units_double)
  steps = Floor (share)
  counted = Cast <to = 11> (counts)
  wanted = Add (counted, steps)
  low_integer = Constant <value_int: int = @low> ()
  high_integer = Constant <value_int: int = @high> ()
  lowest = Cast <to = 11> (low_integer)
  highest = Cast <to = 11> (high_integer)
  within = Clip (wanted, lowest, highest)
  counts_out = Cast <to = 6> (within)
  change = Sub (counts_out, counts)
  change_wide = Cast <to = 7> (change)
  spent = Mul (change_wide, units)
  left = Sub (charged, spent)
  v_out = Cast <to = 6> (left)
  batch = Shape <start = 0, end = 1> (current)
  channels = Shape <start = 1, end = 2> (current)
  flat_state_shape = Concat <axis = 0> (batch, positions, channels)
  flat_change = Reshape <allowzero = 1> (change, flat_state_shape)
  change_by_channel = Transpose <perm = [0, 2, 1]> (flat_change)
  fired = Reshape <allowzero = 1> (change_by_channel, current_shape)
}"""

_CONV_ATTRIBUTES = "strides: ints = @strides, dilations: ints = @dilations, pads: ints = @pads, group: int = @group"
_NEURON = f"""
  fired, v_out, counts_out = {DOMAIN}.GradedNeuron <low: int = @low, high: int = @high>
    (current, v, counts, threshold)
  events, operations = {DOMAIN}.GradedTotals (fired, fanout)"""

# `begun` is for kernels, which leave out neurons that nothing reaches.
_GRADED_CONV = f"""
GradedConv <strides, dilations, pads, group, low, high, bits> (changes, weight, v, counts, threshold, begun, fanout)
  => (fired, v_out, counts_out, events, operations) {{
  planes = {DOMAIN}.BitPlanes <bits: int = @bits> (changes)
  sums = Conv <{_CONV_ATTRIBUTES}> (planes, weight)
  batch = Shape <start = 0, end = 1> (changes)
  current = {DOMAIN}.JoinPlanes <bits: int = @bits> (sums, batch)
{_NEURON}
}}"""

_GRADED_CONV_ADD = f"""
GradedConvAdd <strides, dilations, pads, group, residual_group, low, high, bits, residual_bits>
  (changes, weight, residual, residual_weight, v, counts, threshold, begun, fanout)
  => (fired, v_out, counts_out, events, operations) {{
  planes = {DOMAIN}.BitPlanes <bits: int = @bits> (changes)
  sums = Conv <{_CONV_ATTRIBUTES}> (planes, weight)
  batch = Shape <start = 0, end = 1> (changes)
  main_current = {DOMAIN}.JoinPlanes <bits: int = @bits> (sums, batch)
  residual_planes = {DOMAIN}.BitPlanes <bits: int = @residual_bits> (residual)
  residual_sums = Conv <group: int = @residual_group> (residual_planes, residual_weight)
  residual_current = {DOMAIN}.JoinPlanes <bits: int = @residual_bits> (residual_sums, batch)
  current = Add (main_current, residual_current)
{_NEURON}
}}"""

_GRADED_GEMM = f"""
GradedGemm <low, high, bits> (changes, weight, v, counts, threshold, begun, fanout)
  => (fired, v_out, counts_out, events, operations) {{
  planes = {DOMAIN}.BitPlanes <bits: int = @bits> (changes)
  sums = MatMul (planes, weight)
  batch = Shape <start = 0, end = 1> (changes)
  current = {DOMAIN}.JoinPlanes <bits: int = @bits> (sums, batch)
{_NEURON}
}}"""

# A convolution with ones, each channel a sample of its own. Float32 is exact as long as sums stay below 2^24.
_GRADED_SUM_POOL = """
GradedSumPool <kernel_shape, strides, pads> (changes) => (sums) {
  list1 = Constant <value_ints = [1]> ()
  batch = Shape <start = 0, end = 1> (changes)
  channels = Shape <start = 1, end = 2> (changes)
  plane = Shape <start = 2> (changes)
  rows = Mul (batch, channels)
  rows_shape = Concat <axis = 0> (rows, list1, plane)
  by_channel = Reshape <allowzero = 1> (changes, rows_shape)
  values = Cast <to = 1> (by_channel)
  kernel = Constant <value_ints: ints = @kernel_shape> ()
  weight_shape = Concat <axis = 0> (list1, list1, kernel)
  weight = ConstantOfShape <value = float[1] {1.0}> (weight_shape)
  summed = Conv <strides: ints = @strides, pads: ints = @pads> (values, weight)
  sizes = Shape <start = 2> (summed)
  sums_shape = Concat <axis = 0> (batch, channels, sizes)
  integers = Cast <to = 6> (summed)
  sums = Reshape <allowzero = 1> (integers, sums_shape)
}"""

# Pads are elements of -infinity: `MaxPool` itself takes no pads above the kernel's size. Counts are below 2^24.
_GRADED_MAX_POOL = f"""
GradedMaxPool <kernel_shape, strides, pads, dilations> (changes, counts) => (fired, counts_out) {{
  counts_out = Add (counts, changes)
  before = {DOMAIN}.LargestOfWindows <kernel_shape: ints = @kernel_shape, strides: ints = @strides, pads: ints = @pads,
    dilations: ints = @dilations> (counts)
  after = {DOMAIN}.LargestOfWindows <kernel_shape: ints = @kernel_shape, strides: ints = @strides, pads: ints = @pads,
    dilations: ints = @dilations> (counts_out)
  fired = Sub (after, before)
}}"""

_LARGEST_OF_WINDOWS = """
LargestOfWindows <kernel_shape, strides, pads, dilations> (counts) => (largest) {
  one_axis = Constant <value_ints = [-1]> ()
  values = Cast <to = 1> (counts)
  pads_list = Constant <value_ints: ints = @pads> ()
  begin_and_end = Constant <value_ints = [2, -1]> ()
  pads_of_plane = Reshape (pads_list, begin_and_end)
  pads_of_batch_and_channels = Constant <value = int64[2, 2] {0, 0, 0, 0}> ()
  pads_by_side = Concat <axis = 1> (pads_of_batch_and_channels, pads_of_plane)
  all_pads = Reshape (pads_by_side, one_axis)
  lowest = Constant <value_float = -inf> ()
  padded = Pad (values, all_pads, lowest)
  pooled = MaxPool <kernel_shape: ints = @kernel_shape, strides: ints = @strides, dilations: ints = @dilations> (padded)
  largest = Cast <to = 6> (pooled)
}"""

_GRADED_TOTALS = """
GradedTotals (changes, fanout) => (events, operations) {
  last_axis = Constant <value_ints = [1]> ()
  zero = Constant <value = int32 {0}> ()
  nothing = Equal (changes, zero)
  something = Not (nothing)
  number = Cast <to = 7> (something)
  cost = Mul (number, fanout)
  batch = Shape <start = 0, end = 1> (changes)
  dims = Shape <start = 1> (changes)
  elements = ReduceProd <keepdims = 1> (dims)
  flat_shape = Concat <axis = 0> (batch, elements)
  flat_number = Reshape <allowzero = 1> (number, flat_shape)
  flat_cost = Reshape <allowzero = 1> (cost, flat_shape)
  events = ReduceSum <keepdims = 0> (flat_number, last_axis)
  operations = ReduceSum <keepdims = 0> (flat_cost, last_axis)
}"""

FUNCTIONS = (
    *(_POWERS_OF_TWO, _BIT_PLANES, _JOIN_PLANES, _GRADED_NEURON),
    *(_GRADED_TOTALS, _GRADED_CONV, _GRADED_CONV_ADD, _GRADED_GEMM),
    *(_GRADED_SUM_POOL, _LARGEST_OF_WINDOWS, _GRADED_MAX_POOL),
)
