"""Every linear operator of the registry against brute force: its room says what its ONNX computes.

`EXAMPLES` must name each operator; what is held for all of them:

- bounds: no 0/±1 input gives a value outside, and some input reaches them where channels do not share elements;
- fan-out: flipping one spike changes as many sums behind the next weights as the fan-out says;
- currents: the emitted nodes compute what the reference simulator computes, steps and sums alike;
- words: moved words unpack to the same sums as the operator on unpacked spikes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime
import pytest
from onnx import TensorProto, helper

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import sample_shape
from snnc.ir.signal import Channels, Signal
from snnc.operators import BY_ANN_NAME, OPERATORS, contract, operator_of, weighted
from snnc.operators.contract import DTYPE, Mode
from snnc.simulate import reference_operators

RANDOM = np.random.default_rng(0)


@dataclass
class Example:
    """A node of an operator on samples of `shape`; two operands where it is a junction."""

    op: str
    shape: tuple[int, ...]
    out: tuple[int, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    constants: tuple[Any, ...] = ()
    operands: int = 1

    def node(self) -> gs.Node:
        inputs: list[gs.Tensor] = [gs.Variable(f"x{i}", np.float32, ["N", *self.shape]) for i in range(self.operands)]
        inputs += [gs.Constant(f"c{i}", np.asarray(value)) for i, value in enumerate(self.constants)]
        output = gs.Variable("y", np.float32, ["N", *self.out])
        return gs.Node(self.op, "node", dict(self.attrs), inputs, [output], OPERATORS[self.op].domain or None)


def integers(*shape: int, low: int = -4, high: int = 5) -> np.ndarray:
    return RANDOM.integers(low, high, shape).astype(np.float32)


def window(kernel: list[int], strides: list[int], pads: list[int], **more: Any) -> dict[str, Any]:
    return {"kernel_shape": kernel, "strides": strides, "pads": pads, **more}


def conv(kernel: list[int], strides: list[int], pads: list[int], dilations: list[int], group: int) -> dict[str, Any]:
    return window(kernel, strides, pads, dilations=dilations, group=group)


EXAMPLES = {
    "conv": Example("Conv", (1, 3, 3), (2, 2, 2), conv([2, 2], [1, 1], [0] * 4, [1, 1], 1), (integers(2, 1, 2, 2),)),
    "conv with bias, stride and pads": Example(
        "Conv", (1, 3, 3), (2, 2, 2), conv([2, 2], [2, 2], [1] * 4, [1, 1], 1), (integers(2, 1, 2, 2), integers(2))
    ),
    "conv of groups, dilated": Example(
        "Conv", (2, 5), (4, 3), conv([2], [1], [0, 0], [2], 2), (integers(4, 1, 2), integers(4))
    ),
    "gemm": Example("Gemm", (7,), (3,), {}, (integers(7, 3),)),
    "gemm with bias": Example("Gemm", (7,), (3,), {}, (integers(7, 3), integers(3))),
    "scale": Example("Scale", (2, 2, 2), (2, 2, 2), {}, (np.float32(-3.0),)),
    "scale with bias": Example("Scale", (2, 2, 2), (2, 2, 2), {}, (integers(2, 1, 1), integers(2, 1, 1))),
    "pool": Example("SumPool", (2, 2, 4), (2, 1, 2), window([2, 2], [2, 2], [0] * 4, divisor=4)),
    "global pool": Example("SumPool", (2, 2, 2), (2, 1, 1), window([2, 2], [1, 1], [0] * 4, divisor=4)),
    "overlapping pool": Example("SumPool", (1, 3, 3), (1, 2, 2), window([2, 2], [1, 1], [0] * 4, divisor=4)),
    "pool with borders": Example(
        "SumPool", (1, 3), (1, 2), window([2], [2], [1, 0], divisor=2), (np.array([[[2.0, 1.0]]], np.float32),)
    ),
    "pool with borders of several sizes": Example(
        "SumPool", (1, 4), (1, 4), window([3], [1], [1, 1], divisor=6), (np.array([[[3.0, 2, 2, 3]]], np.float32),)
    ),
    "padded pool": Example("SumPool", (1, 3), (1, 2), window([2], [2], [1, 0], divisor=2)),
    "junction": Example("Add", (2, 3), (2, 3), operands=2),
    "reshape": Example("Reshape", (2, 3), (6,), {}, (np.array([-1, 6], np.int64),)),
    "transpose": Example("Transpose", (2, 1, 3), (3, 2, 1), {"perm": [0, 3, 1, 2]}),
    "transpose of the plane": Example("Transpose", (2, 1, 3), (2, 3, 1), {"perm": [0, 1, 3, 2]}),
    "gather": Example("Gather", (3, 2), (5, 2), {"axis": 1}, (np.array([2, 0, 0, 1, -1]),)),
    "shuffle": Example("Gather", (4, 2), (4, 2), {"axis": 1}, (np.array([0, 2, 1, 3]),)),
    "gather of the plane": Example("Gather", (2, 3, 2), (2, 5, 2), {"axis": 2}, (np.array([2, 0, 0, 1, -1]),)),
    "gather of columns": Example("Gather", (2, 3, 4), (2, 3, 5), {"axis": 3}, (np.array([3, 1, 0, 2, 2]),)),
    "concat": Example("Concat", (2, 3), (4, 3), {"axis": 1}, operands=2),
    "concat of the plane": Example("Concat", (2, 3, 1), (2, 6, 1), {"axis": 2}, operands=2),
    "depth to space": Example("DepthToSpace", (8, 1, 2), (2, 2, 4), {"blocksize": 2}),
    "depth to space DCR": Example("DepthToSpace", (8, 1, 2), (2, 2, 4), {"blocksize": 2, "mode": "DCR"}),
    "depth to space CRD": Example("DepthToSpace", (8, 2, 1), (2, 4, 2), {"blocksize": 2, "mode": "CRD"}),
}
EACH = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def test_every_operator_has_an_example() -> None:
    assert {example.op for example in EXAMPLES.values()} == set(OPERATORS)
    assert all(room.name == name for name, room in OPERATORS.items())
    moving = {"Reshape", "Transpose", "DepthToSpace", "Gather", "Concat"}
    assert {"Conv", "Gemm", "AveragePool", "Add", "Scale", *moving} == set(BY_ANN_NAME)


@EACH
def test_every_operator_is_in_the_reference(example: Example) -> None:
    assert (OPERATORS[example.op].domain, example.op) in reference_operators.LINEAR


def expected(node: gs.Node, values: list[np.ndarray]) -> np.ndarray:
    """What the reference simulator makes of integer values."""
    given = [tensor for tensor in node.inputs if isinstance(tensor, gs.Constant)]
    constants = [np.asarray(tensor.values).astype(np.int64) for tensor in given]
    compute = reference_operators.LINEAR[(node.domain or "", node.op)]
    result: np.ndarray = compute(node.attrs, *(value.astype(np.int64) for value in values), *constants)
    return result


def without_bias(node: gs.Node, values: list[np.ndarray]) -> np.ndarray:
    alone: np.ndarray = expected(node, values) - expected(node, [np.zeros_like(value) for value in values])
    return alone


def signal(node: gs.Node, example: Example, lowest: int) -> Signal:
    """Of the output, where the operands are spikes."""
    operand = Signal.of_spikes(len(example.shape), signed=lowest < 0)
    room = weighted(node)
    weights = None if room is None else room.weights(node)
    return operator_of(node).signal(node, [operand] * example.operands, weights, weights)


def evaluate(node: gs.Node, values: np.ndarray) -> np.ndarray:
    """The operator on real values, by its own nodes in float32."""
    nodes = Nodes()
    output = operator_of(node).current(node, ["x"], "y/out", "steps", nodes)
    runner = session(nodes, {"x": TensorProto.FLOAT, "count": TensorProto.INT64}, output, TensorProto.FLOAT)
    (found,) = runner.run(None, {"x": values.astype(np.float32), "count": np.array(1, np.int64)})
    return np.asarray(found, np.float64)


def all_inputs(example: Example, lowest: int) -> list[np.ndarray]:
    """Every input in {lowest, ..., 1} where there are few, else many random ones."""
    elements, values = int(np.prod(example.shape)), list(range(lowest, 2))
    if len(values) ** elements <= 3000:
        rows = np.array(list(itertools.product(values, repeat=elements)), np.int64)
    else:
        rows = np.random.default_rng(1).integers(lowest, 2, (3000, elements))
    first = rows.reshape(-1, *example.shape)
    return [first, first[::-1]][: example.operands]


@EACH
@pytest.mark.parametrize("lowest", [-1, 0])
def test_no_value_leaves_the_bounds(example: Example, lowest: int) -> None:
    node = example.node()
    found = signal(node, example, lowest)
    values = expected(node, all_inputs(example, lowest))
    partial = without_bias(node, all_inputs(example, lowest))  # a sum before its bias is a partial sum too
    for array in (found.low, found.high, found.noise, found.power, found.peak, found.rows):
        assert np.broadcast_shapes(array.shape, example.out) == example.out
    for sums in (values, partial):
        assert (found.low <= sums.min(0)).all()
        assert (found.high >= sums.max(0)).all()
    assert (found.low <= 0).all()
    assert (found.high >= 0).all()
    assert found.magnitude == max(-found.low.min(), found.high.max())
    assert found.signed == bool((found.low < 0).any())


@pytest.mark.parametrize("name", ["gemm", "conv", "conv of groups, dilated", "scale", "pool", "junction"])
def test_bounds_are_reached(name: str) -> None:
    """They are no wider than they must be: the least and the largest sum of one output, by its own weights."""
    example = EXAMPLES[name]
    node = example.node()
    found = signal(node, example, -1)
    elements = int(np.prod(example.shape)) * example.operands
    basis = np.eye(elements, dtype=np.int64).reshape(elements, example.operands, *example.shape)
    responses = without_bias(node, [basis[:, index] for index in range(example.operands)])
    offset = expected(node, [np.zeros((1, *example.shape), np.int64)] * example.operands)[0]
    largest = np.abs(responses).sum(0)
    if not example.attrs.get("pads") or not any(example.attrs["pads"]):
        assert np.array_equal(np.broadcast_to(found.high, example.out), largest + np.maximum(offset, 0))
        assert np.array_equal(np.broadcast_to(found.low, example.out), -(largest - np.minimum(offset, 0)))


def test_a_pool_reckons_with_the_worst_of_its_plane() -> None:
    """Where the operand's bounds differ within a channel, as behind a `DepthToSpace`."""
    node = EXAMPLES["pool"].node()
    high = np.arange(16.0).reshape(2, 2, 4)
    operand = replace(Signal.of_spikes(3, signed=True), low=-high - 1, high=high)
    found = operator_of(node).signal(node, [operand], None)
    assert found.high.ravel().tolist() == [4 * 7, 4 * 15]
    assert found.low.ravel().tolist() == [-4 * 8, -4 * 16]


