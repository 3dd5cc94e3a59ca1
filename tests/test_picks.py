"""The pass `picks`: what only picks values or puts zeros between them becomes a linear layer of zeros and ones."""

from __future__ import annotations

import golden
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from onnx import numpy_helper
from region_models import run_canonical

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Conversion
from snnc.ir.picks import window_of
from snnc.methods.defaults import make_options
from snnc.passes import picks
from snnc.simulate.ann import Ann

HEADER = '<ir_version: 8, opset_import: ["": 18]>\n'
OPTION_A = """
net (float[N,2,6,6] x) => (float[N,2] logits) {
  a = Conv <pads = [1,1,1,1]> (x, W)
  b = Relu (a)
  c = Conv <pads = [1,1,1,1], strides = [2,2]> (b, V)
  starts = Constant <value_ints = [0,0]> ()
  ends = Constant <value_ints = [9223372036854775807,2147483647]> ()
  axes = Constant <value_ints = [2,-1]> ()
  steps = Constant <value_ints = [2,2]> ()
  s = Slice (b, starts, ends, axes, steps)
  pads = Constant <value_ints = [0,1,0,0,0,1,0,0]> ()
  p = Pad (s, pads)
  d = Add (c, p)
  e = Relu (d)
  f = Flatten (e)
  logits = MatMul (f, U)
}
"""
SIZES = {"W": (2, 2, 3, 3), "V": (4, 2, 3, 3), "U": (36, 2)}


