"""The passes of the method exact: identity neurons, charge at the start, steps of the input, the bound of steps."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from exact_networks import BODIES, body, converted
from golden import model, run_to

from snnc.ir.conversion import Conversion, Level
from snnc.ir.trees import layers, source_nodes
from snnc.levels import run_pass
from snnc.passes import charges, input_steps
from snnc.passes.settle import settling_steps
from snnc.simulate.ann import Ann


def exact(ann: onnx.ModelProto, level: Level, **options: Any) -> Conversion:
    return run_to(ann, level, method="exact", **options)


def charged(ann: onnx.ModelProto) -> Conversion:
    """Up to the pass `charges`."""
    conversion = exact(ann, Level.SPIKING)
    for step in (input_steps.PASS, charges.PASS):
        run_pass(step, conversion)
    return conversion


def relays(conversion: Conversion) -> dict[str, str]:
    """Identity neurons of a canonical graph by what they read."""
    return {node.inputs[0].name: node.name for node in conversion.graph.nodes if node.op == "Relay"}


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("max-pool and biases", []),
        ("sigmoid in front of an average", []),
        ("leaky residual", []),
        ("linear bottleneck", ["deep", "sum"]),
        ("max-pool of currents and of the input", ["x", "sums"]),
    ],
)
def test_where_identity_neurons_are_put(name: str, read: list[str]) -> None:
    assert sorted(relays(exact(body(name), Level.CANONICAL))) == sorted(read)


def test_no_identity_neurons_where_networks_do_not_settle() -> None:
    ann = model("two (float[N, 2] x) => (float[N, 1] y) <float[2, 2] a = {1, 2, 3, 4}, float[2, 1] b = {1, 2}> {"
                " s = Gemm (x, a) r = Relu (s) t = Gemm (r, a) y = Gemm (t, b) }")  # fmt: skip
    assert relays(run_to(ann, Level.CANONICAL)) == {}
    assert list(relays(exact(ann, Level.CANONICAL))) == ["t"]


def test_relays_stand_in_front_of_what_only_moves() -> None:
    ann = model("""# random: w [2, 1, 1, 1] seed 1
# random: v [8, 2] seed 2
moved (float[N, 1, 2, 2] x) => (float[N, 2] y) {
  s = Conv (x, w)
  r = Relu (s)
  c = Conv (r, w2)
  f = Flatten (c)
  y = Gemm (f, v)
}
# random: w2 [2, 2, 1, 1] seed 3""")
    assert list(relays(exact(ann, Level.CANONICAL))) == ["c"]


def test_a_current_that_two_layers_read_is_relayed_once() -> None:
    ann = model("""
        shared (float[N, 2] x) => (float[N, 2] y) <float[2, 2] a = {1, 2, 3, 4}, float[2, 2] b = {1, -1, 2, 1}> {
          s = Gemm (x, a)
          r = Relu (s)
          t = Gemm (r, b)
          y = Add (t, s)
        }""")
    assert list(relays(exact(ann, Level.CANONICAL))) == ["s"]


def test_biases_of_the_last_layers_are_added_after_decoding() -> None:
    """Those of both branches of a junction."""
    ann = model("""
        both (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] a = {1, 2, 3, 4}, float[2] b = {0.5, 1}, float[2, 2] c = {1, 1, 0, 1}, float[2] d = {2, -4}> {
          s = Gemm (x, a)
          r = Relu (s)
          t = Gemm (r, a, b)
          u = Gemm (r, c, d)
          y = Add (t, u)
        }""")
    *_, readout = layers(charged(ann).graph)
    assert readout.inputs[1].values.tolist() == [2.5, -3.0]
    images = networks.images_for(ann, 20, seed=1)
    found = converted(ann, levels=4096, threshold="max").session().run(images, warn=False).logits
    wanted = Ann(ann).run(images)["y"]
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_biases_of_two_layers_in_front_of_an_output_are_added_after_decoding() -> None:
    """The mean of what leaves ReLUs, with numbers added to it, is a layer of its own: there is no neuron behind it."""
    ann = model("""
        two (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] a = {1, 2, 3, 4}, float[2] b = {0.5, 1}, float[2, 2] c = {1, 1, 0, 1}, float[2] d = {2, -4}> {
          s = Gemm (x, a)
          r = Relu (s)
          t = Sum (b, r)
          y = Gemm (t, c, d)
        }""")
    *_, readout = layers(charged(ann).graph)
    assert readout.inputs[1].values.tolist() == [2.5, -2.5]
    images = networks.images_for(ann, 20, seed=1)
    found = converted(ann, levels=4096, threshold="max").session().run(images, warn=False).logits
    wanted = Ann(ann).run(images)["y"]
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_a_last_layer_that_nothing_reaches() -> None:
    """What enters it is always 0: its potential has a bound all the same."""
    ann = model("""
        silent (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] a = {1, 2, 3, 4}, float[2, 2] c = {1, 1, 0, 1}, float[2] d = {2, -4}> {
          s = Gemm (x, a)
          r = Relu (s)
          t = Sub (r, r)
          y = Gemm (t, c, d)
        }""")
    images = networks.images_for(ann, 4, seed=1)
    found = converted(ann, levels=16).session().run(images, warn=False).logits
    assert found.tolist() == [[2.0, -4.0]] * 4


