"""How much of a network is compared at the end of a conversion, and who is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import onnx
import pytest
from click.testing import CliRunner
from faults import IMAGES, NEURON, STEPS, compare, emitted, flipped, inject

import snnc
from snnc.cli.app import snnc as command
from snnc.diagnostics import InternalError
from snnc.ir.report import Comparison, Verification
from snnc.measure import comparison
from snnc.measure.comparison import compare_forms
from snnc.measure.report import compared_lines
from snnc.simulate.traces import Trace


def extents_seen(monkeypatch: pytest.MonkeyPatch, form: str) -> list[tuple[int, ...]]:
    """(steps, samples) of every trace of a form, filled while forms are compared."""
    seen: list[tuple[int, ...]] = []

    def watch(trace: Trace) -> Trace:
        seen.append((trace.steps, trace.words(NEURON).shape[1]))
        return trace

    inject(monkeypatch, form, watch)
    return seen


def test_samples_are_compared_in_batches_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare()
    conversion, file = emitted()
    neurons = [layer.neurons for layer in conversion.report.layers if layer.kind != "readout"]
    monkeypatch.setattr(comparison, "MEMORY_BUDGET", 16 * (2 * sum(neurons) + 3 * max(neurons)))
    seen = extents_seen(monkeypatch, "written_trace")
    assert compare_forms(conversion, file, IMAGES) == whole
    assert seen == [(STEPS, 1)] * 4


def test_a_sample_of_a_later_batch_has_its_own_number(monkeypatch: pytest.MonkeyPatch) -> None:
    conversion, file = emitted()
    neurons = [layer.neurons for layer in conversion.report.layers if layer.kind != "readout"]
    monkeypatch.setattr(comparison, "MEMORY_BUDGET", 2 * 16 * (2 * sum(neurons) + 3 * max(neurons)))
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
    seen = extents_seen(monkeypatch, "reference_trace")
    compared = compare_forms(conversion, file, IMAGES)
    assert seen == [(steps, samples)]
    assert compared[1] == Comparison(("blocks", "reference"), samples, steps)


def test_the_reference_repeats_no_more_samples_where_there_are_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    conversion, file = emitted()
    layers = conversion.report.layers
    neurons = [layer.neurons for layer in layers if layer.kind != "readout"]
    monkeypatch.setattr(comparison, "MEMORY_BUDGET", 16 * (2 * sum(neurons) + 3 * max(neurons)))
    monkeypatch.setattr(comparison, "REFERENCE_BUDGET", 2 * sum(layer.macs for layer in layers))
    seen = extents_seen(monkeypatch, "reference_trace")
    compare_forms(conversion, file, IMAGES)
    assert seen == [(1, 1)] * 2


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
    converted = snnc.convert(
        networks.small().model(),
        calib=networks.images_for(networks.small().model(), 30),
        bias="current",
        steps=9,
        accept_poor=True,
    )
    expected = [
        {"forms": ["loop", "blocks"], "samples": 4, "steps": 9, "skipped": None},
        {"forms": ["blocks", "reference"], "samples": 4, "steps": 9, "skipped": None},
    ]
    assert json.loads(json.dumps(converted.report.to_json()))["verification"]["compared"] == expected
    metadata = {entry.key: entry.value for entry in converted.model.metadata_props}
    assert json.loads(metadata["snnc.verification"])["compared"] == expected


def test_one_line_says_what_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(networks.small().model(), "net.onnx")
    arguments = ["convert", "net.onnx", "--bias", "current", "--steps", "9", "--accept-poor"]
    line = "same spikes  loop = blocks (4 × 9 steps); blocks = reference (4 × 9 steps)\n"
    runner = CliRunner()
    verbose = runner.invoke(command, [*arguments, "-v"])
    assert verbose.exit_code == 0, verbose.output
    assert line in verbose.output
    assert line not in runner.invoke(command, arguments).output
    assert line in runner.invoke(command, ["inspect", "net.snn.onnx"]).output


def verification(**fields: Any) -> Verification:
    return Verification(samples=4, data="", steps=9, agreement=None, error=None, clipped=0.0, **fields)


def test_a_line_about_what_was_not_compared() -> None:
    skipped = Comparison(("blocks", "reference"), 0, 0, "no time")
    assert compared_lines(verification(compared=[skipped])) == "same spikes  blocks = reference (not compared: no time)"
    assert compared_lines(verification()) == "same spikes  (not noted)"
