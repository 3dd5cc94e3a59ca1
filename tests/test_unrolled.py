"""The schedule `unrolled`: the same spikes as the loop, for a number of steps that stands in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import snnc
from snnc.api import open_converted
from snnc.cli.app import snnc as command
from snnc.diagnostics import DiagnosticError
from snnc.emit.schedules import MOST_UNROLLED_BLOCKS
from snnc.files import ConvertedFile
from snnc.ir.domain import BLOCK_STEPS
from snnc.runtime import SpikingSession
from snnc.simulate.block_runner import StreamRunner

DIGITS = Path(snnc.__file__).parent / "demo" / "digits.onnx"


def written(model: onnx.ModelProto, **choices: Any) -> onnx.ModelProto:
    emitted = networks.emit(model, **choices).emitted
    assert emitted is not None
    return emitted


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=networks.models(), choices=networks.options(), steps=st.sampled_from([1, 63, 64, 65, 130]))
def test_outputs_and_counts_are_those_of_the_loop(model: onnx.ModelProto, choices: dict[str, Any], steps: int) -> None:
    images = networks.images_for(model)
    loop, unrolled = (written(model, schedule=name, steps=steps, **choices) for name in ("loop", "unrolled"))
    onnx.checker.check_model(unrolled, full_check=True)
    expected = SpikingSession(loop.SerializeToString()).run(images, first_sample=3)
    for native in (True, False):
        found = SpikingSession(unrolled.SerializeToString(), native=native).run(images, first_sample=3)
        assert np.array_equal(found.spike_totals, expected.spike_totals)
        assert np.array_equal(found.synaptic_operations, expected.synaptic_operations)
        assert found.outputs.keys() == expected.outputs.keys()
        for name, values in expected.outputs.items():
            assert np.array_equal(found.outputs[name], values, equal_nan=True)
    block = ConvertedFile(unrolled, "net").block  # taken out again: any number of steps
    streamed = list(StreamRunner(block).run(images, [70], seed=choices["seed"]))[-1]
    assert np.array_equal(streamed.spike_totals, SpikingSession(loop.SerializeToString()).run(images, 70).spike_totals)


def test_weights_are_stored_once_and_there_is_no_loop() -> None:
    one, many = (written(networks.small().model(), schedule="unrolled", steps=64 * blocks) for blocks in (1, 4))
    assert not any(node.op_type == "Loop" for node in many.graph.node)
    layers = [[node for node in model.graph.node if node.op_type == "SpikingConvAdd"] for model in (one, many)]
    assert len(layers[1]) == 4 * len(layers[0])
    assert len({node.input[1] for node in layers[1]}) == len(layers[0])
    small_tensors = 2000  # steps of the blocks
    assert sum(t.ByteSize() for t in many.graph.initializer) < small_tensors + sum(
        t.ByteSize() for t in one.graph.initializer
    )


@pytest.mark.parametrize(
    ("controls", "inputs"),
    [("optional", ["x", "seed", "first_sample"]), ("required", ["x", "seed", "first_sample"]), ("fixed", ["x"])],
)
def test_steps_are_no_input(controls: str, inputs: list[str]) -> None:
    conversion = networks.emit(networks.small().model(), schedule="unrolled", controls=controls, steps=70)
    assert conversion.emitted is not None
    assert [value.name for value in conversion.emitted.graph.input] == inputs
    reported = [found.rule.code for found in conversion.diagnostics.warnings]
    assert ("SNN512" in reported) == (controls == "required")


def test_the_session_runs_the_steps_of_the_file_only() -> None:
    session = SpikingSession(written(networks.small().model(), schedule="unrolled", steps=70).SerializeToString())
    images = networks.images_for(networks.small().model())
    assert session.run(images).steps_used == session.run(images, 70, seed=4).steps_used == 70
    with pytest.raises(ValueError, match=r"steps is fixed to 70 in this file \(--schedule unrolled\)"):
        session.run(images, 64)


def test_too_many_blocks_are_refused_before_calibration() -> None:
    most = MOST_UNROLLED_BLOCKS * BLOCK_STEPS
    assert snnc.check(networks.small().model(), schedule="unrolled", steps=most, relaxed=True) == []
    (found,) = snnc.check(networks.small().model(), schedule="unrolled", steps=most + 1, relaxed=True)
    assert found.rule.code == "SNN404"
    with pytest.raises(DiagnosticError, match="SNN404"):
        snnc.convert(networks.small().model(), schedule="unrolled", steps=most + 1, relaxed=True)


def test_the_commands_take_an_unrolled_file(tmp_path: Path) -> None:
    net = str(tmp_path / "net.snn.onnx")

    def run(*arguments: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(command, list(arguments))
        assert result.exit_code == exit_code, result.output
        return result.output

    run("convert", str(DIGITS), "-o", net, "--schedule", "unrolled", "--steps", "80")
    images = np.random.default_rng(0).random((2, 1, 8, 8), np.float32)
    np.save(tmp_path / "x.npy", images)
    run("run", net, "--input", str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.npy"))
    expected = SpikingSession(net).run(images)
    assert np.array_equal(np.load(tmp_path / "y.npy"), expected.logits)
    assert "SNN405" in run("run", net, "--input", str(tmp_path / "x.npy"), "--steps", "8", exit_code=2)
    assert "SpikeReadout" in run("inspect", net)
    assert "80" in run("eval", net, "--data", "digits:test", "--samples", "8", "--steps", "8,80")
    run("bench", net, "--batch", "2", "--repeats", "1")
    spikes = snnc.record(net, images, layers=[open_converted(net).layers[1].name])
    (train,) = spikes.values()
    assert train.shape[0] == 80
    assert train.sum() == expected.spike_totals[:, 1].sum()
