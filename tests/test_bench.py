"""`snnc bench`: what it measures can be wrong by the clock only; spikes, operations and names are exact."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import networks
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, assume, given, settings

import snnc as package
from snnc.cli.app import snnc
from snnc.diagnostics import InternalError
from snnc.files import ConvertedFile
from snnc.measure.bench import measure
from snnc.measure.operations import count_accumulations, fused_nodes
from snnc.runtime import SpikingSession
from snnc.runtime import statistics as native
from snnc.simulate.block_runner import StreamRunner

DIGITS = Path(package.__file__).parent / "demo" / "digits.onnx"
STEPS = 70
Bench = Callable[..., Result]


def convert(**options: Any) -> onnx.ModelProto:
    calib = np.random.default_rng(0).random((40, 1, 8, 8))
    return package.convert(DIGITS, calib=calib, steps=STEPS, calib_steps=32, bias="current", **options).model


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return convert()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: onnx.ModelProto) -> Bench:
    """Run `snnc bench net.snn.onnx` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    onnx.save(model, tmp_path / "net.snn.onnx")

    def run(*arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(snnc, ["bench", "net.snn.onnx", *arguments])
        assert result.exit_code == exit_code, result.output + repr(result.exception)
        return result

    return run


def images_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 1, 8, 8), np.float32)


# --- the command ------------------------------------------------------------------------------------------------------


def test_table(bench: Bench, model: onnx.ModelProto) -> None:
    result = bench("--batch", "3", "--repeats", "1")
    assert result.stderr.startswith("data: 3 random images, uniform from 0 to the input scale ")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split("  ")[0] == "layer"
    names = [layer.name for layer in ConvertedFile(model, "net").layers[1:]]
    assert [line.split()[0] for line in lines[2 : 2 + len(names)]] == names
    assert lines[2].split()[1] == "SpikingConv"
    assert lines[2 + len(names)].startswith("everything else ")
    assert lines[3 + len(names)].startswith("whole network ")
    assert f"3 images at once, {STEPS} steps, 1 thread, {native.vector_unit()}, median of 1 run:" in lines
    assert lines[-1].endswith(names[-2])


def test_json(bench: Bench) -> None:
    bench("--data", "digits:test", "--batch", "5", "--steps", "65", "--threads", "2", "--json", "bench.json", "-q")
    document = json.loads(Path("bench.json").read_text())
    assert document["model"] == "net.snn.onnx"
    assert document["data"]["samples"] == document["images"] == 5
    assert (document["steps"], document["threads"], document["repeats"], document["seed"]) == (65, 2, 3, 0)
    first, *others, last = document["layers"]
    assert first["op"] == "SpikingConv"
    assert first["kernels"] == {first["kernel"]: 2}
    assert last["op"] == "SpikeReadout"
    assert last["kernels"] == {"readout": 2}
    assert last["roofline"] is last["roofline_share"] is None
    for layer in document["layers"]:
        assert 0 < layer["input_density"] <= 1
        seconds = layer["microseconds"] * 1e-6 * 5 * 65
        assert layer["operations_per_second"] == pytest.approx(layer["operations"] / seconds)
    for layer in (first, *others):
        if layer["kernel"] == "table":  # which adds no rows of weights
            assert layer["roofline"] is layer["roofline_share"] is None
            continue
        most = layer["roofline"]["additions_per_second"]
        assert layer["roofline_share"] == pytest.approx(layer["operations_per_second"] / most)
    used = sum(layer["microseconds"] for layer in document["layers"])
    assert document["microseconds"] == pytest.approx(used + document["other_microseconds"])
    assert document["operations"] == sum(layer["operations"] for layer in document["layers"])
    assert 0 <= document["accuracy"] <= 1
    assert document["ann_accuracy"] is None


def test_accuracies_where_there_are_labels(bench: Bench) -> None:
    few = ("--batch", "5", "--steps", "65", "--repeats", "1")
    result = bench("--data", "digits:test", *few, "--ann", str(DIGITS), "--json", "bench.json")
    assert "At T = 65: accuracy " in result.stdout
    document = json.loads(Path("bench.json").read_text())
    assert document["ann_accuracy"] >= 0.8
    assert document["drop_interval"][0] <= document["ann_accuracy"] - document["accuracy"]
    assert "accuracy" not in bench(*few).stdout
    bench("--ann", str(DIGITS), exit_code=2)


