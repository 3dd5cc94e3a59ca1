"""Rewriting a graph: who reads a tensor, and nodes that go."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.ir.graph import bypass, merge_into_producer, replace_uses


def graph_of(ops: dict[str, tuple[list[str], str]], outputs: list[str]) -> gs.Graph:
    """Nodes by name: (inputs, output). The graph's input is `x`."""
    tensors = {"x": gs.Variable("x")}
    tensors |= {output: gs.Variable(output) for _, output in ops.values()}
    nodes = [
        gs.Node("Relu", name, {}, [tensors[read] for read in inputs], [tensors[output]])
        for name, (inputs, output) in ops.items()
    ]
    return gs.Graph(nodes, [tensors["x"]], [tensors[name] for name in outputs])


def wires(graph: gs.Graph) -> dict[str, tuple[list[str], list[str]]]:
    return {
        node.name: ([tensor.name for tensor in node.inputs], [tensor.name for tensor in node.outputs])
        for node in graph.nodes
    }


def test_every_use_of_a_tensor_is_replaced_also_two_of_one_node() -> None:
    graph = graph_of({"a": (["x"], "p"), "b": (["p", "p"], "q"), "c": (["x", "p"], "r")}, ["q", "r"])
    replace_uses(graph.nodes[0].outputs[0], graph.inputs[0])
    assert wires(graph) == {"a": (["x"], ["p"]), "b": (["x", "x"], ["q"]), "c": (["x", "x"], ["r"])}


def test_uses_of_named_readers_only() -> None:
    graph = graph_of({"a": (["x"], "p"), "b": (["p"], "q"), "c": (["p"], "r")}, ["q", "r"])
    replace_uses(graph.nodes[0].outputs[0], graph.inputs[0], readers={"c"})
    assert wires(graph)["b"][0] == ["p"]
    assert wires(graph)["c"][0] == ["x"]


def test_an_inner_node_is_bypassed() -> None:
    graph = graph_of({"a": (["x"], "p"), "b": (["p"], "q"), "c": (["q"], "r"), "d": (["q"], "s")}, ["r", "s"])
    assert bypass(graph, graph.nodes[1])
    graph.cleanup()
    assert wires(graph) == {"a": (["x"], ["p"]), "c": (["p"], ["r"]), "d": (["p"], ["s"])}


def test_a_bypassed_node_hands_the_name_of_an_output_on() -> None:
    graph = graph_of({"a": (["x"], "p"), "b": (["p"], "y"), "c": (["p"], "z"), "d": (["y"], "w")}, ["y", "z", "w"])
    assert bypass(graph, graph.nodes[1])
    graph.cleanup()
    assert wires(graph) == {"a": (["x"], ["y"]), "c": (["y"], ["z"]), "d": (["y"], ["w"])}


def test_a_node_that_gives_the_input_or_another_output_its_name_stays() -> None:
    graph = graph_of({"a": (["x"], "y"), "b": (["y"], "z")}, ["y", "z"])
    before = wires(graph)
    assert not bypass(graph, graph.nodes[0])
    assert not bypass(graph, graph.nodes[1])
    assert wires(graph) == before


def test_a_node_is_merged_into_the_one_before() -> None:
    graph = graph_of({"a": (["x"], "p"), "b": (["x", "p"], "y")}, ["y"])
    merge_into_producer(graph.nodes[1], graph.nodes[0].outputs[0])
    graph.cleanup()
    assert wires(graph) == {"a": (["x"], ["y"])}
