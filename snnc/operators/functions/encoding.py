"""`PoissonEncode` and its random numbers, Philox4x32-10, in standard ONNX operators."""

from __future__ import annotations

from snnc.ir.domain import DOMAIN

# One round of Philox4x32 (Salmon et al. 2011) on int64 lanes that hold unsigned 32-bit numbers.
_PHILOX_ROUND = """
PhiloxRound (c0, c1, c2, c3, k0, k1) => (d0, d1, d2, d3, l0, l1) {
  multiplier0 = Constant <value = int64 {3528531795}> ()
  multiplier1 = Constant <value = int64 {3449720151}> ()
  weyl0 = Constant <value = int64 {2654435769}> ()
  weyl1 = Constant <value = int64 {3144134277}> ()
  low_mask = Constant <value = int64 {4294967295}> ()
  half = Constant <value = uint64 {32}> ()
  product0 = Mul (c0, multiplier0)
  product1 = Mul (c2, multiplier1)
  unsigned0 = Cast <to = 13> (product0)
  unsigned1 = Cast <to = 13> (product1)
  shifted0 = BitShift <direction = "RIGHT"> (unsigned0, half)
  shifted1 = BitShift <direction = "RIGHT"> (unsigned1, half)
  high0 = Cast <to = 7> (shifted0)
  high1 = Cast <to = 7> (shifted1)
  keyed1 = BitwiseXor (c1, k0)
  keyed3 = BitwiseXor (c3, k1)
  d0 = BitwiseXor (high1, keyed1)
  d1 = BitwiseAnd (product1, low_mask)
  d2 = BitwiseXor (high0, keyed3)
  d3 = BitwiseAnd (product0, low_mask)
  next0 = Add (k0, weyl0)
  next1 = Add (k1, weyl1)
  l0 = BitwiseAnd (next0, low_mask)
  l1 = BitwiseAnd (next1, low_mask)
}"""


def _philox_words() -> str:
    """`(group, step, sample, seed) -> words [..., 4]`: ten rounds with counter (group, step, sample) and key seed."""
    names = ("c0", "c1", "c2", "c3", "k0", "k1")
    rounds = "\n".join(
        f"  {', '.join(f'{name}_{r + 1}' for name in names)} = "
        f"{DOMAIN}.PhiloxRound ({', '.join(f'{name}_{r}' for name in names)})"
        for r in range(10)
    )
    return f"""
PhiloxWords (group, step, sample, seed) => (words) {{
  low_mask = Constant <value = int64 {{4294967295}}> ()
  half = Constant <value = uint64 {{32}}> ()
  c0_0 = BitwiseAnd (group, low_mask)
  c1_0 = BitwiseAnd (step, low_mask)
  c2_0 = BitwiseAnd (sample, low_mask)
  unsigned_sample = Cast <to = 13> (sample)
  sample_high = BitShift <direction = "RIGHT"> (unsigned_sample, half)
  c3_0 = Cast <to = 7> (sample_high)
  k0_0 = BitwiseAnd (seed, low_mask)
  unsigned_seed = Cast <to = 13> (seed)
  seed_high = BitShift <direction = "RIGHT"> (unsigned_seed, half)
  k1_0 = Cast <to = 7> (seed_high)
{rounds}
  last = Constant <value_ints = [-1]> ()
  w0 = Unsqueeze (c0_10, last)
  w1 = Unsqueeze (c1_10, last)
  w2 = Unsqueeze (c2_10, last)
  w3 = Unsqueeze (c3_10, last)
  words = Concat <axis = -1> (w0, w1, w2, w3)
}}"""


_POISSON_ENCODE = f"""
PoissonEncode <scale> (x, seed, first_sample, first_step, count) => (spikes) {{
  zero = Constant <value = int64 {{0}}> ()
  one = Constant <value = int64 {{1}}> ()
  three = Constant <value = int64 {{3}}> ()
  four = Constant <value = int64 {{4}}> ()
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  batch = Shape <start = 0, end = 1> (x)
  sample_dims = Shape <start = 1> (x)
  elements = ReduceProd <keepdims = 0> (sample_dims)
  elements_list = Reshape (elements, list1)
  flat_shape = Concat <axis = 0> (batch, elements_list)
  flat = Reshape <allowzero = 1> (x, flat_shape)

  scale_value = Constant <value_float: float = @scale> ()
  certain = Constant <value = float {{1.0}}> ()
  full = Constant <value = float {{16777216.0}}> ()
  magnitude = Abs (flat)
  p = Div (magnitude, scale_value)
  below_one = Less (p, certain)
  scaled = Mul (p, full)
  rounded_up = Ceil (scaled)
  q_float = Where (below_one, rounded_up, full)
  q = Cast <to = 7> (q_float)

  padded = Add (elements, three)
  groups = Div (padded, four)
  group_range = Range (zero, groups, one)
  group_axes = Constant <value_ints = [0, 1]> ()
  group = Unsqueeze (group_range, group_axes)
  step_range = Range (zero, count, one)
  global_step = Add (step_range, first_step)
  step_axes = Constant <value_ints = [1, 2]> ()
  step = Unsqueeze (global_step, step_axes)
  batch_scalar = Squeeze (batch)
  sample_range = Range (zero, batch_scalar, one)
  global_sample = Add (sample_range, first_sample)
  sample_axes = Constant <value_ints = [0, 2]> ()
  sample = Unsqueeze (global_sample, sample_axes)
  words = {DOMAIN}.PhiloxWords (group, step, sample, seed)

  count_list = Reshape (count, list1)
  all_lanes = Mul (groups, four)
  lanes_list = Reshape (all_lanes, list1)
  lanes_shape = Concat <axis = 0> (count_list, batch, lanes_list)
  lanes = Reshape <allowzero = 1> (words, lanes_shape)
  list2 = Constant <value_ints = [2]> ()
  used = Slice (lanes, list0, elements_list, list2)
  unsigned_words = Cast <to = 13> (used)
  eight = Constant <value = uint64 {{8}}> ()
  top24 = BitShift <direction = "RIGHT"> (unsigned_words, eight)
  u = Cast <to = 7> (top24)
  fired = Less (u, q)

  words_of_spikes = {DOMAIN}.PackSpikes (fired, count)
  zero_float = Constant <value = float {{0.0}}> ()
  negative = Less (flat, zero_float)
  plus = Where (negative, zero, words_of_spikes)
  minus = Where (negative, words_of_spikes, zero)
  signed_joined = Concat <axis = 1> (plus, minus)
  joined = Cast <to = 13> (signed_joined)
  channels = Shape <start = 1, end = 2> (x)
  plane = Shape <start = 2> (x)
  joined_channels = Add (channels, channels)
  spikes_shape = Concat <axis = 0> (batch, joined_channels, plane)
  spikes = Reshape <allowzero = 1> (joined, spikes_shape)
}}"""

# Format 1 of converted files: the two halves apart.
_SPIKE_ENCODE = f"""
SpikeEncode <scale> (x, seed, first_sample, first_step, count) => (plus, minus) {{
  joined = {DOMAIN}.PoissonEncode <scale: float = @scale> (x, seed, first_sample, first_step, count)
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  channels = Shape <start = 1, end = 2> (x)
  joined_channels = Add (channels, channels)
  plus = Slice (joined, list0, channels, list1)
  minus = Slice (joined, channels, joined_channels, list1)
}}"""

FUNCTIONS = (_PHILOX_ROUND, _philox_words(), _POISSON_ENCODE, _SPIKE_ENCODE)
