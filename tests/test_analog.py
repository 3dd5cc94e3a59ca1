"""A spiking graph as an ANN again: every layer gives what it gives in the ANN, up to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden
import networks
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings

from snnc.diagnostics import DiagnosticError
from snnc.emit.analog import analog_network
from snnc.ir.conversion import Conversion, Level
from snnc.ir.graph import PRODUCT, REGION, RELAY, sample_shape
from snnc.ir.trees import layers
from snnc.operators import SOURCES

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
COMMON: dict[str, Any] = {"bias": "current", "max_pool": "exact"}


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray], names: list[str] | None = None) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()] if names is None else names
    return dict(zip(names, session.run(names, feeds), strict=True))


def canonical_values(graph: gs.Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    """What every node of a canonical graph gives, by the name of the node and of the tensor."""
    graph.opset, graph.import_domains = max(18, graph.opset), None
    results = {node.name: node.outputs[0].name for node in graph.nodes}
    for node in graph.nodes:
        if node.op == "AveragePool":
            node.attrs.pop("dilations")
        if "cap" in node.attrs:
            node.op, limits = "Clip", (0.0, node.attrs.pop("cap"))
            node.inputs += [gs.Constant(f"{node.name}/{limit}", np.array(limit, np.float32)) for limit in limits]
    for node in [node for node in graph.nodes if node.op in (PRODUCT, RELAY, "Scale")]:
        _in_standard_onnx(graph, node)
    # What the upgrade of an old model has made of its tail is of no layer, and has no type.
    graph.outputs = [node.outputs[0] for node in graph.nodes if node.outputs[0].dtype is not None]
    found = run(gs.export_onnx(graph), {graph.inputs[0].name: images})
    return found | {name: found[tensor] for name, tensor in results.items() if tensor in found}


def _in_standard_onnx(graph: gs.Graph, node: gs.Node) -> None:
    """The identity, a product, or a factor and perhaps a shift."""
    bias = node.inputs[2:] if node.op == "Scale" else []
    node.op, node.domain = "Identity" if node.op == RELAY else "Mul", None
    if bias:
        (result,) = node.outputs
        scaled = gs.Variable(f"{node.name}/scaled", np.float32)
        node.inputs, node.outputs = node.inputs[:2], [scaled]
        graph.nodes.insert(
            graph.nodes.index(node) + 1, gs.Node("Add", f"{node.name}/shift", {}, [scaled, *bias], [result])
        )


def analog_values(conversion: Conversion, images: np.ndarray) -> dict[str, np.ndarray]:
    """What every layer of a spiking graph gives as an ANN, by its name."""
    network = analog_network(conversion.graph)
    onnx.checker.check_model(network.model, full_check=True)
    found = run(network.model, {conversion.graph.inputs[0].name: images})
    return {layer: found[tensor] for layer, tensor in network.outputs.items()}


def assert_equal(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    """To float32 accuracy; sums of terms about 1 may cancel."""
    assert found.shape == wanted.shape, name
    assert np.abs(found - wanted).max() <= 2e-6 + 1e-5 * np.abs(wanted).max(), name


def assert_it_is_the_ann(model: onnx.ModelProto, canonical: Conversion, spiking: Conversion) -> None:
    images = networks.images_for(model, 4, dims=sample_shape(canonical.graph.inputs[0]))
    wanted, found = canonical_values(canonical.graph, images), analog_values(spiking, images)
    encoder, *rest = found
    assert np.array_equal(found[encoder], images)
    assert rest == [node.name for node in layers(spiking.graph)]
    for node in layers(spiking.graph):
        decoded = node.outputs[0].name.removeprefix("snnc/").removesuffix("/decoded")
        assert_equal(found[node.name], wanted[node.name if node.op in SOURCES else decoded], node.name)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case(path: Path) -> None:
    case = golden.read_case(path)
    try:
        spiking = golden.run_to(case.model, Level.SPIKING, **case.options)
    except DiagnosticError:
        assert case.expected.startswith("error[")
        return
    canonical = golden.run_to(case.model, Level.CANONICAL, **case.options)
    if any(node.op == REGION for node in canonical.graph.nodes):
        pytest.skip("a canonical graph with functions is no ONNX model; they are held against the ANN below")
    assert_it_is_the_ann(case.model, canonical, spiking)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks.models())
def test_random_networks(model: onnx.ModelProto) -> None:
    """Convolutions in one to three dimensions, junctions, pools, biases."""
    levels = (golden.run_to(model, level, **COMMON) for level in (Level.CANONICAL, Level.SPIKING))
    assert_it_is_the_ann(model, *levels)


def spiking(model: onnx.ModelProto) -> Conversion:
    return golden.run_to(model, Level.SPIKING, **COMMON)


def test_the_opset_of_a_newer_ann_is_kept() -> None:
    """Of an older one it is that of the emitted files."""
    model = networks.perceptron([5], outputs=3).model()
    for version, wanted in ((17, 18), (18, 18), (21, 21)):
        model.opset_import[0].version = version
        network = analog_network(spiking(model).graph)
        assert [entry.version for entry in network.model.opset_import if entry.domain == ""] == [wanted]
        assert_it_is_the_ann(model, golden.run_to(model, Level.CANONICAL), spiking(model))


@pytest.mark.parametrize("cap", [0.25, np.array([0.1, 0.2, 0.3, 0.4]).reshape(4, 1, 1)], ids=["layer", "channels"])
@pytest.mark.parametrize("op", ["RMP", "IF", "Staircase"])
def test_a_cap_bounds_a_neuron(op: str, cap: float | np.ndarray) -> None:
    """min(max(x, 0), cap)."""
    model = networks.small().model()
    conversion = spiking(model)
    images = networks.images_for(model, 4)
    first = next(node for node in layers(conversion.graph) if node.op == "RMP")
    free = analog_values(conversion, images)
    first.op, first.attrs = op, {**first.attrs, "cap": cap, "low": 0}
    capped = analog_values(conversion, images)
    assert_equal(capped[first.name], np.minimum(free[first.name], cap), op)
    (readout,) = [name for name in free if name.endswith("readout")][-1:]
    assert np.abs(capped[readout] - free[readout]).max() > 0.01


def test_limits_cut_what_the_next_layers_read() -> None:
    """Outputs are those before they are cut."""
    model = networks.small().model()
    conversion = spiking(model)
    images = networks.images_for(model, 4)
    network = analog_network(conversion.graph, limited=True)
    neurons = [node for node in layers(conversion.graph) if node.op == "RMP"]
    assert list(network.limits) == [node.name for node in neurons]

    def values(limit: float) -> dict[str, np.ndarray]:
        shapes = {node.name: node.outputs[0].shape for node in neurons}
        limits = {network.limits[name]: np.full((dims[1], 1, 1), limit, np.float32) for name, dims in shapes.items()}
        found = run(network.model, {"x": images, **limits})
        return {layer: found[tensor] for layer, tensor in network.outputs.items()}

    free, cut = analog_values(conversion, images), values(0.25)
    for name, wide in values(1e9).items():
        assert_equal(wide, free[name], name)
    assert np.array_equal(cut[neurons[0].name], free[neurons[0].name])
    neurons[0].attrs["cap"] = 0.25
    assert_equal(cut[neurons[1].name], analog_values(conversion, images)[neurons[1].name], neurons[1].name)


def test_any_function() -> None:
    """A neuron with a table gives the function that the table stands for; one whose counts go below 0 gives x."""
    conversion = golden.run_to(leaky_perceptron(), Level.SPIKING, method="exact")
    images = networks.images_for(leaky_perceptron(), 50)
    first, second, _ = layers(conversion.graph)
    assert (first.op, second.op) == ("StaircaseTable", "Staircase")
    wanted = run(with_outputs(leaky_perceptron()), {"x": images})
    found = analog_values(conversion, images)
    assert_equal(found[first.name], wanted["leaky"], "table")
    assert_equal(found[second.name], wanted["between"], "relay")


def leaky_perceptron() -> onnx.ModelProto:
    """LeakyRelu behind a bias, then two dense layers in a row."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        leaky (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] first = {1, -2, 0.5, 1}, float[2] bias = {0.5, -0.25},
         float[2, 2] second = {1, 1, -1, 0.5}, float[2, 2] third = {1, 0, 2, -1}> {
          sums = Gemm (x, first, bias)
          leaky = LeakyRelu <alpha = 0.25> (sums)
          between = MatMul (leaky, second)
          y = MatMul (between, third)
        }""")
    return model


def with_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in ("leaky", "between"))
    return model
