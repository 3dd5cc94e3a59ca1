"""`SpikeProduct`, which gives what the product of two spike counts changes by."""

from __future__ import annotations

from snnc.ir.domain import DOMAIN

# Products of counts before the block and after each of its steps; a step gives the difference of two of them.
_SPIKE_PRODUCT = f"""
SpikeProduct <first_signed, second_signed> (first, second, first_counts, second_counts, count)
    => (current, first_counts_out, second_counts_out) {{
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  count_list = Reshape (count, list1)
  states = Add (count_list, list1)
  first_by_step = {DOMAIN}.CountsByStep <signed: int = @first_signed> (first, first_counts, count)
  second_by_step = {DOMAIN}.CountsByStep <signed: int = @second_signed> (second, second_counts, count)
  products = Mul (first_by_step, second_by_step)
  after = Slice (products, list1, states, list0)
  before = Slice (products, list0, count_list, list0)
  change = Sub (after, before)
  batch = Shape <start = 1, end = 2> (products)
  rows = Mul (count_list, batch)
  sample_dims = Shape <start = 2> (products)
  current_shape = Concat <axis = 0> (rows, sample_dims)
  change_in_rows = Reshape <allowzero = 1> (change, current_shape)
  current = Cast <to = 1> (change_in_rows)
  first_counts_out = Gather <axis = 0> (first_by_step, count)
  second_counts_out = Gather <axis = 0> (second_by_step, count)
}}"""

FUNCTIONS = (_SPIKE_PRODUCT,)