@EACH
def test_scales_are_carried_and_carried_back(example: Example) -> None:
    """A value of every element comes out where the element does; windows and weights cannot tell them apart."""
    node = example.node()
    room, heavy = operator_of(node), weighted(node)
    if heavy is not None or example.op == "Add":
        return
    values = np.arange(1.0, 1.0 + np.prod(example.shape)).reshape(example.shape)
    operands = [values + 100 * index for index in range(example.operands)]
    carried = room.carry(node, operands)
    if carried is None:  # one value for each channel can be carried all the same
        first = (slice(None), *[slice(1)] * (values.ndim - 1))
        operands = [values[first]]
        carried = room.carry(node, operands)
        assert carried is not None
    else:
        moved = expected(node, [operand[None] for operand in operands])[0]
        assert np.array_equal(np.broadcast_to(carried, example.out), moved)
    back = room.carry_back(node, carried)
    assert back is not None
    for found, operand in zip(back, operands, strict=True):
        assert np.array_equal(np.broadcast_to(found, example.shape), np.broadcast_to(operand, example.shape))


@EACH
def test_weights_on_a_grid_compute_the_same(example: Example) -> None:
    """W·σ_in/σ of inputs worth σ_in each are outputs worth σ each, whatever the channels' σ."""
    node, random = example.node(), np.random.default_rng(3)
    heavy = weighted(node)
    if heavy is None:
        return
    pattern = [(shape[0], *[1] * (len(shape) - 1)) for shape in (example.shape, example.out)]
    scale_in, scale = (2.0 ** random.integers(-3, 4, shape).astype(np.float64) for shape in pattern)
    assert heavy.takes(node, scale_in)
    exact = heavy.on_grid(node, heavy.weights(node), scale_in, scale)
    assert exact is not None
    values = random.integers(-9, 9, (4, *example.shape)).astype(np.float64)
    heavy.write_weights(node, exact)
    found = evaluate(node, values) * scale
    assert np.array_equal(found, evaluate(example.node(), values * scale_in))


