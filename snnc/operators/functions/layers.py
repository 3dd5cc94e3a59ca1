"""The neurons `RMP` and `IF`, and the operators of whole layers: `SpikingConv`, `SpikingConvAdd`, `SpikingGemm`, the
same of `Staircase` neurons, and `SpikeReadout`."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.ir.domain import DOMAIN

# For each step: v ← v - floor(v / 2^leak) if leak > 0; v ← v + current; fired = v ≥ threshold;
# v ← (v - threshold)·soft_reset where fired. `Div` rounds towards 0, so it divides what is left of the remainder, which
# `Mod` takes with the sign of the divisor. onnxruntime folds the `If`: its condition is a constant.
_INTEGRATE_AND_FIRE = """
IntegrateAndFire <soft_reset, leak> (current, v, threshold, count) => (spikes, v_out) {
  list1 = Constant <value_ints = [1]> ()
  shape = Shape (v)
  count_list = Reshape (count, list1)
  steps_shape = Concat <axis = 0> (count_list, shape)
  current_by_step = Reshape <allowzero = 1> (current, steps_shape)
  current_integer = Cast <to = 6> (current_by_step)
  share_kept_int64 = Constant <value_int: int = @soft_reset> ()
  share_kept = Cast <to = 6> (share_kept_int64)
  leak = Constant <value_int: int = @leak> ()
  no_leak = Constant <value = int64 {0}> ()
  leaks = Greater (leak, no_leak)
  one_unsigned = Constant <value = uint64 {1}> ()
  leak_unsigned = Cast <to = 13> (leak)
  power_unsigned = BitShift <direction = "LEFT"> (one_unsigned, leak_unsigned)
  power = Cast <to = 6> (power_unsigned)
  no_spike = Constant <value = int64 {0}> ()
  no_spikes = Expand (no_spike, shape)
  first_bit = Constant <value = int64 {1}> ()
  go_on = Constant <value = bool {1}> ()
  v_out, words, unused_bit = Loop (count, go_on, v, no_spikes, first_bit) <body = step
    (int64 k, bool go_in, int32[] v_in, int64[] words_in, int64 bit) =>
    (bool go_out, int32[] v_next, int64[] words_out, int64 next_bit) {
      go_out = Identity (go_in)
      current_now = Gather <axis = 0> (current_integer, k)
      left = If (leaks) <
        then_branch = leaky () => (int32[] v_leaked) {
          remainder = Mod (v_in, power)
          multiple = Sub (v_in, remainder)
          lost = Div (multiple, power)
          v_leaked = Sub (v_in, lost)
        },
        else_branch = tight () => (int32[] v_kept) {
          v_kept = Identity (v_in)
        }>
      charged = Add (left, current_now)
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


def _given(*names: str, kind: str = "int") -> str:
    """Attributes of a call that are those of the function around it."""
    return ", ".join(f"{name}: {kind} = @{name}" for name in names)


# An attribute that nodes may leave off.
_LEAK = "leak: int = 0"


def _neuron(name: str, soft_reset: int) -> str:
    return f"""
{name} <{_LEAK}> (current, v, threshold, count) => (spikes, v_out) {{
  spikes, v_out = {DOMAIN}.IntegrateAndFire <soft_reset = {soft_reset}, {_given("leak")}> (current, v, threshold, count)
}}"""


# `(values [rows, copies·(1 + signed)·C, ...], channels [1] = C) -> sums [rows, C, ...]`: the sum over the copies, what
# the negative spikes of a copy add with a minus. A product with ones and minus ones, row by row: exact for integers.
# Both factors have the rows, because onnxruntime 1.20 cannot broadcast against none.
_SUM_COPIES = """
SumCopies <copies, signed> (values, channels) => (sums) {
  list0 = Constant <value_ints = [0]> ()
  list1 = Constant <value_ints = [1]> ()
  copies_number = Constant <value_int: int = @copies> ()
  copies_list = Reshape (copies_number, list1)
  signed_number = Constant <value_int: int = @signed> ()
  signed_list = Reshape (signed_number, list1)
  signs = Add (signed_list, list1)
  plus_and_minus = Constant <value_floats = [1.0, -1.0]> ()
  of_copy = Slice (plus_and_minus, list0, signs, list0)
  factors = Tile (of_copy, copies_list)
  blocks = Mul (copies_list, signs)
  rows = Shape <start = 0, end = 1> (values)
  factors_shape = Concat <axis = 0> (rows, list1, blocks)
  factor_rows = Expand (factors, factors_shape)
  plane = Shape <start = 2> (values)
  sample_shape = Concat <axis = 0> (channels, plane)
  elements = ReduceProd <keepdims = 1> (sample_shape)
  split_shape = Concat <axis = 0> (rows, blocks, elements)
  split = Reshape <allowzero = 1> (values, split_shape)
  flat_sums = MatMul (factor_rows, split)
  sums_shape = Concat <axis = 0> (rows, sample_shape)
  sums = Reshape <allowzero = 1> (flat_sums, sums_shape)
}"""


_CONV_ATTRIBUTES = f"{_given('strides', 'dilations', 'pads', kind='ints')}, {_given('group')}"
_INPUT_ATTRIBUTES = _given("copies", "signed")

# `Conv` on the sum over the copies, every step of the block a row of the batch: `[count·N, M, ...]`.
_SPIKE_CONV_CURRENT = f"""
SpikeConvCurrent <strides, dilations, pads, group, copies, signed> (spikes, weight, count, bias) => (current) {{
  values = {DOMAIN}.SpikeUnpack (spikes, count)
  channels_of_group = Shape <start = 1, end = 2> (weight)
  groups = Constant <value_int: int = @group> ()
  channels = Mul (channels_of_group, groups)
  sums = {DOMAIN}.SumCopies <{_INPUT_ATTRIBUTES}> (values, channels)
  current = Conv <{_CONV_ATTRIBUTES}> (sums, weight, bias)
}}"""


@dataclass(frozen=True)
class _Family:
    """Operators of layers whose neurons are `neuron`: their names begin with `name`. Attributes may have defaults."""

    name: str
    neuron: str
    attributes: tuple[str, ...]
    states: str
    outputs: str

    @property
    def fire(self) -> str:
        """From `current` to the outputs."""
        names = [attribute.split(":")[0] for attribute in self.attributes]
        call = f"{DOMAIN}.{self.neuron} <{_given(*names)}>"
        return f"{self.outputs} = {call} (current, {self.states}, threshold, count)"

    def header(self, layer: str, attributes: str, synapses: str) -> str:
        """Name, attributes, inputs and outputs of the function of a layer."""
        attributes = ", ".join([attributes, *self.attributes])
        inputs = f"{synapses}, {self.states}, threshold, count, bias"
        return f"{self.name}{layer} <{attributes}>\n    ({inputs}) => ({self.outputs})"


_FAMILIES = (
    _Family("Spiking", "IntegrateAndFire", ("soft_reset", _LEAK), "v", "fired, v_out"),
    _Family("Staircase", "Staircase", ("low", "high"), "v, counts", "fired, v_out, counts_out"),
)


def _conv(family: _Family) -> str:
    header = family.header("Conv", "strides, dilations, pads, group, copies, signed", "spikes, weight")
    return f"""
{header} {{
  current = {DOMAIN}.SpikeConvCurrent <{_CONV_ATTRIBUTES}, {_INPUT_ATTRIBUTES}> (spikes, weight, count, bias)
  {family.fire}
}}"""


# The residual convolution has kernels of one element, so default attributes do for any number of spatial axes. It takes
# the bias because onnxruntime cannot add two convolutions of an empty batch once it has brought both into its blocked
# layout, which it does not do where a formal parameter is missing.
def _conv_add(family: _Family) -> str:
    attributes = "strides, dilations, pads, group, copies, signed, residual_group, residual_copies, residual_signed"
    header = family.header("ConvAdd", attributes, "spikes, weight, residual, residual_weight")
    residual_attributes = "copies: int = @residual_copies, signed: int = @residual_signed"
    return f"""
{header} {{
  main_current = {DOMAIN}.SpikeConvCurrent <{_CONV_ATTRIBUTES}, {_INPUT_ATTRIBUTES}> (spikes, weight, count)
  values = {DOMAIN}.SpikeUnpack (residual, count)
  channels_of_group = Shape <start = 1, end = 2> (residual_weight)
  groups = Constant <value_int: int = @residual_group> ()
  channels = Mul (channels_of_group, groups)
  sums = {DOMAIN}.SumCopies <{residual_attributes}> (values, channels)
  residual_current = Conv <group: int = @residual_group> (sums, residual_weight, bias)
  current = Add (main_current, residual_current)
  {family.fire}
}}"""


def _gemm(family: _Family) -> str:
    return f"""
{family.header("Gemm", "copies, signed", "spikes, weight")} {{
  values = {DOMAIN}.SpikeUnpack (spikes, count)
  channels = Shape <start = 0, end = 1> (weight)
  sums = {DOMAIN}.SumCopies <{_INPUT_ATTRIBUTES}> (values, channels)
  current = Gemm (sums, weight, bias)
  {family.fire}
}}"""


# Σ_t (s_t·W + b) = (Σ_t s_t)·W + count·b, in float64: exact below 2^53. What the layer gives without a spike is b, or 0
# where there is no bias; a missing bias cannot be cast, so that is found in float32.
_SPIKE_READOUT = f"""
SpikeReadout <copies, signed> (spikes, weight, v, count, bias) => (v_out) {{
  counts = {DOMAIN}.SpikeCount (spikes)
  values = Cast <to = 1> (counts)
  channels = Shape <start = 0, end = 1> (weight)
  sums = {DOMAIN}.SumCopies <{_INPUT_ATTRIBUTES}> (values, channels)
  exact_sums = Cast <to = 11> (sums)
  exact_weight = Cast <to = 11> (weight)
  weighted = Gemm (exact_sums, exact_weight)
  one_sample = Constant <value_ints = [1]> ()
  silence_shape = Concat <axis = 0> (one_sample, channels)
  silence = ConstantOfShape (silence_shape)
  current = Gemm (silence, weight, bias)
  constant_current = Cast <to = 11> (current)
  steps = Cast <to = 11> (count)
  constant_sum = Mul (constant_current, steps)
  block_sum = Add (weighted, constant_sum)
  integer = Cast <to = 7> (block_sum)
  v_out = Add (v, integer)
}}"""

FUNCTIONS = (
    _INTEGRATE_AND_FIRE,
    _neuron("RMP", 1),
    _neuron("IF", 0),
    _SUM_COPIES,
    _SPIKE_CONV_CURRENT,
    *(layer(family) for layer in (_conv, _conv_add, _gemm) for family in _FAMILIES),
    _SPIKE_READOUT,
)