def test_biases_become_charge() -> None:
    """Those in front of a pool, at borders and behind a junction included; the tree has none any more."""
    ann = model("""
        charged (float[N, 1, 3] x) => (float[N, 1] y)
        <float[1, 1, 2] w = {1, 1}, float[1] b = {0.5}, float[1, 1, 1] u = {2}, float[1] d = {-0.25},
         float[3, 1] v = {1, 1, 1}, float[1] e = {4}> {
          main = Conv <pads = [1, 0]> (x, w, b)
          side = Conv (x, u, d)
          both = Add (main, side)
          pooled = AveragePool <kernel_shape = [2], pads = [1, 0], count_include_pad = 1> (both)
          r = Relu (pooled)
          f = Flatten (r)
          y = Gemm (f, v, e)
        }""")
    conversion = charged(ann)
    neuron, readout = layers(conversion.graph)
    assert np.array_equal(neuron.attrs["charge_value"], [[0.125, 0.25, 0.25]])
    assert all(len(node.inputs) == 2 for node in conversion.graph.nodes if node.op in ("Conv", "Gemm"))
    assert readout.attrs["settles"] == 1
    assert readout.inputs[1].values.tolist() == [4.0]


def test_charge_that_is_the_same_all_over_a_channel_has_one_value() -> None:
    neuron = layers(charged(body("max-pool and biases")).graph)[0]
    assert neuron.attrs["charge_value"].shape == (4, 1, 1)


QUANTISED_INPUT = """
    quantised (float[N, 4] x) => (float[N, 2] y)
    <float s = {{0.125}}, {zero}, float[4, 3] w = {{1, 2, -1, 0.5, 1, 1, -2, 1, 0, 1, 1, 1}},
     float[3, 2] v = {{1, -1, 1, 1, 0.5, 0.25}}> {{
      q = QuantizeLinear (x, s, z)
      d = DequantizeLinear (q, s, z)
      c = Gemm (d, w)
      r = Relu (c)
      y = Gemm (r, v)
      {more}
    }}"""


def encoder_of(text: str) -> gs.Node:
    return source_nodes(charged(model(text)).graph)[0]


@pytest.mark.parametrize(("zero", "limits"), [("uint8 z = {3}", (-3, 252)), ("int8 z = {0}", (-128, 127))])
def test_a_quantiser_of_the_input_is_the_encoder(zero: str, limits: tuple[int, int]) -> None:
    encoder = encoder_of(QUANTISED_INPUT.format(zero=zero, more=""))
    assert (encoder.attrs["unit"], encoder.attrs["low"], encoder.attrs["high"]) == (0.125, *limits)


def test_its_numbers_are_those_of_the_quantiser() -> None:
    """Weights are dyadic here, so the network equals that of the user but for rounding at the end."""
    ann = model(QUANTISED_INPUT.format(zero="uint8 z = {3}", more=""))
    images = networks.images_for(ann, 20, seed=1)  # those that calibrate: nothing else is cut off
    found = converted(ann, levels=4096, threshold="max").session().run(images, warn=False).logits
    wanted = Ann(ann).run(images)["y"]
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_an_input_that_something_else_reads_too_keeps_its_own_units() -> None:
    text = QUANTISED_INPUT.format(zero="uint8 z = {3}", more="").replace(
        "c = Gemm (d, w)", "a = Gemm (d, w) b = Gemm (x, w) c = Add (a, b)"
    )
    assert "unit" not in encoder_of(text).attrs


@pytest.mark.parametrize("name", BODIES)
def test_the_bound_of_steps(name: str) -> None:
    """The sum of the ranges of counts along the longest path, the step of the input and a quiet one."""
    longest = {
        "max-pool and biases": 6,
        "sigmoid in front of an average": 6,
        "leaky residual": 12 + 12,
        "linear bottleneck": 6 + 12 + 12 + 6,
        "max-pool of currents and of the input": 12 + 12,
        "squeeze and excitation": 6 + 6 + 6 + 12 + 6,
        "gated linear unit": 12 + 6 + 12,
    }
    assert settling_steps(exact(body(name), Level.FUSED, levels=6).graph) <= longest[name] + 2
