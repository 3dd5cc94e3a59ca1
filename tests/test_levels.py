"""Every check of a level can fail: each way in which a graph can fall short of its level has a broken graph here.

What a calibrated graph must be besides is in test_levels_calibrated.py.
"""

from __future__ import annotations

import golden
import networks
import numpy as np
import onnx_graphsurgeon as gs
import pytest
from broken_graphs import assert_found, at, nodes
from onnx import numpy_helper

from snnc.diagnostics import InternalError
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.levels import problems, run_pass

GRAPHS = [Level.SOURCE, Level.CANONICAL, Level.SPIKING, Level.CALIBRATED, Level.FUSED]


@pytest.mark.parametrize("level", [*GRAPHS[1:], Level.EMITTED], ids=lambda level: level.name)
def test_what_the_passes_give_has_no_problems(level: Level) -> None:
    assert list(problems(at(level))) == []


def test_linear_nodes_behind_a_readout_need_no_tree() -> None:
    """They work on decoded values, not on spikes."""
    net = networks.Network((6,), np.random.default_rng(0))
    net.dense(4, False)
    net.then("Relu")
    net.dense(4, False)
    net.then("Softmax", axis=1)
    net.then("Reshape", net.weight(1), shape=(2, 2))
    net.output()
    model = net.model()
    shape = model.graph.initializer[-1]
    shape.CopyFrom(numpy_helper.from_array(np.array([-1, 2, 2], np.int64), shape.name))
    conversion = golden.run_to(model, Level.SPIKING)
    assert nodes(conversion, "Reshape")
    assert list(problems(conversion)) == []


# Names and order


@pytest.mark.parametrize("level", GRAPHS, ids=lambda level: level.name)
def test_two_nodes_of_one_name(level: Level) -> None:
    conversion = at(level) if level != Level.SOURCE else source()
    first, *_, last = conversion.graph.nodes
    last.name = first.name
    assert_found(conversion, "names", "not unique")


@pytest.mark.parametrize("level", GRAPHS, ids=lambda level: level.name)
def test_two_tensors_of_one_name(level: Level) -> None:
    conversion = at(level) if level != Level.SOURCE else source()
    first, *_, last = conversion.graph.nodes
    last.outputs[0].name = first.outputs[0].name
    assert_found(conversion, "twice")


def source() -> Conversion:
    """The small network as it is loaded."""
    conversion = at(Level.CANONICAL)
    conversion.level = Level.SOURCE
    return conversion


@pytest.mark.parametrize("level", GRAPHS[1:], ids=lambda level: level.name)
def test_a_node_before_what_it_reads(level: Level) -> None:
    conversion = at(level)
    conversion.graph.nodes.reverse()
    (first, *_) = nodes(conversion, "Gemm")
    assert_found(conversion, repr(first.name), repr(first.inputs[0].name), "before it is computed")


@pytest.mark.parametrize("level", GRAPHS[1:], ids=lambda level: level.name)
def test_a_node_that_reads_what_nothing_computes(level: Level) -> None:
    conversion = at(level)
    (dense,) = nodes(conversion, "Gemm")
    dense.inputs[0] = gs.Variable("nowhere", np.float32, dense.inputs[0].shape)
    assert_found(conversion, repr(dense.name), "'nowhere'")


# Canonical


@pytest.mark.parametrize("op", ["MatMul", "BatchNormalization", "Sum", "Flatten"])
def test_an_operator_that_is_not_canonical(op: str) -> None:
    conversion = at(Level.CANONICAL)
    (relu, *_) = nodes(conversion, "Relu")
    relu.op = op
    assert_found(conversion, op, repr(relu.name), "not canonical")


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_a_weight_that_is_not_constant(op: str) -> None:
    conversion = at(Level.CANONICAL)
    (layer, *_) = nodes(conversion, op)
    layer.inputs[1] = conversion.graph.inputs[0]
    assert_found(conversion, repr(layer.name), "no constant weight")


# Trees

TREES = [Level.SPIKING, Level.CALIBRATED, Level.FUSED]
in_trees = pytest.mark.parametrize("level", TREES, ids=lambda level: level.name)


