"""The forms of a network are compared at the end of every conversion: a fault in any of them is an internal error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from faults import IMAGES, NEURON, STEPS, Fault, compare, emitted, flipped, inject, value_changed, words_changed
from onnx import numpy_helper
from staircases import OTHER_NEURONS

import snnc
from snnc.diagnostics import InternalError
from snnc.files import ConvertedFile
from snnc.ir.conversion import Conversion
from snnc.ir.report import Comparison
from snnc.ir.trees import largest_total, source_nodes, source_signal
from snnc.measure import comparison
from snnc.measure.comparison import compare_forms

ENCODER = "snnc/x/encode"
WRITTEN = [
    {"schedule": "loop"},
    {"schedule": "loop", "controls": "fixed"},
    {"schedule": "unrolled"},
    {"schedule": "stream"},
]
FAULTS: dict[str, tuple[Fault, str]] = {
    "a flipped spike": (flipped(NEURON, 20, 2), f"'{NEURON}' differ at step 20 of sample 2"),
    "a flipped spike of the input": (flipped(ENCODER, 3, 1), f"'{ENCODER}' differ at step 3 of sample 1"),
    "spikes of another sign": (
        words_changed("snnc/x/encode", lambda words: np.roll(words, words.shape[2] // 2, 2)),
        "'snnc/x/encode' differ at step 0 of sample 0",
    ),
    "a shifted step": (words_changed(NEURON, lambda words: words << np.uint64(1)), f"'{NEURON}' differ at step"),
    "samples in another order": (words_changed(NEURON, lambda words: words[:, ::-1]), f"'{NEURON}' differ at step"),
    "a missing block": (words_changed(NEURON, lambda words: words[1:]), f"'{NEURON}' have shapes"),
    "a wrong spike total": (value_changed(f"spike total of '{NEURON}'", 3), "spike total of .* of sample 3"),
    "a wrong potential": (
        value_changed(f"membrane potential of '{NEURON}'", 1),
        f"membrane potential of '{NEURON}' differs after .* steps of sample 1",
    ),
    "another step count": (lambda trace: dataclasses.replace(trace, steps=trace.steps - 1), "one has .* steps"),
}
RUNTIME_FAULTS = {
    "a wrong number of operations": (
        value_changed(f"number of synaptic operations of '{NEURON}'", 0),
        f"operations of '{NEURON}' differs after .* steps of sample 0",
    ),
}


@pytest.mark.parametrize("choices", WRITTEN, ids=str)
def test_forms_of_a_sound_conversion_are_the_same(choices: dict[str, Any]) -> None:
    """Trains, counts, potentials and outputs; more than one block; four samples."""
    fixed = "controls" in choices or choices["schedule"] == "unrolled"
    assert compare(**choices) == [
        Comparison((choices["schedule"], "blocks"), 4, 90 if fixed else STEPS),
        Comparison(("blocks", "reference"), 4, STEPS),
    ]


@pytest.mark.parametrize("choices", WRITTEN, ids=str)
@pytest.mark.parametrize("name", [*FAULTS, *RUNTIME_FAULTS])
def test_a_fault_of_the_file_is_found(name: str, choices: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fault, found = {**FAULTS, **RUNTIME_FAULTS}[name]
    inject(monkeypatch, "written_trace", fault)
    with pytest.raises(
        InternalError, match=rf"the file \({choices['schedule']}\) and its blocks are not the same.*{found}"
    ):
        compare(**choices)


@pytest.mark.parametrize("name", [*FAULTS, *RUNTIME_FAULTS])
def test_a_fault_of_the_blocks_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, found = {**FAULTS, **RUNTIME_FAULTS}[name]
    inject(monkeypatch, "block_traces", fault)
    with pytest.raises(InternalError, match=found):
        compare()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_reference_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, found = FAULTS[name]
    inject(monkeypatch, "reference_trace", fault)
    with pytest.raises(InternalError, match=f"the blocks and the reference simulator are not the same.*{found}"):
        compare()


@pytest.mark.parametrize("form", ["written_trace", "block_traces", "reference_trace"])
def test_a_changed_output_is_found(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one unit in the last place, whichever output it is."""
    for output in ("t6", "t8"):
        with monkeypatch.context() as patch:
            inject(patch, form, value_changed(f"output '{output}'", 2))
            with pytest.raises(InternalError, match=f"output '{output}' differs after .* steps of sample 2"):
                compare()


