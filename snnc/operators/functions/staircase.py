"""The neuron `Staircase`, whose spikes have signs: what it fired too early it takes back."""

from __future__ import annotations

# For each step: v ← v + current; fired = 1 where v ≥ threshold and counts < high, else -1 where v < 0 and
# counts > low, else 0; v ← v - fired·threshold; counts ← counts + fired. `fired` has the positive spikes of all
# channels, then the negative ones.
_STAIRCASE = """
Staircase <low, high> (current, v, counts, threshold, count) => (fired, v_out, counts_out) {
  list1 = Constant <value_ints = [1]> ()
  shape = Shape (v)
  count_list = Reshape (count, list1)
  steps_shape = Concat <axis = 0> (count_list, shape)
  current_by_step = Reshape <allowzero = 1> (current, steps_shape)
  current_integer = Cast <to = 6> (current_by_step)
  low_int64 = Constant <value_int: int = @low> ()
  lowest = Cast <to = 6> (low_int64)
  high_int64 = Constant <value_int: int = @high> ()
  highest = Cast <to = 6> (high_int64)
  zero = Constant <value = int32 {0}> ()
  no_spike = Constant <value = int64 {0}> ()
  no_spikes = Expand (no_spike, shape)
  first_bit = Constant <value = int64 {1}> ()
  go_on = Constant <value = bool {1}> ()
  v_out, counts_out, plus, minus, unused_bit = Loop (count, go_on, v, counts, no_spikes, no_spikes, first_bit)
    <body = step
    (int64 k, bool go_in, int32[] v_in, int32[] counts_in, int64[] plus_in, int64[] minus_in, int64 bit) =>
    (bool go_out, int32[] v_next, int32[] counts_next, int64[] plus_out, int64[] minus_out, int64 next_bit) {
      go_out = Identity (go_in)
      current_now = Gather <axis = 0> (current_integer, k)
      charged = Add (v_in, current_now)
      reached = GreaterOrEqual (charged, threshold)
      below_high = Less (counts_in, highest)
      rises = And (reached, below_high)
      stays = Not (rises)
      negative = Less (charged, zero)
      above_low = Greater (counts_in, lowest)
      may_fall = And (negative, above_low)
      falls = And (may_fall, stays)
      up = Cast <to = 6> (rises)
      down = Cast <to = 6> (falls)
      change = Sub (up, down)
      paid = Mul (change, threshold)
      v_next = Sub (charged, paid)
      counts_next = Add (counts_in, change)
      new_plus = Where (rises, bit, no_spike)
      plus_out = Add (plus_in, new_plus)
      new_minus = Where (falls, bit, no_spike)
      minus_out = Add (minus_in, new_minus)
      next_bit = Add (bit, bit)
    }>
  words = Concat <axis = 1> (plus, minus)
  fired = Cast <to = 13> (words)
}"""

FUNCTIONS = (_STAIRCASE,)
