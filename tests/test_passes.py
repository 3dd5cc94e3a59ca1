"""The passes on the ANN keep its values: after them the graph computes what the ANN computes, up to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden
import networks
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import HealthCheck, given, settings
from region_models import run_canonical

from snnc import pipeline
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Level
from snnc.ir.graph import sample_shape
from snnc.simulate.ann import Ann
from snnc.simulate.reference_operators import sum_pool

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


def assert_same_values(original: onnx.ModelProto, graph: gs.Graph, samples: int = 4) -> None:
    """Within 1e-5 of the largest output."""
    images = networks.images_for(original, samples, dims=sample_shape(graph.inputs[0]))
    expected = Ann(original).run(images)
    for node in graph.nodes:
        if node.op == "AveragePool":
            assert set(node.attrs.pop("dilations")) == {1}
    for (name, wanted), found in zip(expected.items(), run_canonical(graph, images), strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 1e-5 * max(1e-3, np.abs(wanted).max()), name


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_canonical_graph_of_every_case_computes_the_ann(path: Path) -> None:
    case = golden.read_case(path)
    try:
        conversion = golden.run_to(case.model, Level.CANONICAL, **case.options)
    except DiagnosticError:
        assert case.expected.startswith("error[")  # a case about diagnostics
        return
    # Of a Dropout in training mode, which is random, what is measured is the network without it.
    is_random = any(node.op_type == "Dropout" for node in case.model.graph.node)
    assert_same_values(conversion.ann if is_random else case.model, conversion.graph)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks.models())
def test_the_canonical_graph_of_random_networks_computes_the_ann(model: onnx.ModelProto) -> None:
    conversion = golden.run_to(model, Level.CANONICAL, bias="current", max_pool="exact")
    assert_same_values(model, conversion.graph)


# kernel, stride, pads
WINDOWS = [(3, 2, [1] * 4), (2, 3, [0, 0, 1, 1]), (3, 3, [2, 0, 0, 2]), (3, 4, [1] * 4), (2, 2, [0] * 4)]
POOLS = [
    {"kernel_shape": [k, k], "strides": [s, s], "pads": pads, "ceil_mode": ceil, "count_include_pad": include}
    for k, s, pads in WINDOWS
    for ceil in (0, 1)
    for include in (0, 1)
]


@pytest.mark.parametrize("attrs", POOLS, ids=str)
def test_pooling_is_a_sum_over_windows_times_an_integer_map(attrs: dict[str, Any]) -> None:
    """SumPool divided by its divisor, done by hand, is onnxruntime's AveragePool; borders, ceil_mode, pads."""
    net = networks.Network((2, 6, 7), np.random.default_rng(0))
    net.then("AveragePool", shape=(2, 0, 0), **attrs)
    net.then("Relu")
    net.output()
    model = net.model()
    for dim in model.graph.output[0].type.tensor_type.shape.dim:
        dim.Clear()
    images = np.abs(networks.images_for(model, 2))
    expected = next(iter(Ann(model).run(images).values()))
    conversion = golden.run_to(model, Level.SPIKING)
    pool = next(node for node in conversion.graph.nodes if node.op == "SumPool")
    sums = sum_pool(images, pool.attrs["kernel_shape"], pool.attrs["strides"], pool.attrs["pads"])
    sums = sums[..., : expected.shape[2], : expected.shape[3]]
    multiplicity = pool.inputs[1].values if len(pool.inputs) > 1 else 1
    assert np.allclose(sums * multiplicity / pool.attrs["divisor"], expected, rtol=1e-5)


def test_every_pass_says_what_it_does() -> None:
    """`snnc` prints the first line of each pass's contract."""
    for step in pipeline.RMP:
        assert step.summary.endswith(".")
        assert len(step.summary) < 110


def test_levels_follow_each_other() -> None:
    level = Level.SOURCE
    for step in pipeline.RMP:
        assert step.takes == level
        assert step.gives in (level, level + 1)
        level = step.gives
    assert level == Level.EMITTED


def test_the_anns_model_is_not_changed() -> None:
    model = networks.Network((2, 5, 5), np.random.default_rng(0))
    model.convolve(2, 3, 1, 1, 1, 1, True)
    model.then("Relu")
    model.output()
    proto = model.model()
    before = proto.SerializeToString(deterministic=True)
    networks.emit(proto)
    assert proto.SerializeToString(deterministic=True) == before