def test_cost_of_many_images(bench: Bench) -> None:
    """From the time of an image and step: on two threads it is that of both."""
    arguments = ("--batch", "2", "--repeats", "1", "--threads", "2", "--cost", "50000x4096")
    document = json.loads(bench(*arguments, "--json", "-").stdout)
    cost = document["cost"]
    assert (cost["images"], cost["steps"]) == (50000, 4096)
    assert cost["core_hours"] == pytest.approx(2 * 50000 * 4096 * document["microseconds"] / 1e6 / 3600)
    assert "\n50,000 images x 4,096 steps: " in bench(*arguments).stdout
    refused = bench("--cost", "50000x4097", exit_code=1)
    assert refused.stdout == ""
    assert "error[SNN404] 4097 steps; net.snn.onnx allows 1 to 4096" in refused.stderr
    for wrong in ("50000", "0x1", "1x", "x", "1x1x1", "-1x1"):
        assert "is not of the form 50000x4096" in bench("--cost", wrong, exit_code=2).stderr


def test_a_network_that_is_quiet_costs_no_more_steps(bench: Bench) -> None:
    onnx.save(package.convert(DIGITS, calib=images_of(40), method="exact", bias="current").model, "net.snn.onnx")
    document = json.loads(bench("--batch", "2", "--repeats", "1", "--cost", "100x100000", "--json", "-").stdout)
    assert document["cost"]["steps"] == document["steps_run"] < 100000
    used = 100 * document["steps_run"] * document["microseconds"] / 1e6 / 3600
    assert document["cost"]["core_hours"] == pytest.approx(used)


def test_data_is_spread_and_may_be_short(bench: Bench) -> None:
    np.save("x.npy", images_of(4))
    result = bench("--data", "x.npy", "--repeats", "1")
    assert "data: x.npy, 4 samples" in result.stderr
    assert "\n4 images at once, " in result.stdout


def test_the_ann_is_refused(bench: Bench) -> None:
    Path("net.snn.onnx").write_bytes(DIGITS.read_bytes())
    assert "error[SNN402]" in bench(exit_code=1).stderr


def test_steps_beyond_the_file_are_refused(bench: Bench) -> None:
    assert "error[SNN404]" in bench("--steps", "5000", exit_code=1).stderr


def test_output_over_an_input_is_refused(bench: Bench) -> None:
    assert "error[SNN401]" in bench("--json", "net.snn.onnx", exit_code=1).stderr


@pytest.mark.parametrize("form", [{"schedule": "stream"}, {"controls": "fixed"}, {"controls": "required"}])
def test_every_form_of_a_file(bench: Bench, form: dict[str, str]) -> None:
    onnx.save(convert(**form), "net.snn.onnx")
    bench("--batch", "2", "--repeats", "1", "--json", "bench.json")
    document = json.loads(Path("bench.json").read_text())
    assert document["operations"] == sum(layer["operations"] for layer in document["layers"]) > 0
    if form.get("controls") == "fixed":
        assert "error[SNN405]" in bench("--steps", "3", exit_code=2).stderr


# --- spikes and operations --------------------------------------------------------------------------------------------