@in_trees
def test_no_encoder(level: Level) -> None:
    conversion = at(level)
    (encoder,) = nodes(conversion, "PoissonEncode")
    conversion.graph.nodes.remove(encoder)
    assert_found(conversion, "0 encoders")


@in_trees
def test_two_encoders(level: Level) -> None:
    conversion = at(level)
    (encoder,) = nodes(conversion, "PoissonEncode")
    second = gs.Variable("more/spikes", np.float32, encoder.outputs[0].shape)
    conversion.graph.nodes.insert(
        1, gs.Node("PoissonEncode", "more", dict(encoder.attrs), [encoder.inputs[0]], [second], "ai.snnc")
    )
    assert_found(conversion, "2 encoders")


@in_trees
def test_a_tree_that_starts_at_no_spike_source(level: Level) -> None:
    conversion = at(level)
    (first, *_) = nodes(conversion, "Conv")
    (neuron, *_) = nodes(conversion, "RMP")
    first.inputs[0] = conversion.graph.inputs[0]
    assert_found(conversion, repr(neuron.name), "'x'", "no spike source")


@in_trees
def test_a_tree_that_starts_at_a_readout(level: Level) -> None:
    conversion = at(level)
    (dense,) = nodes(conversion, "Gemm")
    hidden, last = sorted(nodes(conversion, "SpikeReadout"), key=lambda node: node.inputs[0].inputs[0].op == "Gemm")
    dense.inputs[0] = hidden.outputs[0]
    assert_found(conversion, repr(last.name), repr(hidden.outputs[0].name), "no spike source")


@in_trees
def test_a_node_of_two_trees(level: Level) -> None:
    conversion = at(level)
    (dense,) = nodes(conversion, "Gemm")
    for readout in nodes(conversion, "SpikeReadout"):
        readout.inputs[0] = dense.outputs[0]
    assert_found(conversion, repr(dense.name), "two trees")


@in_trees
def test_a_linear_node_of_no_tree(level: Level) -> None:
    conversion = at(level)
    (neuron, *_) = nodes(conversion, "RMP")
    lost = gs.Variable("lost/sum", np.float32, neuron.outputs[0].shape)
    spikes = neuron.outputs[0]
    conversion.graph.nodes.append(gs.Node("Add", "lost", inputs=[spikes, spikes], outputs=[lost]))
    assert_found(conversion, "'lost'", "no tree")


# Emitted


def test_nothing_emitted() -> None:
    conversion = at(Level.EMITTED)
    conversion.emitted = None
    assert_found(conversion, "nothing was emitted")


# Passes between levels


def test_a_pass_takes_only_its_level() -> None:
    conversion = at(Level.CANONICAL)
    runs: list[Conversion] = []
    step = Pass("premature", Level.SPIKING, Level.CALIBRATED, runs.append)
    with pytest.raises(InternalError, match="'premature': takes level SPIKING, got CANONICAL"):
        run_pass(step, conversion)
    assert not runs
    assert conversion.level == Level.CANONICAL


def test_a_problem_behind_a_pass_names_the_pass() -> None:
    conversion = at(Level.CANONICAL)

    def spoil(conversion: Conversion) -> None:
        nodes(conversion, "Relu")[0].op = "Gelu"

    with pytest.raises(InternalError, match=r"'careless': operator Gelu .*please report"):
        run_pass(Pass("careless", Level.CANONICAL, Level.CANONICAL, spoil), conversion)


def test_a_pass_is_held_to_the_level_that_it_gives() -> None:
    """Not to the one that it takes: a canonical graph is no spiking one."""
    conversion = at(Level.CANONICAL)
    with pytest.raises(InternalError, match="'idle': there are 0 encoders"):
        run_pass(Pass("idle", Level.CANONICAL, Level.SPIKING, lambda conversion: None), conversion)


def test_a_sound_pass_brings_the_graph_to_its_level() -> None:
    conversion = at(Level.CANONICAL)
    runs: list[Conversion] = []
    run_pass(Pass("idle", Level.CANONICAL, Level.CANONICAL, runs.append), conversion)
    assert runs == [conversion]
    assert conversion.level == Level.CANONICAL
