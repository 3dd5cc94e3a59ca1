"""Whatever the names of a network are, it converts, and its spikes are those that it has with plain names."""

from __future__ import annotations

from functools import cache

import networks
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import snnc
from snnc.api import check
from snnc.ir.names import ELAPSED, PREFIX, PUBLIC, Names, is_reserved, names_in
from snnc.runtime import SpikingSession
from snnc.runtime.session import Result

STEPS = 70


def all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [*graph.node, *(node for body in inner for node in all_nodes(body))]


def written_names(model: onnx.ModelProto) -> list[str]:
    """Of tensors and nodes, in all graphs."""
    return sorted({name for node in all_nodes(model.graph) for name in (node.name, *node.input, *node.output)} - {""})


@cache
def names_of_snnc() -> list[str]:
    """Names that stand in files of each schedule and in the graph before, and what may be confused with them."""
    found: set[str] = {*PUBLIC, ELAPSED, "schedule/one", "elapsed", "v/BiasAdd", "x/spikes/signs"}
    for schedule in ("loop", "unrolled", "stream"):
        conversion = networks.emit(networks.small().model(), schedule=schedule, steps=STEPS)
        assert conversion.emitted is not None
        found |= {*written_names(conversion.emitted), *names_in(conversion.graph.nodes)}
    bare = {name.removeprefix(PREFIX) for name in found}
    return sorted({*found, *bare, *(f"{name}/2" for name in found), *(f"{PREFIX}{name}" for name in found)} - {""})


def renamed(model: onnx.ModelProto, tensors: dict[str, str], nodes: list[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node, name in zip(copy.graph.node, nodes, strict=True):
        node.name = name
        for names in (node.input, node.output):
            for index, tensor in enumerate(names):
                names[index] = tensors.get(tensor, tensor)
    for value in (*copy.graph.initializer, *copy.graph.input, *copy.graph.output):
        value.name = tensors.get(value.name, value.name)
    return copy


def run(model: onnx.ModelProto, schedule: str) -> Result:
    emitted = networks.emit(model, schedule=schedule, steps=STEPS).emitted
    assert emitted is not None
    onnx.checker.check_model(emitted, full_check=True)
    return SpikingSession(emitted.SerializeToString()).run(networks.images_for(networks.small().model()))


@cache
def expected() -> Result:
    return run(networks.small().model(), "loop")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_names_drawn_from_those_that_snnc_writes(data: st.DataObject) -> None:
    model = networks.small().model()
    tensors = {name: name for node in model.graph.node for name in (*node.input, *node.output) if name}
    interface = {value.name for value in (*model.graph.input, *model.graph.output)}
    pool = names_of_snnc()
    chosen = data.draw(st.lists(st.sampled_from(pool), min_size=len(tensors), max_size=len(tensors), unique=True))
    for name, other in zip(tensors, chosen, strict=True):
        if name not in interface or not is_reserved(other):
            tensors[name] = other
    if len(set(tensors.values())) < len(tensors):
        return  # a plain name of the interface was drawn for another tensor
    count = len(model.graph.node)
    nodes = data.draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count, unique=True))
    found = run(renamed(model, tensors, nodes), data.draw(st.sampled_from(["loop", "unrolled"])))
    assert np.array_equal(found.spike_totals, expected().spike_totals)
    assert np.array_equal(found.synaptic_operations, expected().synaptic_operations)
    for name, values in expected().outputs.items():
        assert np.array_equal(found.outputs[tensors[name]], values)


@pytest.mark.parametrize("schedule", ["loop", "unrolled", "stream"])
def test_names_that_are_not_the_users_are_public_or_begin_with_the_prefix(schedule: str) -> None:
    model = networks.small().model()
    users = {name for node in model.graph.node for name in (*node.input, *node.output)}
    layers = {f"{node.op_type}_{index}" for index, node in enumerate(model.graph.node)}
    emitted = networks.emit(model, schedule=schedule, steps=STEPS).emitted
    assert emitted is not None
    invented = set(written_names(emitted)) - users - layers
    assert {name for name in invented if not is_reserved(name)} == set()


@pytest.mark.parametrize("name", [*sorted(PUBLIC), ELAPSED, "snnc/", "snnc/x/spikes"])
@pytest.mark.parametrize("end", ["x", "t8"])
def test_reserved_names_of_inputs_and_outputs_are_reported(name: str, end: str) -> None:
    model = networks.small().model()
    (found,) = check(renamed(model, {end: name}, [""] * len(model.graph.node)), relaxed=True)
    assert (found.rule.code, repr(name) in found.message) == ("SNN106", True)


def test_diagnostics_and_reports_have_the_names_of_the_user() -> None:
    model = networks.small().model()
    nodes = [f"snnc/node/{node.output[0]}" for node in model.graph.node]
    found = {diagnostic.node for diagnostic in check(renamed(model, {}, nodes)) if diagnostic.node}
    assert found
    assert found <= set(nodes)
    converted = snnc.convert(renamed(model, {}, nodes), relaxed=True, steps=16, accept_poor=True)
    neurons = {layer.name for layer in converted.report.layers if layer.kind == "neuron"}
    assert neurons == {f"snnc/node/{node.output[0]}" for node in model.graph.node if node.op_type == "Relu"}


def test_a_node_with_the_name_of_the_input_is_another_layer() -> None:
    model = networks.small().model()
    first = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Relu")
    nodes = ["x" if index == first else "" for index in range(len(model.graph.node))]
    report = networks.emit(renamed(model, {}, nodes)).report
    names = [layer.name for layer in report.layers]
    assert len(set(names)) == len(names)


def test_names_are_given_out_once() -> None:
    names = Names(["snnc/a", "b"])
    assert [names.unique(label) for label in ("a", "a", "snnc/a", "b")] == [
        "snnc/a/2",
        "snnc/a/3",
        "snnc/a/4",
        "snnc/b",
    ]
    assert names.unique("elapsed") != ELAPSED


def test_names_in_a_graph() -> None:
    first, second = gs.Variable("p"), gs.Variable("q")
    assert set(names_in([gs.Node("Relu", "n", {}, [first], [second])])) == {"n", "p", "q"}
