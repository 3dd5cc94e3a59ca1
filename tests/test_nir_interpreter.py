"""The interpreter of NIR, against its equations worked out by hand and against ONNX."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from snnc.export.nir_interpreter import Interpreter, SubtractingInterpreter


def chain(node: Any, *shape: int) -> nir.NIRGraph:
    nodes = {"input": nir.Input(np.array(shape)), "node": node, "output": nir.Output(node.output_type)}
    return nir.NIRGraph(nodes, [("input", "node"), ("node", "output")], type_check=False)


def run(interpreter: Interpreter, inputs: list[float]) -> list[float]:
    return [float(interpreter.step(np.full((1, 1), x))["output"].item()) for x in inputs]


def ones(value: float = 1.0) -> np.ndarray:
    return np.full(1, value, np.float32)


def test_an_if_fires_above_its_threshold_and_goes_to_its_reset() -> None:
    graph = chain(nir.IF(ones(2), ones(4), ones(-1)), 1)
    assert run(Interpreter(graph), [2, 0, 0.5, 2, 0.5, 0.5]) == [0, 0, 1, 0, 0, 1]  # v: 4, 4, 5 → -1, 3, 4, 5


def test_a_subtracting_if_fires_a_step_later() -> None:
    graph = chain(nir.IF(ones(), ones(4), ones(0)), 1)
    assert run(SubtractingInterpreter(graph), [10, 0, 0, 0, 0]) == [0, 1, 1, 0, 0]  # v: 10, 6, 2, 2, 2


def test_a_lif_decays_towards_its_leak() -> None:
    """v ← v + dt/tau·((v_leak - v) + r·x), dt/tau = 1/4."""
    graph = chain(nir.LIF(ones(2), ones(8), ones(4), ones(5), ones(0)), 1)
    interpreter = Interpreter(graph, time_step=0.5)
    assert run(interpreter, [1, 1]) == [0, 1]  # 3, then 3 + (1 + 8)/4 = 5.25
    assert interpreter.potentials["node"].item() == 0
    assert run(interpreter, [0]) == [0]
    assert interpreter.potentials["node"].item() == 1


def test_an_edge_that_closes_a_loop_arrives_in_the_next_step() -> None:
    nodes = {
        "input": nir.Input(np.array([1])),
        "reset": nir.Scale(ones(-4)),
        "spikes": nir.Threshold(ones(3.5)),
        "v": nir.I(ones()),
        "output": nir.Output(np.array([1])),
    }
    edges = [("input", "v"), ("v", "spikes"), ("spikes", "reset"), ("reset", "v"), ("spikes", "output")]
    assert run(Interpreter(nir.NIRGraph(nodes, edges)), [9, 0, 0, 3, 0]) == [1, 1, 0, 1, 0]  # 9, 5, 1, 4, 0


@pytest.mark.parametrize(("rank", "groups"), [(1, 1), (2, 1), (2, 2)])
def test_convolutions_are_those_of_onnx(rank: int, groups: int) -> None:
    rng = np.random.default_rng(rank)
    x = rng.integers(-3, 4, (2, 4, *[9, 7][:rank])).astype(np.float32)
    weight = rng.integers(-3, 4, (6, 4 // groups, *[3, 2][:rank])).astype(np.float32)
    bias = rng.integers(-3, 4, 6).astype(np.float32)
    strides, pads, dilations = [2, 1][:rank], [1, 2][:rank], [1, 3][:rank]
    attributes: dict[str, Any] = {"strides": strides, "pads": pads * 2, "dilations": dilations, "group": groups}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)],
        "conv",
        [helper.make_tensor_value_info(name, 1, None) for name in "xwb"],
        [helper.make_tensor_value_info("y", 1, None)],
    )
    (expected,) = ReferenceEvaluator(helper.make_model(graph)).run(None, {"x": x, "w": weight, "b": bias})
    geometry: list[Any] = [strides, pads, dilations]
    if rank == 1:
        node = nir.Conv1d(9, weight, *(values[0] for values in geometry), groups, bias)
    else:
        node = nir.Conv2d((9, 7), weight, *map(tuple, geometry), groups, bias)
    assert np.array_equal(Interpreter(chain(node, *x.shape[1:])).step(x.astype(np.float64))["node"], expected)


def test_pools_sum_and_planes_become_flat() -> None:
    x = np.arange(32, dtype=np.float64).reshape(1, 2, 4, 4)
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1]))
    found = Interpreter(chain(pool, 2, 4, 4)).step(x)["node"]
    assert found[0, 0].tolist() == [[0, 3, 3], [12, 30, 18], [12, 27, 15]]
    flat = Interpreter(chain(nir.Flatten(np.array([2, 4, 4]), -3, -1), 2, 4, 4)).step(x)["node"]
    assert flat.tolist() == [list(range(32))]
    dense = Interpreter(chain(nir.Affine(np.array([[1.0, 2.0]]), np.array([3.0])), 2)).step(np.array([[4.0, 5.0]]))
    assert dense["node"].item() == 17


def test_nodes_without_equations_are_refused() -> None:
    with pytest.raises(ValueError, match="no equations for nodes of type Delay"):
        Interpreter(chain(nir.Delay(ones()), 1))