def test_counts_are_those_of_the_file(model: onnx.ModelProto) -> None:
    """In a chain, what a source causes is what the next layer gets."""
    file, images = ConvertedFile(model, "net"), images_of(6)
    measured = measure(file, images, steps=STEPS, seed=4, threads=1, repeats=1)
    result = SpikingSession(model.SerializeToString()).run(images, seed=4)
    assert [layer.spikes for layer in measured.layers] == result.spike_totals.sum(axis=0).tolist()
    assert [layer.operations for layer in measured.layers] == result.synaptic_operations.sum(axis=0).tolist()
    rates = [layer.input_density for layer in measured.layers]
    assert rates == pytest.approx(list(result.spike_rates.values()))


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(networks.fusable(), networks.options())
def test_layers_get_what_sources_cause(network: onnx.ModelProto, options: dict[str, Any]) -> None:
    """Pooling, strides, groups, borders, junctions and signs: no accumulation is lost or counted twice."""
    conversion = networks.emit(network, **options)
    block, images = networks.block_of(conversion), networks.images_for(network)
    layers = {layer.name for layer in conversion.report.layers if layer.kind != "input"}
    assume({node.name for node in fused_nodes(block)} == layers)
    reached = count_accumulations(block, images, 66, seed=1)
    operations = StreamRunner(block).run_to_end(images, 66, batch=len(images), seed=1).synaptic_operations
    assert sum(layer.operations for layer in reached.layers.values()) == operations.sum()


@pytest.mark.parametrize("schedule", ["loop", "stream", "unrolled"])
def test_counts_of_signed_spikes(schedule: Literal["loop", "stream", "unrolled"]) -> None:
    calib = np.random.default_rng(0).random((40, 1, 8, 8))
    converted = package.convert(DIGITS, calib=calib, method="exact", levels=40, accept_poor=True, schedule=schedule)
    file, images = ConvertedFile(converted.model, "net"), images_of(4)
    last = StreamRunner(file.block).run_until_quiet(images, file.options.steps)
    assert last.quiet
    assert last.step < file.options.steps
    measured = measure(file, images, steps=file.options.steps, seed=0, threads=1, repeats=1)
    assert measured.steps == file.options.steps
    assert measured.steps_run == (file.options.steps if schedule == "unrolled" else last.step)
    first, *others = measured.layers
    assert (first.op, first.input_density, first.spikes) == ("plain", None, None)
    assert [layer.op for layer in others] == ["StaircaseConv", "StaircaseConv", "SpikeReadout"]
    assert [layer.spikes for layer in others] == last.spike_totals.sum(axis=0)[1:].tolist()
    assert [layer.operations for layer in others] == last.synaptic_operations.sum(axis=0)[1:].tolist()
    assert measured.operations == last.synaptic_operations.sum()
    neurons = [layer.neurons for layer in file.layers if layer.kind == "neuron"]
    for layer, count in zip(others, neurons, strict=True):
        assert layer.input_density == pytest.approx((layer.spikes or 0) / (4 * measured.steps_run * count))
    for layer in others[:-1]:
        assert layer.roofline is not None
        assert layer.operations is not None
        assert layer.microseconds is not None
        seconds = layer.microseconds * 1e-6 * 4 * measured.steps_run
        share = layer.operations / seconds / layer.roofline.additions_per_second
        assert layer.roofline_share == pytest.approx(share)