def with_counts(neurons: str, schedule: str = "loop") -> tuple[Conversion, ConvertedFile]:
    """A network of other neurons and a pool, and an output that reads the input, for more than one block."""
    net = networks.Network((2, 6, 6), np.random.default_rng(4))
    net.convolve(4, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    net.largest(2, 2, 0, 1)
    net.dense(3, False)
    net.output()
    net.current, net.shape = "x", net.input_shape
    net.dense(2, False)
    net.output()
    conversion = networks.emit(net.model(), neurons=neurons, schedule=schedule, steps=STEPS, max_steps=STEPS)
    assert conversion.emitted is not None
    return conversion, ConvertedFile(conversion.emitted, "the file")


@pytest.mark.parametrize("schedule", ["loop", "unrolled", "stream"])
@pytest.mark.parametrize("neurons", OTHER_NEURONS)
def test_other_neurons_carry_their_states(neurons: str, schedule: str) -> None:
    """Potentials and counts go from block to block; charge comes in the first one only."""
    conversion, file = with_counts(neurons, schedule=schedule)
    assert [found.steps for found in compare_forms(conversion, file, IMAGES)] == [STEPS] * 2


def test_charge_enters_once_and_may_change_from_one_limit_to_the_other() -> None:
    conversion, _ = with_counts("charge")
    encoder, *_ = source_nodes(conversion.graph)
    assert source_signal(encoder.outputs[0]).magnitude == 2 * 255
    assert largest_total(encoder.outputs[0]) == 1


def test_spike_counts_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of staircases, which have a potential too, and of pools."""
    conversion, file = with_counts("staircase")
    for node, what in (("Relu_1", "spike count"), ("MaxPool_2", "input count")):
        with monkeypatch.context() as patch:
            inject(patch, "reference_trace", value_changed(f"{what} of '{node}'", 1))
            with pytest.raises(InternalError, match=f"{what} of '{node}' differs after .* steps of sample 1"):
                compare_forms(conversion, file, IMAGES)


def test_the_first_difference_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong at an earlier step comes first, at the same step the layer that comes first."""
    later, earlier = flipped("Relu_1", 30, 0), flipped(NEURON, 20, 0)
    inject(monkeypatch, "reference_trace", lambda trace: earlier(later(trace)))
    with pytest.raises(InternalError, match=f"'{NEURON}' differ at step 20"):
        compare()
    inject(monkeypatch, "reference_trace", flipped("Relu_1", 20, 3))
    with pytest.raises(InternalError, match="'Relu_1' differ at step 20 of sample 3"):
        compare()


def initializers(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Of the graph and of the body of its Loop."""
    bodies = [node.attribute[0].g for node in model.graph.node if node.op_type == "Loop"]
    return [tensor for graph in (model.graph, *bodies) for tensor in graph.initializer]


def change_constant(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    (tensor,) = [tensor for tensor in initializers(model) if tensor.name == name]
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))


# What is wrong in the file, its name there, and who differs first.
BROKEN_FILES: list[tuple[dict[str, Any], str, Callable[[np.ndarray], np.ndarray], str]] = [
    ({}, f"snnc/threshold/{NEURON}", lambda value: value + value // 4, f"the reference simulator .*'{NEURON}'"),
    ({}, "snnc/weight/Conv_0", np.negative, "the reference simulator .*'Relu_1'"),
    ({}, "snnc/decode/t8/scale", lambda value: value * 2, "the reference simulator .*output 't8'"),
    ({}, "snnc/schedule/block_less_one", lambda value: value * 0, "the file ran 1 blocks of .* for 70 steps"),
    ({"controls": "fixed"}, "seed", lambda value: value + 1, "its blocks .*'snnc/x/encode'"),
    ({"controls": "fixed"}, "first_sample", lambda value: value + 1, "its blocks .*'snnc/x/encode'"),
    ({"controls": "fixed"}, "steps", lambda value: value - 1, "its blocks .*"),
    (
        {"schedule": "stream"},
        f"snnc/threshold/{NEURON}",
        lambda value: value * 2,
        f"the reference simulator .*'{NEURON}'",
    ),
]


@pytest.mark.parametrize(
    ("choices", "name", "change", "found"), BROKEN_FILES, ids=lambda value: "" if callable(value) else str(value)[:40]
)
def test_a_broken_file_is_found(
    choices: dict[str, Any], name: str, change: Callable[[np.ndarray], np.ndarray], found: str
) -> None:
    conversion, file = emitted(**choices)
    broken = onnx.ModelProto()
    broken.CopyFrom(file.model)
    change_constant(broken, name, change)
    with pytest.raises(InternalError, match=found):
        compare_forms(conversion, ConvertedFile(broken, "the file"), IMAGES)


@pytest.mark.parametrize("error", [OverflowError, ValueError])
def test_a_refusal_by_the_reference_is_an_internal_error(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise error("a current reaches 2^24")

    monkeypatch.setattr(comparison, "reference_trace", refuse)
    with pytest.raises(InternalError, match=r"reference simulator refuses the graph: a current reaches 2\^24"):
        compare()


def test_a_conversion_with_a_fault_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inject(monkeypatch, "written_trace", flipped(NEURON, 20, 2))
    with pytest.raises(InternalError, match="in 'verify'"):
        snnc.convert(
            networks.small().model(),
            calib=networks.images_for(networks.small().model(), 30),
            bias="current",
            steps=32,
            accept_poor=True,
        )