@EACH
def test_fanout_counts_the_sums_that_a_spike_reaches(example: Example) -> None:
    """With weights that are never zero, the outputs that change; a pool passes on the costs of those."""
    node = example.node()
    for tensor in node.inputs:
        if isinstance(tensor, gs.Constant) and weighted(node) is not None:
            tensor.values = np.ones_like(tensor.values)
    cost = np.arange(1, 1 + int(np.prod(example.out)), dtype=np.int64).reshape(example.out)
    for position in range(example.operands):
        found = operator_of(node).fanout(node, position, cost)
        assert found.shape == example.shape
        for index in np.ndindex(*example.shape):
            values = [np.zeros((1, *example.shape), np.int64) for _ in range(example.operands)]
            element = (0, *index)
            values[position][element] = 1
            reached = without_bias(node, values)[0] != 0
            assert found[index] == (reached.sum() if weighted(node) is not None else cost[reached].sum()), index


@EACH
def test_macs_are_the_connections_of_layers(example: Example) -> None:
    node = example.node()
    if example.op in ("Conv", "Gemm"):
        ones = np.ones(example.out, np.int64)
        assert operator_of(node).macs(node) == operator_of(node).fanout(node, 0, ones).sum()
        assert operator_of(node).fan_in(node) == np.prod(node.inputs[1].values.shape) // example.out[0]
    else:
        assert operator_of(node).macs(node) == 0


