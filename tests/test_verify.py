"""The forms of a network are compared at the end of every conversion: a fault in any of them is an internal error."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

import snnc
from snnc.cli.app import snnc as command
from snnc.diagnostics import InternalError
from snnc.files import ConvertedFile
from snnc.ir.conversion import Conversion
from snnc.measure import comparison
from snnc.measure.comparison import Comparison, compare_forms
from snnc.measure.report import compared_line
from snnc.simulate.traces import Trace

STEPS = 70
WRITTEN = [{"schedule": "loop"}, {"schedule": "loop", "controls": "fixed"}, {"schedule": "stream"}]
Fault = Callable[[Trace], Trace]


def small() -> onnx.ModelProto:
    """Convolution, pooling, junction, dense; the hidden ReLU is an output too."""
    net = networks.Network((2, 6, 6), np.random.default_rng(4))
    net.convolve(4, 3, 1, 1, 1, 2, True)
    net.then("Relu")
    net.average(2, 2, 0, False)
    net.residual(True, 4, True)
    net.then("Relu")
    net.output()
    net.dense(3, True)
    net.output()
    return net.model()


IMAGES = networks.images_for(small(), 6)
NEURON = "Relu_6"


def emitted(**choices: Any) -> tuple[Conversion, ConvertedFile]:
    conversion = networks.emit(small(), **{"steps": 90, **choices})
    assert conversion.emitted is not None
    return conversion, ConvertedFile(conversion.emitted, "the file")


def compare(**choices: Any) -> list[Comparison]:
    conversion, file = emitted(**choices)
    return compare_forms(conversion, file, IMAGES)


def spikes_changed(layer: str, change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """The trace with another train of a layer."""

    def faulty(trace: Trace) -> Trace:
        return dataclasses.replace(
            trace, spikes=lambda name: change(trace.spikes(name).copy()) if name == layer else trace.spikes(name)
        )

    return faulty


def flipped(layer: str, step: int, sample: int) -> Fault:
    def change(train: np.ndarray) -> np.ndarray:
        place = (step, sample, *[0] * (train.ndim - 2))
        train[place] = 1 - train[place]
        return train

    return spikes_changed(layer, change)


def value_changed(what: str, sample: int) -> Fault:
    """The trace with the smallest possible change of a result of one sample."""

    def faulty(trace: Trace) -> Trace:
        value = trace.values[what].copy()
        first = (sample, *[0] * (value.ndim - 1))
        value[first] = np.nextafter(value[first], np.inf) if value.dtype.kind == "f" else value[first] + 1
        return dataclasses.replace(trace, values={**trace.values, what: value})

    return faulty


FAULTS: dict[str, tuple[Fault, str]] = {
    "a flipped spike": (flipped(NEURON, 20, 2), f"'{NEURON}' differ at step 20 of sample 2"),
    "a flipped spike of the input": (flipped("x/encode", 3, 1), "'x/encode' differ at step 3 of sample 1"),
    "spikes of another sign": (spikes_changed("x/encode", np.negative), "'x/encode' differ at step 0 of sample 0"),
    "a shifted step": (spikes_changed(NEURON, lambda train: np.roll(train, 1, 0)), f"'{NEURON}' differ at step"),
    "samples in another order": (spikes_changed(NEURON, lambda train: train[:, ::-1]), f"'{NEURON}' differ at step"),
    "a missing step": (spikes_changed(NEURON, lambda train: train[1:]), f"'{NEURON}' have shapes"),
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


def inject(monkeypatch: pytest.MonkeyPatch, form: str, fault: Fault) -> None:
    """Let one form come out with a fault."""
    real = getattr(comparison, form)

    def faulty(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        return {cut: fault(trace) for cut, trace in result.items()} if isinstance(result, dict) else fault(result)

    monkeypatch.setattr(comparison, form, faulty)


@pytest.mark.parametrize("choices", WRITTEN, ids=str)
def test_forms_of_a_sound_conversion_are_the_same(choices: dict[str, Any]) -> None:
    """Trains, counts, potentials and outputs; more than one block; four samples."""
    fixed = "controls" in choices
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
    ({}, f"threshold/{NEURON}", lambda value: value + value // 4, f"the reference simulator .*'{NEURON}'"),
    ({}, "weight/Conv_0", np.negative, "the reference simulator .*'Relu_1'"),
    ({}, "decode/t8/scale", lambda value: value * 2, "the reference simulator .*output 't8'"),
    ({}, "schedule/block_less_one", lambda value: value * 0, "the file ran 1 blocks of .* for 70 steps"),
    ({"controls": "fixed"}, "seed", lambda value: value + 1, "its blocks .*'x/encode'"),
    ({"controls": "fixed"}, "first_sample", lambda value: value + 1, "its blocks .*'x/encode'"),
    ({"controls": "fixed"}, "steps", lambda value: value - 1, "its blocks .*"),
    ({"schedule": "stream"}, f"threshold/{NEURON}", lambda value: value * 2, f"the reference simulator .*'{NEURON}'"),
]


@pytest.mark.parametrize(("choices", "name", "change", "found"), BROKEN_FILES, ids=lambda value: str(value)[:40])
def test_a_broken_file_is_found(
    choices: dict[str, Any], name: str, change: Callable[[np.ndarray], np.ndarray], found: str
) -> None:
    conversion, _ = emitted(**choices)
    assert conversion.emitted is not None
    change_constant(conversion.emitted, name, change)
    with pytest.raises(InternalError, match=found):
        compare_forms(conversion, ConvertedFile(conversion.emitted, "the file"), IMAGES)


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
        snnc.convert(small(), calib=networks.images_for(small(), 30), bias="current", steps=32, accept_poor=True)


# Budgets


def test_samples_are_compared_in_batches_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare()
    conversion, file = emitted()
    neurons = [layer.neurons for layer in conversion.report.layers if layer.kind != "readout"]
    monkeypatch.setattr(comparison, "MEMORY_BUDGET", 16 * 2 * sum(neurons) + 3 * STEPS * max(neurons))
    seen: list[int] = []
    inject(monkeypatch, "written_trace", lambda trace: seen.append(trace.spikes(NEURON).shape[1]) or trace)
    assert compare_forms(conversion, file, IMAGES) == whole
    assert seen == [1, 1, 1, 1]


def test_a_sample_of_a_later_batch_has_its_own_number(monkeypatch: pytest.MonkeyPatch) -> None:
    conversion, file = emitted()
    neurons = [layer.neurons for layer in conversion.report.layers if layer.kind != "readout"]
    monkeypatch.setattr(comparison, "MEMORY_BUDGET", 2 * (16 * 2 * sum(neurons) + 3 * STEPS * max(neurons)))
    calls: list[Trace] = []

    def in_the_second_batch(trace: Trace) -> Trace:
        calls.append(trace)
        return flipped(NEURON, 20, 1)(trace) if len(calls) == 2 else trace

    inject(monkeypatch, "written_trace", in_the_second_batch)
    with pytest.raises(InternalError, match=f"'{NEURON}' differ at step 20 of sample 3"):
        compare_forms(conversion, file, IMAGES)


@pytest.mark.parametrize(("sample_steps", "samples", "steps"), [(2, 2, 1), (4, 4, 1), (41, 4, 10), (10**6, 4, STEPS)])
def test_the_reference_has_a_budget_of_work(
    sample_steps: int, samples: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversion, file = emitted()
    macs = sum(layer.macs for layer in conversion.report.layers)
    monkeypatch.setattr(comparison, "REFERENCE_BUDGET", macs * sample_steps)
    seen: list[tuple[int, ...]] = []
    inject(monkeypatch, "reference_trace", lambda trace: seen.append(trace.spikes(NEURON).shape[:2]) or trace)
    compared = compare_forms(conversion, file, IMAGES)
    assert seen == [(steps, samples)]
    assert compared[1] == Comparison(("blocks", "reference"), samples, steps)


def test_what_is_not_compared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "REFERENCE_BUDGET", 1)
    written, reference = compare()
    assert written.skipped is None
    assert reference.skipped == "one step takes more than 1 multiply-accumulates"
    monkeypatch.setattr(comparison, "MEMORY_BUDGET", 1000)
    assert [(found.samples, found.skipped) for found in compare()] == [
        (0, "the spikes of one sample take more than 0 MiB")
    ] * 2


def test_fewer_samples_than_four() -> None:
    conversion, file = emitted()
    assert [found.samples for found in compare_forms(conversion, file, IMAGES[:1])] == [1, 1]


# What the user sees


def test_report_and_file_say_what_was_compared() -> None:
    converted = snnc.convert(small(), calib=networks.images_for(small(), 30), bias="current", steps=9, accept_poor=True)
    expected = [
        {"forms": ["loop", "blocks"], "samples": 4, "steps": 9, "skipped": None},
        {"forms": ["blocks", "reference"], "samples": 4, "steps": 9, "skipped": None},
    ]
    assert converted.report.to_json()["verification"]["compared"] == expected
    metadata = {entry.key: entry.value for entry in converted.model.metadata_props}
    assert json.loads(metadata["snnc.verification"])["compared"] == expected


def test_one_line_says_what_was_compared(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(small(), "net.onnx")
    arguments = ["convert", "net.onnx", "--bias", "current", "--steps", "9", "--accept-poor"]
    line = "loop = blocks (4 samples, 9 steps); blocks = reference (4 samples, 9 steps)\n"
    runner = CliRunner()
    verbose = runner.invoke(command, [*arguments, "-v"])
    assert verbose.exit_code == 0, verbose.output
    assert f"same spikes, bit for bit: {line}" in verbose.output
    assert line not in runner.invoke(command, arguments).output
    assert f"same spikes  {line}" in runner.invoke(command, ["inspect", "net.snn.onnx"]).output


def test_a_line_about_what_was_not_compared() -> None:
    skipped = Comparison(("blocks", "reference"), 0, 0, "no time").to_json()
    assert compared_line({"compared": [skipped]}) == "blocks = reference (not compared: no time)"
    assert compared_line({}) == "not noted in this file"
