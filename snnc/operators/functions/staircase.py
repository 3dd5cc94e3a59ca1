"""The neurons that fire +1 and -1 until their spike count is what their charge asks for: `Staircase`,
`StaircaseTable`, `StaircaseCharge`."""

from __future__ import annotations

from snnc.ir.domain import DOMAIN


def _signed_neuron(signature: str, prepare: str, decide: str) -> str:
    """A neuron with signed spikes.

    `prepare` runs once. `decide` runs in each step: from the charge with the current of the step (`charged`) and the
    spikes so far (`counted`) it gives where the neuron fires (`goes_up`, `goes_down`) and what it keeps (`v_next`).
    """
    return f"""
{signature} => (fired, v_out, counts_out) {{
  list1 = Constant <value_ints = [1]> ()
  shape = Shape (v)
  count_list = Reshape (count, list1)
  steps_shape = Concat <axis = 0> (count_list, shape)
  current_by_step = Reshape <allowzero = 1> (current, steps_shape)
  current_integer = Cast <to = 6> (current_by_step)
  zero = Constant <value = int32 {{0}}> ()
  one = Constant <value = int32 {{1}}> ()
  minus_one = Constant <value = int32 {{-1}}> ()
{prepare}
  no_spike = Constant <value = int64 {{0}}> ()
  no_spikes = Expand (no_spike, shape)
  first_bit = Constant <value = int64 {{1}}> ()
  go_on = Constant <value = bool {{1}}> ()
  v_out, counts_out, plus, minus, unused_bit = Loop (count, go_on, v, counts, no_spikes, no_spikes, first_bit)
    <body = step (int64 k, bool go_in, int32[] v_in, int32[] counted, int64[] plus_in, int64[] minus_in, int64 bit) =>
      (bool go_out, int32[] v_next, int32[] counts_next, int64[] plus_out, int64[] minus_out, int64 next_bit) {{
      go_out = Identity (go_in)
      current_now = Gather <axis = 0> (current_integer, k)
      charged = Add (v_in, current_now)
{decide}
      spike_down = Where (goes_down, minus_one, zero)
      spike = Where (goes_up, one, spike_down)
      counts_next = Add (counted, spike)
      new_plus = Where (goes_up, bit, no_spike)
      new_minus = Where (goes_down, bit, no_spike)
      plus_out = Add (plus_in, new_plus)
      minus_out = Add (minus_in, new_minus)
      next_bit = Add (bit, bit)
    }}>
  joined = Concat <axis = 1> (plus, minus)
  fired = Cast <to = 13> (joined)
}}"""


# v ← v + current; +1 where v ≥ threshold and counts < high, else -1 where v < 0 and counts > low; v ← v ∓ threshold.
_STAIRCASE = _signed_neuron(
    "Staircase <low, high> (current, v, counts, threshold, count)",
    """\
  low_int64 = Constant <value_int: int = @low> ()
  high_int64 = Constant <value_int: int = @high> ()
  lowest = Cast <to = 6> (low_int64)
  highest = Cast <to = 6> (high_int64)""",
    """\
      full = GreaterOrEqual (charged, threshold)
      below_highest = Less (counted, highest)
      goes_up = And (full, below_highest)
      overdrawn = Less (charged, zero)
      above_lowest = Greater (counted, lowest)
      wants_down = And (overdrawn, above_lowest)
      does_not_go_up = Not (goes_up)
      goes_down = And (wants_down, does_not_go_up)
      after_up = Sub (charged, threshold)
      after_down = Add (charged, threshold)
      v_unless_up = Where (goes_down, after_down, charged)
      v_next = Where (goes_up, after_up, v_unless_up)""",
)

# v ← v + current; ±1 towards first + Σ_k rises[k] where v ≥ breaks[k].
_STAIRCASE_TABLE = _signed_neuron(
    "StaircaseTable (current, v, counts, first, breaks, rises, count)",
    """\
  channels = Shape (first)
  plane = Shape <start = 2> (v)
  plane_axes = Shape (plane)
  plane_of_ones = ConstantOfShape <value = int64[1] {1}> (plane_axes)
  first_shape = Concat <axis = 0> (channels, plane_of_ones)
  first_target = Reshape (first, first_shape)
  breaks_in_channel = Shape <start = 1> (breaks)
  table_shape = Concat <axis = 0> (breaks_in_channel, list1, channels, plane_of_ones)
  breaks_by_channel = Transpose <perm = [1, 0]> (breaks)
  rises_by_channel = Transpose <perm = [1, 0]> (rises)
  break_charges = Reshape (breaks_by_channel, table_shape)
  break_rises = Reshape (rises_by_channel, table_shape)
  break_axis = Constant <value_ints = [0]> ()""",
    """\
      passed = GreaterOrEqual (charged, break_charges)
      passed_rises = Where (passed, break_rises, zero)
      risen = ReduceSum <keepdims = 0> (passed_rises, break_axis)
      target = Add (first_target, risen)
      goes_up = Greater (target, counted)
      goes_down = Less (target, counted)
      v_next = Identity (charged)""",
)

# All current in the first step, as potential in front of it.
_STAIRCASE_CHARGE = f"""
StaircaseCharge <low, high> (charge, v, counts, threshold, count) => (fired, v_out, counts_out) {{
  integers = Cast <to = 6> (charge)
  charged = Add (v, integers)
  list1 = Constant <value_ints = [1]> ()
  count_list = Reshape (count, list1)
  batch = Shape <start = 0, end = 1> (v)
  sample_dims = Shape <start = 1> (v)
  rows = Mul (count_list, batch)
  steps_shape = Concat <axis = 0> (rows, sample_dims)
  nothing = ConstantOfShape (steps_shape)
  fired, v_out, counts_out = {DOMAIN}.Staircase <low: int = @low, high: int = @high>
    (nothing, charged, counts, threshold, count)
}}"""

FUNCTIONS = (_STAIRCASE, _STAIRCASE_TABLE, _STAIRCASE_CHARGE)