def test_a_plain_layer_has_no_time_of_its_own() -> None:
    network = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        net (float[N, 2, 4, 4] x) => (float[N, 3, 4, 4] y)
        <float[3, 2, 1, 1] w = {1, 2, 3, 4, 5, 6}, float[3, 3, 1, 1] u = {1, 0, 0, 0, 1, 0, 0, 0, 1}>
        {
            first = Conv(x, w)
            a = Relu(first)
            second = Conv(a, u)
            third = Conv(second, u)
            b = Relu(third)
            y = Conv(b, u)
        }
    """)
    file = ConvertedFile(package.convert(network, calib_steps=8).model, "net")
    images = np.random.default_rng(0).random((2, 2, 4, 4), np.float32)
    measured = measure(file, images, steps=8, seed=0, threads=1, repeats=1)
    ops = {layer.op: layer for layer in measured.layers}
    assert ops.keys() == {"SpikingConv", "plain"}
    assert ops["plain"].kernel == "plain"
    assert ops["plain"].input_density is not None
    assert ops["plain"].input_density > 0
    assert ops["plain"].microseconds is ops["plain"].operations is None
    assert measured.other_microseconds > 0


# --- statistics of the library ----------------------------------------------------------------------------------------


def calls_of(older: set[int]) -> dict[int, int]:
    """Blocks computed, for each node that is not in `older`."""
    nodes = [node for node in native.read() if node.id not in older]
    return {node.id: sum(use.calls for use in node.kernels.values()) for node in nodes}


def ids() -> set[int]:
    return {node.id for node in native.read()}


def test_nothing_is_collected_when_off(model: onnx.ModelProto) -> None:
    older = ids()
    session = SpikingSession(model.SerializeToString())
    session.run(images_of(2))
    assert len(calls_of(older)) == 4
    assert not any(calls_of(older).values())
    with native.collecting():
        session.run(images_of(2))
    session.run(images_of(2))
    assert set(calls_of(older).values()) == {2}  # blocks of 64 and 6 steps
    with native.collecting():
        pass
    assert not any(calls_of(older).values())
    del session
    assert not ids() - older


def test_sessions_of_one_file_are_told_apart(model: onnx.ModelProto) -> None:
    before = ids()
    first = SpikingSession(model.SerializeToString(), threads=1)
    of_first = ids() - before
    second = SpikingSession(model.SerializeToString(), threads=2)
    with native.collecting():
        threads = [
            threading.Thread(target=session.run, args=(images_of(3), steps))
            for session, steps in [(first, 64), (second, 128), (second, 64)]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    nodes = [node for node in native.read() if node.id not in before]
    by_session = [[node for node in nodes if (node.id in of_first) == is_first] for is_first in (True, False)]
    assert [node.name for node in by_session[0]] == [node.name for node in by_session[1]]
    assert {node.sample_steps for node in by_session[0]} == {3 * 64}
    assert {node.sample_steps for node in by_session[1]} == {3 * 192}
    assert all(node.nanoseconds > 0 and node.spikes > 0 for node in nodes)


def test_measuring_beside_another_session(model: onnx.ModelProto) -> None:
    """Its nodes have the same names, and run at the same time."""
    other, stop = SpikingSession(model.SerializeToString()), threading.Event()

    def run_on() -> None:
        while not stop.is_set():
            other.run(images_of(3), 64)

    thread = threading.Thread(target=run_on)
    thread.start()
    try:
        measured = measure(ConvertedFile(model, "net"), images_of(2), steps=64, seed=0, threads=1, repeats=2)
    finally:
        stop.set()
        thread.join()
    result = other.run(images_of(2), 64, seed=0)
    assert [layer.spikes for layer in measured.layers] == result.spike_totals.sum(axis=0).tolist()


def test_measurements_wait_for_each_other(model: onnx.ModelProto) -> None:
    file, counts = ConvertedFile(model, "net"), {2: 0, 3: 0, 4: 0}

    def spikes_of(count: int) -> None:
        measured = measure(file, images_of(count), steps=64, seed=0, threads=1, repeats=1)
        counts[count] = sum(layer.spikes or 0 for layer in measured.layers)

    threads = [threading.Thread(target=spikes_of, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session = SpikingSession(model.SerializeToString())
    assert counts == {count: session.run(images_of(count), 64, seed=0).spike_totals.sum() for count in counts}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"name": "renamed"}, "no operator .* layer '/1/Relu'"), ({"spikes": 7}, "layer '/1/Relu' read 7 spikes")],
)
def test_what_does_not_add_up_names_the_layer(
    model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    read = native.read

    def changed() -> list[native.NodeStatistics]:
        return [dataclasses.replace(node, **change) if node.name == "/1/Relu" else node for node in read()]

    monkeypatch.setattr(native, "read", changed)
    with pytest.raises(InternalError, match=message):
        measure(ConvertedFile(model, "net"), images_of(1), steps=8, seed=0, threads=1, repeats=1)


@pytest.mark.parametrize("weight_bytes", [2, 4])
@pytest.mark.parametrize("width", [16, 32, 64])
def test_add_stream(width: int, weight_bytes: int) -> None:
    assert 1e8 < native.add_stream(1, weight_bytes, width) < 1e12
    assert 1e8 < native.add_stream(100_000, weight_bytes, width) < 1e12


@pytest.mark.parametrize("rows", [(3, 16), (2, 17), (0, 0)])
def test_add_stream_of_unknown_rows(rows: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot measure rows"):
        native.add_stream(100, *rows)
