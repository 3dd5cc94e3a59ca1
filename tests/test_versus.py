"""`snnc bench --against`: the clock may lie, but not who ran what, on which samples, and how right it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from commands import DIGITS, Invoke, refuse
from onnx import TensorProto, helper, numpy_helper

from snnc.cli.console import Console
from snnc.cli.contest import choose_samples
from snnc.data import load
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.measure import opponents, versus
from snnc.measure.opponents import make_opponent
from snnc.measure.runner import make_runner
from snnc.measure.versus import Quartiles, compare
from snnc.runtime import SpikingSession
from snnc.simulate.ann import Ann, load_model

CALIBRATION = load("digits:train", (1, 8, 8)).images[:64]


def against(invoke: Invoke, converted: Path, *arguments: str, exit_code: int = 0) -> Result:
    return invoke(
        "bench", converted, "--ann", "net.onnx", "--data", "digits:test", "--json", "bench.json", *arguments,
        exit_code=exit_code,
    )  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opponent", ["int8", "dense"])
def test_table_and_document(invoke: Invoke, converted: Path, opponent: str) -> None:
    result = against(invoke, converted, "--against", opponent, "--samples", "6", "--repeats", "2")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:4]] == ["spiking,", opponent]
    document = json.loads(Path("bench.json").read_text())
    assert (document["ann"], document["data"]["samples"]) == ("net.onnx", 6)
    found = document["comparison"]
    assert (found["samples"], found["batch"], found["threads"], found["pairs"]) == (6, 1, 1, 12)
    assert "12 pairs in turn, 6 samples, batch 1, 1 thread" in " ".join(result.stdout.split())
    for side in ("spiking", "opponent"):
        times = found[side]["milliseconds"]
        assert 0 < times["first"] <= times["median"] <= times["third"]
        assert found[side]["accuracy"] > 0.5
        assert found[side]["agreement"] > 0.5
    assert found["opponent"]["name"] == opponent
    assert found["break_even"] == pytest.approx(found["operations"] / found["ratio"]["median"])
    if opponent == "dense":
        assert found["opponent"]["agreement"] == 1


def test_numbers_are_those_of_the_samples(invoke: Invoke, converted: Path) -> None:
    against(invoke, converted, "--against", "dense", "--samples", "7", "--batch", "2", "--repeats", "1")
    found = json.loads(Path("bench.json").read_text())["comparison"]
    assert (found["samples"], found["pairs"]) == (6, 3)  # full batches only
    test = load("digits:test", (1, 8, 8))
    chosen = test.select(np.linspace(0, len(test) - 1, 6).round().astype(np.int64))
    result = SpikingSession(str(converted)).run(chosen.images)
    classes = result.logits.argmax(1)
    expected = next(iter(Ann(load_model(DIGITS)).run(chosen.images).values())).argmax(1)
    assert found["spiking"]["accuracy"] == pytest.approx((classes == chosen.labels).mean())
    assert found["spiking"]["agreement"] == pytest.approx((classes == expected).mean())
    assert found["opponent"]["accuracy"] == pytest.approx((expected == chosen.labels).mean())
    assert found["operations"] == pytest.approx(result.synaptic_operations.sum() / 6)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--ann", "net.onnx"),
        ("--samples", "3"),
        ("--against", "int8", "--data", "digits:test"),
        ("--against", "int8", "--ann", "net.onnx"),
    ],
)
def test_what_goes_together(invoke: Invoke, converted: Path, arguments: tuple[str, ...]) -> None:
    assert "--against" in invoke("bench", converted, *arguments, exit_code=2).stderr


def test_another_network_is_refused(invoke: Invoke, converted: Path) -> None:
    other = load_model(DIGITS)
    other.graph.output[0].name = other.graph.node[-1].output[0] = "other"
    onnx.save(other, "net.onnx")
    arguments = ("bench", converted, "--ann", "net.onnx", "--data", "digits:test", "--against", "dense")
    refuse(invoke, "SNN405", *arguments, exit_code=2)


def test_without_onnxruntimes_quantisation(invoke: Invoke, converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    arguments = ("bench", converted, "--ann", "net.onnx", "--data", "digits:test", "--against", "int8")
    assert "pip install" in refuse(invoke, "SNN407", *arguments).stderr


def test_samples_that_are_timed_calibrate_nothing(converted: Path) -> None:
    file, test = ConvertedFile(load_model(converted), "net"), load("digits:test", (1, 8, 8)).images
    timed, calibration = choose_samples(Console(), file, "digits:test", {}, 30, 4)
    assert (len(timed), len(calibration)) == (28, 128)
    rows = {image.tobytes() for image in test}
    assert len(rows) > 490
    assert not {image.tobytes() for image in timed.images} & {image.tobytes() for image in calibration}


def test_few_samples_calibrate_too(converted: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", CALIBRATION[:3])
    file = ConvertedFile(load_model(converted), "net")
    timed, calibration = choose_samples(Console(), file, str(tmp_path / "x.npy"), {}, 30, 8)
    assert len(timed) == len(calibration) == 3


# --- the opponents ----------------------------------------------------------------------------------------------------


def test_int8_is_close_to_the_float_network() -> None:
    model = load_model(DIGITS)
    test = load("digits:test", (1, 8, 8)).images
    expected = next(iter(Ann(model).run(test).values()))
    opponent = make_opponent("int8", model, CALIBRATION, threads=1)
    found = next(iter(opponent.ann.run(test).values()))
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.97
    assert 0 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.2
    assert "64 samples" in opponent.made


def old_network(batch: int | str) -> onnx.ModelProto:
    """Opset 9, weights among the inputs, batch normalization, a batch that may be fixed."""
    random = np.random.default_rng(0)
    dims = {"w": (4, 1, 3, 3), "gamma": (4,), "beta": (4,), "mean": (4,), "var": (4,), "v": (144, 3)}
    weights = [
        numpy_helper.from_array((np.abs if name == "var" else np.asarray)(random.normal(size=size)).astype("f4"), name)
        for name, size in dims.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["a", "gamma", "beta", "mean", "var"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "v"], ["y"]),
    ]

    def info(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [info("x", batch, 1, 8, 8), *(info(name, *size) for name, size in dims.items())]
    graph = helper.make_graph(nodes, "old", inputs, [info("y", batch, 3)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_int8_of_an_old_file(batch: int | str) -> None:
    model = old_network(batch)
    expected = Ann(model).run(CALIBRATION)["y"]
    found = make_opponent("int8", model, CALIBRATION, threads=1).ann.run(CALIBRATION)["y"]
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.1


def test_int8_of_what_onnxruntime_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_it(*_: Any) -> onnx.ModelProto:
        raise ValueError("no such operator\nand more")

    monkeypatch.setattr(opponents, "_quantised", refuse_it)
    with pytest.raises(DiagnosticError, match=r"cannot quantise the network \(ValueError: no such operator\)"):
        make_opponent("int8", load_model(DIGITS), CALIBRATION, threads=1)


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_both_take_turns(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes first alternates; the ratio is that within each pair, by a clock that we hold."""
    order: list[str] = []
    now = [0.0]

    def spiking(images: np.ndarray, first_sample: int) -> Any:
        order.append(f"spiking {first_sample}")
        now[0] += 3.0
        return real(images, first_sample)

    file, model = ConvertedFile(load_model(converted), "net"), load_model(DIGITS)
    real = make_runner(file, steps=4, seed=0, threads=1)
    monkeypatch.setattr(versus, "make_runner", lambda *_, **__: spiking)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    opponent = make_opponent("dense", model, CALIBRATION, threads=1)
    run = opponent.ann.run

    def dense(images: np.ndarray) -> dict[str, np.ndarray]:
        order.append("dense")
        now[0] += 1.5
        return run(images)

    monkeypatch.setattr(opponent.ann, "run", dense)
    images = CALIBRATION[:4]
    found = compare(
        file, opponent, images, labels=None, ann_output=run(images)[file.block.outputs[0].name],
        batch=2, steps=4, seed=0, threads=1, repeats=2,
    )  # fmt: skip
    warm_up, pairs = order[:2], order[2:10]
    assert warm_up == ["spiking 0", "dense"]
    assert pairs == ["spiking 0", "dense", "dense", "spiking 2", "dense", "spiking 0", "spiking 2", "dense"]
    assert found.ratio == Quartiles(2.0, 2.0, 2.0)
    assert found.spiking.milliseconds == Quartiles(1500.0, 1500.0, 1500.0)
    assert found.opponent.milliseconds == Quartiles(750.0, 750.0, 750.0)
    assert (found.pairs, found.spiking.accuracy, found.opponent.agreement) == (4, None, 1.0)


def test_quartiles() -> None:
    assert Quartiles.of(np.arange(5.0)) == Quartiles(median=2.0, first=1.0, third=3.0)
