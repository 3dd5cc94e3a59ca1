"""The neurons `RMP` and `IF`, and the operators of whole layers: `SpikingConv`, `SpikingConvAdd`, `SpikingGemm`,
`SpikeReadout`."""

from __future__ import annotations

from snnc.ir.domain import DOMAIN

# For each step: v ← v + current; fired = v ≥ threshold; v ← (v - threshold)·soft_reset where fired.
_INTEGRATE_AND_FIRE = """
IntegrateAndFire <soft_reset> (current, v, threshold, count) => (spikes, v_out) {
  list1 = Constant <value_ints = [1]> ()
  shape = Shape (v)
  count_list = Reshape (count, list1)
  steps_shape = Concat <axis = 0> (count_list, shape)
  current_by_step = Reshape <allowzero = 1> (current, steps_shape)
  current_integer = Cast <to = 6> (current_by_step)
  share_kept_int64 = Constant <value_int: int = @soft_reset> ()
  share_kept = Cast <to = 6> (share_kept_int64)
  no_spike = Constant <value = int64 {0}> ()
  no_spikes = Expand (no_spike, shape)
  first_bit = Constant <value = int64 {1}> ()
  go_on = Constant <value = bool {1}> ()
  v_out, words, unused_bit = Loop (count, go_on, v, no_spikes, first_bit) <body = step
    (int64 k, bool go_in, int32[] v_in, int64[] words_in, int64 bit) =>
    (bool go_out, int32[] v_next, int64[] words_out, int64 next_bit) {
      go_out = Identity (go_in)
      current_now = Gather <axis = 0> (current_integer, k)
      charged = Add (v_in, current_now)
      fired = GreaterOrEqual (charged, threshold)
      excess = Sub (charged, threshold)
      kept = Mul (excess, share_kept)
      v_next = Where (fired, kept, charged)
      new_words = Where (fired, bit, no_spike)
      words_out = Add (words_in, new_words)
      next_bit = Add (bit, bit)
    }>
  spikes = Cast <to = 13> (words)
}"""


def _neuron(name: str, soft_reset: int) -> str:
    return f"""
{name} (current, v, threshold, count) => (spikes, v_out) {{
  spikes, v_out = {DOMAIN}.IntegrateAndFire <soft_reset = {soft_reset}> (current, v, threshold, count)
}}"""


# `(values [rows, m·C, ...], channels [1] = C) -> sums [rows, C, ...]`: the sum over m copies of the channels.
_SUM_COPIES = """
SumCopies (values, channels) => (sums) {
  copies_axis = Constant <value_ints = [1]> ()
  rows = Shape <start = 0, end = 1> (values)
  channels_of_copies = Shape <start = 1, end = 2> (values)
  plane = Shape <start = 2> (values)
  copies = Div (channels_of_copies, channels)
  split_shape = Concat <axis = 0> (rows, copies, channels, plane)
  split = Reshape <allowzero = 1> (values, split_shape)
  sums = ReduceSum <keepdims = 0> (split, copies_axis)
}"""

_CONV_ATTRIBUTES = "strides: ints = @strides, dilations: ints = @dilations, pads: ints = @pads, group: int = @group"

# `Conv` on the sum over the copies, every step of the block a row of the batch: `[count·N, M, ...]`.
_SPIKE_CONV_CURRENT = f"""
SpikeConvCurrent <strides, dilations, pads, group> (spikes, weight, count, bias) => (current) {{
  values = {DOMAIN}.SpikeUnpack (spikes, count)
  channels_of_group = Shape <start = 1, end = 2> (weight)
  groups = Constant <value_int: int = @group> ()
  channels = Mul (channels_of_group, groups)
  sums = {DOMAIN}.SumCopies (values, channels)
  current = Conv <{_CONV_ATTRIBUTES}> (sums, weight, bias)
}}"""

_SPIKING_CONV = f"""
SpikingConv <strides, dilations, pads, group, soft_reset> (spikes, weight, v, threshold, count, bias)
    => (fired, v_out) {{
  current = {DOMAIN}.SpikeConvCurrent <{_CONV_ATTRIBUTES}> (spikes, weight, count, bias)
  fired, v_out = {DOMAIN}.IntegrateAndFire <soft_reset: int = @soft_reset> (current, v, threshold, count)
}}"""

# The residual convolution has kernels of one element, so default attributes do for any number of spatial axes. It takes
# the bias because onnxruntime cannot add two convolutions of an empty batch once it has brought both into its blocked
# layout, which it does not do where a formal parameter is missing.
_SPIKING_CONV_ADD = f"""
SpikingConvAdd <strides, dilations, pads, group, residual_group, soft_reset>
    (spikes, weight, residual, residual_weight, v, threshold, count, bias) => (fired, v_out) {{
  main_current = {DOMAIN}.SpikeConvCurrent <{_CONV_ATTRIBUTES}> (spikes, weight, count)
  values = {DOMAIN}.SpikeUnpack (residual, count)
  channels_of_group = Shape <start = 1, end = 2> (residual_weight)
  groups = Constant <value_int: int = @residual_group> ()
  channels = Mul (channels_of_group, groups)
  sums = {DOMAIN}.SumCopies (values, channels)
  residual_current = Conv <group: int = @residual_group> (sums, residual_weight, bias)
  current = Add (main_current, residual_current)
  fired, v_out = {DOMAIN}.IntegrateAndFire <soft_reset: int = @soft_reset> (current, v, threshold, count)
}}"""

_SPIKING_GEMM = f"""
SpikingGemm <soft_reset> (spikes, weight, v, threshold, count, bias) => (fired, v_out) {{
  values = {DOMAIN}.SpikeUnpack (spikes, count)
  channels = Shape <start = 0, end = 1> (weight)
  sums = {DOMAIN}.SumCopies (values, channels)
  current = Gemm (sums, weight, bias)
  fired, v_out = {DOMAIN}.IntegrateAndFire <soft_reset: int = @soft_reset> (current, v, threshold, count)
}}"""

# Σ_t (s_t·W + b) = (Σ_t s_t)·W + count·b. What the layer gives without a spike is b, or 0 where there is no bias.
_SPIKE_READOUT = f"""
SpikeReadout (spikes, weight, v, count, bias) => (v_out) {{
  counts = {DOMAIN}.SpikeCount (spikes)
  values = Cast <to = 1> (counts)
  channels = Shape <start = 0, end = 1> (weight)
  sums = {DOMAIN}.SumCopies (values, channels)
  weighted = Gemm (sums, weight)
  one_sample = Constant <value_ints = [1]> ()
  silence_shape = Concat <axis = 0> (one_sample, channels)
  silence = ConstantOfShape (silence_shape)
  constant_current = Gemm (silence, weight, bias)
  steps = Cast <to = 1> (count)
  constant_sum = Mul (constant_current, steps)
  block_sum = Add (weighted, constant_sum)
  integer = Cast <to = 6> (block_sum)
  v_out = Add (v, integer)
}}"""

FUNCTIONS = (
    _INTEGRATE_AND_FIRE,
    _neuron("RMP", 1),
    _neuron("IF", 0),
    _SUM_COPIES,
    _SPIKE_CONV_CURRENT,
    _SPIKING_CONV,
    _SPIKING_CONV_ADD,
    _SPIKING_GEMM,
    _SPIKE_READOUT,
)