def session(nodes: Nodes, inputs: dict[str, int], output: str, dtype: int) -> onnxruntime.InferenceSession:
    infos = [helper.make_tensor_value_info(name, elem_type, None) for name, elem_type in inputs.items()]
    result = helper.make_tensor_value_info(output, dtype, None)
    graph = helper.make_graph(nodes.nodes, "g", infos, [result], list(nodes.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)])
    model.ir_version = 9
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@EACH
@pytest.mark.parametrize("mode", ["steps", "sums"])
def test_currents_are_those_of_the_reference(example: Example, mode: Mode) -> None:
    """Sums over a block of `count` steps have the bias `count` times."""
    node, nodes, count = example.node(), Nodes(), 5
    names = [tensor.name for tensor in node.inputs if isinstance(tensor, gs.Variable)]
    output = operator_of(node).current(node, names, "y/out", mode, nodes)
    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPE[mode]))
    inputs = dict.fromkeys(names, elem_type)
    runner = session(nodes, {**inputs, "count": TensorProto.INT64}, output, elem_type)
    values = [np.random.default_rng(index).integers(-9, 9, (4, *example.shape)) for index in range(len(names))]
    feeds = {name: value.astype(DTYPE[mode]) for name, value in zip(names, values, strict=True)}
    (found,) = runner.run(None, {**feeds, "count": np.array(count, np.int64)})
    offset = expected(node, [np.zeros_like(value) for value in values])
    assert np.array_equal(found, expected(node, values) + (count - 1) * offset * (mode == "sums"))


@EACH
@pytest.mark.parametrize("copies", [1, 2])
def test_moved_words_hold_the_same_sums(example: Example, copies: int) -> None:
    """The sum over the copies of the moved words is the operator on the sum over the copies that went in."""
    node = example.node()
    moved = operator_of(node).copies(node, [copies] * example.operands)
    if moved is None:
        assert example.op in ("Conv", "Gemm", "Scale", "Add") or len(node.inputs) > 1
        return
    nodes, random = Nodes(), np.random.default_rng(2)
    channels, *plane = example.shape
    names = [f"words{index}" for index in range(example.operands)]
    words = {name: random.integers(0, 2, (3, copies * channels, *plane)).astype(np.uint64) for name in names}
    output = operator_of(node).move(node, names, copies, "y/words", WordNodes(nodes))
    (found,) = session(nodes, dict.fromkeys(names, TensorProto.UINT64), output, TensorProto.UINT64).run(None, words)
    assert found.shape == (3, moved * example.out[0], *example.out[1:])
    before = [value.astype(np.int64).reshape(3, copies, channels, *plane).sum(1) for value in words.values()]
    after = found.astype(np.int64).reshape(3, moved, *example.out).sum(1)
    assert np.array_equal(after, expected(node, before))
    assert sample_shape(node.outputs[0]) == example.out


@pytest.mark.parametrize("exact", [False, True])
def test_bounds_do_not_depend_on_how_many_weights_are_worked_on_at_once(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = np.rint(random.normal(0, 50, (7, 4, 9)))
    by_row = [np.abs(random.normal(size=(7, 4, 1))) for _ in range(4)]
    shared = [values[:1] for values in by_row]
    for operand in (Channels(-by_row[0], *by_row[1:]), Channels(-shared[0], *shared[1:])):
        floats = rows + random.uniform(-0.5, 0.5, rows.shape) if exact else None
        found = []
        for at_once in (2**18, 80):  # all of them, two rows
            monkeypatch.setattr(contract, "_AT_ONCE", at_once)
            found.append(contract.sums_of_products(rows, operand, np.full(7, 3.0), floats, 3))
        for name in ("low", "high", "noise", "power", "peak"):
            np.testing.assert_allclose(getattr(found[0], name), getattr(found[1], name), rtol=1e-12, err_msg=name)
