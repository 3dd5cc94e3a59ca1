"""`SpikeMaxPool`, which fires when the largest spike count in a window changes."""

from __future__ import annotations

from snnc.ir.domain import DOMAIN

# "Sides" are the halves of joined words: positive spikes and, if there are any, negative ones. A sample is one axis
# except where it is pooled. Pads are elements of -infinity: `MaxPool` itself takes no pads above the kernel's size.
_SPIKE_MAX_POOL = f"""
SpikeMaxPool <kernel_shape, strides, pads, dilations, signed> (spikes, counts, count) => (fired, counts_out) {{
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  one_axis = Constant <value_ints = [-1]> ()
  batch = Shape <start = 0, end = 1> (counts)
  sample_dims = Shape <start = 1> (counts)
  count_list = Reshape (count, list1)
  states = Add (count_list, list1)
  minus_sides = Constant <value_int: int = @signed> ()
  sides = Add (list1, minus_sides)
  both_signs = Constant <value = int32[2] {{1, -1}}> ()
  signs = Slice (both_signs, list0, sides)
  sign_shape = Concat <axis = 0> (sides, list1)
  sign_of_side = Reshape (signs, sign_shape)

  counts_by_step = {DOMAIN}.CountsByStep <signed: int = @signed> (spikes, counts, count)
  rows = Mul (states, batch)
  rows_shape = Concat <axis = 0> (rows, sample_dims)
  counts_in_rows = Reshape <allowzero = 1> (counts_by_step, rows_shape)
  values = Cast <to = 1> (counts_in_rows)

  pads = Constant <value_ints: ints = @pads> ()
  begin_and_end = Constant <value_ints = [2, -1]> ()
  pads_of_plane = Reshape (pads, begin_and_end)
  pads_of_batch_and_channels = Constant <value = int64[2, 2] {{0, 0, 0, 0}}> ()
  pads_by_side = Concat <axis = 1> (pads_of_batch_and_channels, pads_of_plane)
  all_pads = Reshape (pads_by_side, one_axis)
  lowest = Constant <value_float = -inf> ()
  padded = Pad (values, all_pads, lowest)
  pooled = MaxPool <kernel_shape: ints = @kernel_shape, strides: ints = @strides, dilations: ints = @dilations> (padded)

  pooled_dims = Shape <start = 1> (pooled)
  pooled_elements = ReduceProd (pooled_dims)
  maxima_shape = Concat <axis = 0> (states, batch, list1, pooled_elements)
  maxima_by_step = Reshape <allowzero = 1> (pooled, maxima_shape)
  maxima = Cast <to = 6> (maxima_by_step)
  after = Slice (maxima, list1, states, list0)
  before = Slice (maxima, list0, count_list, list0)
  rise = Sub (after, before)
  rise_of_side = Mul (rise, sign_of_side)
  no_change = Constant <value = int32 {{0}}> ()
  fires = Greater (rise_of_side, no_change)
  signed_words = {DOMAIN}.PackSpikes (fires, count)
  words = Cast <to = 13> (signed_words)
  channels = Shape <start = 1, end = 2> (pooled)
  plane = Shape <start = 2> (pooled)
  channels_of_sides = Mul (sides, channels)
  fired_shape = Concat <axis = 0> (batch, channels_of_sides, plane)
  fired = Reshape <allowzero = 1> (words, fired_shape)

  counts_after = Slice (counts_by_step, count_list, states, list0)
  counts_shape = Shape (counts)
  counts_out = Reshape <allowzero = 1> (counts_after, counts_shape)
}}"""

FUNCTIONS = (_SPIKE_MAX_POOL,)