def parsed(text: str, sizes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """With random weights of these shapes."""
    model = onnx.parser.parse_model(HEADER + text)
    random = np.random.default_rng(4)
    for name, shape in sizes.items():
        values = random.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


def option_a() -> onnx.ModelProto:
    """A residual block whose shortcut drops every second pixel and appends channels of zeros."""
    return parsed(OPTION_A, SIZES)


def after_the_pass(model: onnx.ModelProto) -> gs.Graph:
    graph = gs.import_onnx(onnx.shape_inference.infer_shapes(model))
    graph.fold_constants()
    conversion = Conversion(model, make_options(method="exact"), graph=graph.cleanup())
    picks.run(conversion)
    return conversion.graph


@st.composite
def rows_of_picks(draw: st.DrawFn) -> tuple[tuple[int, ...], list[gs.Node]]:
    """The shape of a sample and up to three operators that pick, or may not be understood."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    tensor = gs.Variable("x", np.float32, ["N", *shape])
    nodes, sizes = [], list(shape)
    for number in range(draw(st.integers(1, 3))):
        axis = draw(st.integers(1, len(sizes)))
        size, kind = sizes[axis - 1], draw(st.sampled_from(["Slice", "Pad", "Gather"]))
        result = gs.Variable(f"t{number}", np.float32)
        if kind == "Slice":
            start, stop = draw(st.integers(-size, size - 1)), draw(st.sampled_from([2**63 - 1, size, -1, 2]))
            step = draw(st.sampled_from([1, 1, 2, 3, -1]))
            constants = [[start], [stop if step > 0 else -(2**63)], [axis], [step]]
            sizes[axis - 1] = len(range(size)[start : constants[1][0] : step])
        elif kind == "Pad":
            begin, end = draw(st.integers(-1, 3)), draw(st.integers(-1, 3))
            pads = [0] * (2 * len(sizes) + 2)
            pads[axis], pads[len(sizes) + 1 + axis] = begin, end
            constants = [pads]
            sizes[axis - 1] = size + begin + end
        else:
            constants = [draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=6))]
            sizes[axis - 1] = len(constants[0])
        if min(sizes) < 1:
            break
        inputs = [gs.Constant(f"c{number}_{at}", np.array(value, np.int64)) for at, value in enumerate(constants)]
        attrs = {"axis": axis} if kind == "Gather" else {}
        nodes.append(gs.Node(kind, f"n{number}", attrs, [tensor, *inputs], [result]))
        tensor = result
    return shape, nodes


@settings(max_examples=150, deadline=None)
@given(drawn=rows_of_picks())
def test_values_stay_whatever_is_picked(drawn: tuple[tuple[int, ...], list[gs.Node]]) -> None:
    shape, nodes = drawn
    if not nodes:
        return
    graph = gs.Graph(nodes, [nodes[0].inputs[0]], [nodes[-1].outputs[0]], opset=18)
    graph.outputs[0].dtype = np.float32
    model = gs.export_onnx(graph)
    model.ir_version = 8
    images = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    (expected,) = Ann(model).run(images).values()
    found = after_the_pass(model)
    if not found.nodes:
        assert_array_equal(images, expected)  # all of it, in order
    else:
        assert_array_equal(run_canonical(found, images)[0], expected)


@pytest.mark.parametrize(
    ("picked", "size", "understood"),
    [
        ([0, 1, 2], 3, True),
        ([0, 2, 4], 6, True),
        ([3], 6, True),
        ([-1, 0, 1, -1], 2, True),
        ([-1, 1, 2], 3, False),  # one that is cut off, and a zero in its place
        ([2, 1, 0], 3, False),
        ([0, 1, 3], 4, False),
        ([0, 0], 2, False),
        ([-1, -1], 2, False),
    ],
)
def test_which_picks_a_convolution_can_do(picked: list[int], size: int, understood: bool) -> None:
    assert (window_of(np.array(picked), size) is not None) == understood


def test_the_shortcut_that_drops_pixels_is_one_convolution() -> None:
    graph = after_the_pass(option_a())
    assert [node.op for node in graph.nodes] == ["Conv", "Relu", "Conv", "Conv", "Add", "Relu", "Flatten", "MatMul"]
    shortcut = graph.nodes[3]
    assert shortcut.attrs["strides"] == [2, 2]
    assert shortcut.attrs["kernel_shape"] == [1, 1]
    assert_array_equal(shortcut.inputs[1].values[:, :, 0, 0], [[0, 0], [1, 0], [0, 1], [0, 0]])


def test_zeros_in_front_of_a_convolution_are_its_pads() -> None:
    model = parsed(
        """net (float[N,2,6,6] x) => (float[N,2,8,6] y) {
          pads = Constant <value_ints = [0,0,2,0,0,0,2,1]> ()
          p = Pad (x, pads)
          y = Conv <pads = [0,0,0,1]> (p, W)
        }""",
        {"W": (2, 2, 3, 3)},
    )
    (convolution,) = after_the_pass(model).nodes
    assert convolution.attrs["pads"] == [2, 0, 2, 2]


@pytest.mark.parametrize("method", ["rmp", "low-latency", "exact"])
def test_a_residual_network_with_such_a_shortcut_is_converted(method: str) -> None:
    report = snnc.convert(option_a(), method=method, accept_poor=True).report
    assert report.verification is not None
    assert [layer.name for layer in report.layers if layer.kind == "neuron"] == ["Relu_1", "Relu_11"]
    assert (report.certificate is not None) == (method == "exact")


def test_a_pad_with_another_value_is_reported() -> None:
    model = parsed(
        """net (float[N,2,4,4] x) => (float[N,2,4,4] y) {
          pads = Constant <value_ints = [0,0,1,1,0,0,1,1]> ()
          one = Constant <value_float = 1.0> ()
          p = Pad (x, pads, one)
          y = Conv (p, W)
        }""",
        {"W": (2, 2, 3, 3)},
    )
    with pytest.raises(DiagnosticError) as caught:
        snnc.convert(model)
    assert [finding.op for finding in caught.value.diagnostics] == ["Pad"]


def test_sums_that_nobody_reads_stay_exact() -> None:
    """The second channel of the convolution is dropped, and has much larger weights than the first."""
    model = golden.model("""
        net (float[N,1,2] x) => (float[N,2] y) <int64[1] first = {0}> {
            c = Conv (x, W) p = Gather <axis = 1> (c, first) r = Relu (p) f = Flatten (r) y = MatMul (f, V)
        }
    """)
    weights = {"W": [[[0.0889, -0.0934]], [[45.28, 7.41]]], "V": [[-0.5356, 0.3616]]}
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32), name))
    images = np.random.default_rng(0).normal(size=(40, 1, 2)).astype(np.float32)
    for method in ("rmp", "exact"):
        snnc.convert(model, calib=images, method=method, accept_poor=True)
