"""`snnc bench --against`: the clock may lie, but not who ran what, on which samples, and how right it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import Result
from commands import DIGITS, Invoke, refuse
from onnx import TensorProto, helper, numpy_helper

from snnc.cli.console import Console
from snnc.cli.contest import choose_samples
from snnc.data import load
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.measure import int8, versus
from snnc.measure.int8 import quantised_ann
from snnc.measure.opponents import Answer, Name, Opponent
from snnc.measure.runner import make_runner
from snnc.measure.versus import Quartiles, Spikes, compare
from snnc.runtime import SpikingSession
from snnc.runtime.session import cpu_session
from snnc.simulate.ann import Ann, load_model

CALIBRATION = load("digits:train", (1, 8, 8)).images[:64]


def against(invoke: Invoke, converted: Path, *arguments: str, exit_code: int = 0) -> Result:
    return invoke(
        "bench", converted, "--ann", "net.onnx", "--data", "digits:test", "--json", "bench.json", *arguments,
        exit_code=exit_code,
    )  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opponents", [["int8", "dense"], ["dense"]])
def test_table_and_document(invoke: Invoke, converted: Path, opponents: list[str]) -> None:
    result = against(invoke, converted, "--against", ",".join(opponents), "--samples", "6", "--repeats", "2")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2 : 3 + len(opponents)]] == ["spiking,", *opponents]
    document = json.loads(Path("bench.json").read_text())
    assert (document["ann"], document["data"]["samples"]) == ("net.onnx", 6)
    found = document["comparison"]
    assert (found["samples"], found["batch"], found["threads"], found["turns"]) == (6, 1, 1, 12)
    assert "12 turns with all of them, 6 samples, batch 1, 1 thread" in " ".join(result.stdout.split())
    for side in (found["spiking"], *(duel["opponent"] for duel in found["duels"])):
        times = side["milliseconds"]
        assert 0 < times["first"] <= times["median"] <= times["third"]
        assert side["accuracy"] > 0.5
        assert side["agreement"] > 0.5
    assert [duel["opponent"]["name"] for duel in found["duels"]] == opponents
    for duel in found["duels"]:
        assert duel["break_even"] == pytest.approx(found["operations"] / duel["ratio"]["median"])
        assert duel["spikes"] is None
    assert found["duels"][-1]["opponent"]["agreement"] == 1  # dense


def test_numbers_are_those_of_the_samples(invoke: Invoke, converted: Path) -> None:
    against(invoke, converted, "--against", "dense", "--samples", "7", "--batch", "2", "--repeats", "1")
    found = json.loads(Path("bench.json").read_text())["comparison"]
    assert (found["samples"], found["turns"]) == (6, 3)  # full batches only
    test = load("digits:test", (1, 8, 8))
    chosen = test.select(np.linspace(0, len(test) - 1, 6).round().astype(np.int64))
    result = SpikingSession(str(converted)).run(chosen.images)
    classes = result.logits.argmax(1)
    expected = next(iter(Ann(load_model(DIGITS)).run(chosen.images).values())).argmax(1)
    assert found["spiking"]["accuracy"] == pytest.approx((classes == chosen.labels).mean())
    assert found["spiking"]["agreement"] == pytest.approx((classes == expected).mean())
    assert found["duels"][0]["opponent"]["accuracy"] == pytest.approx((expected == chosen.labels).mean())
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


@pytest.mark.parametrize("names", ["int4", "int8,,dense", "int8 dense", ""])
def test_names_of_opponents(invoke: Invoke, converted: Path, names: str) -> None:
    told = invoke("bench", converted, "--against", names, exit_code=2).stderr
    assert "none of int8, dense, spikingjelly" in " ".join(told.split())


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
    made, ann = quantised_ann(model, CALIBRATION, threads=1)
    found = next(iter(ann.run(test).values()))
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.97
    assert 0 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.2
    assert "64 samples" in made


def test_int8_runs_as_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By onnxruntime's kernels of 8 bits, not as a float network between roundings."""
    written: list[Path] = []

    def make(model: bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        written.append(tmp_path / f"{len(written)}.onnx")
        options.optimized_model_filepath = str(written[-1])
        return cpu_session(model, options)

    monkeypatch.setattr("snnc.simulate.ann.cpu_session", make)
    quantised_ann(load_model(DIGITS), CALIBRATION, threads=1)
    *_, first, second = [{node.op_type for node in onnx.load(str(path)).graph.node} for path in written]
    assert first >= {"QLinearConv"}
    assert second >= {"QLinearConv"}


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
    found = quantised_ann(model, CALIBRATION, threads=1)[1].run(CALIBRATION)["y"]
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.1


def test_int8_of_what_onnxruntime_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_it(*_: Any) -> onnx.ModelProto:
        raise ValueError("no such operator\nand more")

    monkeypatch.setattr(int8, "_quantised", refuse_it)
    with pytest.raises(DiagnosticError, match=r"cannot quantise the network \(ValueError: no such operator\)"):
        quantised_ann(load_model(DIGITS), CALIBRATION, threads=1)


# --- pairs ------------------------------------------------------------------------------------------------------------


class Held(Opponent):
    """One who takes so many seconds by a clock that we hold, and answers as the ANN."""

    def __init__(self, order: list[str], now: list[float], name: str, seconds: float, totals: Any) -> None:
        self.title, self.made, self.name = name, "held", cast(Name, name)
        self._order, self._now, self._seconds, self._totals = order, now, seconds, totals

    def prepare(self, images: np.ndarray, first_sample: int) -> Callable[[], object]:
        self._now[0] += 100  # is not timed

        def run() -> None:
            self._order.append(f"{self.name} {first_sample}")
            self._now[0] += self._seconds

        return run

    def answer(self, images: np.ndarray, first_sample: int) -> Answer:
        if self._totals is None:
            return Answer(next(iter(Ann(load_model(DIGITS)).run(images).values())))
        return Answer(None, self._totals(images, first_sample))


def test_all_take_turns(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes first alternates; ratios are those within each turn, and preparation does not count."""
    order: list[str] = []
    now = [0.0]

    def spiking(images: np.ndarray, first_sample: int) -> Any:
        order.append(f"spiking {first_sample}")
        now[0] += 3.0
        return real(images, first_sample)

    file = ConvertedFile(load_model(converted), "net")
    real = make_runner(file, steps=4, seed=0, threads=1)
    monkeypatch.setattr(versus, "make_runner", lambda *_, **__: spiking)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    images = CALIBRATION[:4]
    expected = next(iter(Ann(load_model(DIGITS)).run(images).values()))

    def found(*opponents: Opponent) -> versus.Versus:
        order.clear()
        return compare(
            file, opponents, images, labels=None, ann_output=expected, batch=2, steps=4, seed=0, threads=1, repeats=2
        )

    def held(name: str, seconds: float, more_spikes: int | None = None) -> Held:
        def totals(images: np.ndarray, first_sample: int) -> np.ndarray:
            found: np.ndarray = real(images, first_sample).spike_totals.copy()
            found[0, -1] += more_spikes
            return found

        return Held(order, now, name, seconds, None if more_spikes is None else totals)

    one = found(held("a", 1.5))
    assert order[:2] == ["spiking 0", "a 0"]  # the warm-up
    assert order[2:10] == ["spiking 0", "a 0", "a 2", "spiking 2", "a 0", "spiking 0", "spiking 2", "a 2"]
    assert one.turns == 4
    assert one.spiking.milliseconds == Quartiles(1500.0, 1500.0, 1500.0)
    assert one.spiking.accuracy is None
    (duel,) = one.duels
    assert duel.ratio == Quartiles(2.0, 2.0, 2.0)
    assert duel.opponent.milliseconds == Quartiles(750.0, 750.0, 750.0)
    assert (duel.opponent.agreement, duel.spikes) == (1.0, None)

    several = found(held("a", 1.5), held("same", 6.0, 0), held("other", 3.0, 7))
    assert order[4:8] == ["spiking 0", "a 0", "same 0", "other 0"]
    assert order[8:12] == ["a 2", "same 2", "other 2", "spiking 2"]
    assert order[12:16] == ["a 0", "same 0", "other 0", "spiking 0"]
    assert [duel.ratio.median for duel in several.duels] == [2.0, 0.5, 1.0]
    _, same, other = several.duels
    total = sum(real(images[start : start + 2], start).spike_totals.sum() for start in (0, 2))
    assert same.spikes == Spikes(4, 0.0)
    assert (same.opponent.agreement, same.break_even) == (several.spiking.agreement, None)
    assert other.spikes == Spikes(2, 14 / total)
    assert other.opponent.agreement is None  # nobody knows what it gives


def test_quartiles() -> None:
    assert Quartiles.of(np.arange(5.0)) == Quartiles(median=2.0, first=1.0, third=3.0)
