"""SpikingJelly as an opponent: it does the same work, spike by spike, or is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from commands import CALIBRATED, DIGITS, Invoke, refuse
from test_operators import EACH, Example, expected, integers

from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.measure.runner import make_runner
from snnc.measure.torch_synapses import foldable, synapse
from snnc.simulate.ann import load_model

STEPS = 40  # one block of 32, and a part of another


def file_of(net: networks.Network, **choices: Any) -> ConvertedFile:
    """A converted file, with soft reset unless `choices` say otherwise."""
    emitted = networks.emit(net.model(), **choices).emitted
    assert emitted is not None
    return ConvertedFile(emitted, "net.snn.onnx")


def branched() -> networks.Network:
    """Convolutions of groups, with stride, pads and bias, a junction, branches side by side, a pool."""
    net = networks.Network((2, 6, 6), np.random.default_rng(4))
    net.convolve(4, 3, 1, 1, 1, 2, True)
    net.then("Relu")
    net.residual(True, 4, False)
    net.beside(3, False, fires=True)
    net.average(2, 1, 0, True)
    net.flatten()
    net.dense(5, False)
    net.then("Relu")
    net.dense(3, True)
    net.output()
    return net


def images_of(file: ConvertedFile, samples: int = 3) -> np.ndarray:
    return np.random.default_rng(3).normal(0.2, 0.7, (samples, *file.input_dims)).astype(np.float32)


# --- operators in torch (SpikingJelly is not needed) ------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("channels_last", [False, True])
def test_operators_are_those_of_the_reference(example: Example, channels_last: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    node = example.node()
    values = [integers(4, *example.shape) for _ in range(example.operands)]
    function = synapse(node, channels_last=channels_last)
    assert function is not None
    found = function(*map(torch.from_numpy, values)).numpy()
    assert np.array_equal(found, expected(node, values))
    weights = foldable(node.outputs[0])
    if example.op in ("Conv", "Gemm", "Scale"):
        assert [one.name for one in weights or []] == ["node"]
        factor = 2.0 ** np.arange(example.out[0])
        function = synapse(node, factor, channels_last=channels_last)
        assert function is not None
        by_channel = factor.reshape(-1, *[1] * (len(example.out) - 1))
        assert np.array_equal(function(*map(torch.from_numpy, values)).numpy(), expected(node, values) * by_channel)


def test_no_function_for_other_operators(converted: Path) -> None:
    graph = ConvertedFile(load_model(converted), "net").calibrated()
    assert synapse(graph.nodes[0]) is None  # an encoder


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_once", "choices"),
    [
        (1, {"reset": "soft"}),
        (32, {"reset": "soft", "v_init": 0.5, "weight_bits": 16}),
        (8, {"reset": "hard"}),
        (8, {"method": "low-latency", "delay": 9, "calib_steps": None}),
        (32, {"reset": "soft", "controls": "fixed", "steps": STEPS}),
    ],
    ids=str,
)
def test_same_spikes(at_once: int, choices: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")
    from snnc.measure import spikingjelly

    monkeypatch.setattr(spikingjelly, "STEPS_AT_ONCE", (at_once,))
    file = file_of(branched(), **choices)
    images, first = images_of(file), 0 if file.options.controls == "fixed" else 7
    opponent = spikingjelly.SpikingJelly(file, steps=STEPS, seed=0, threads=1)
    opponent.prepare(images, first)()
    assert "fastest of 2 forms" in opponent.made
    answer = opponent.answer(images, first)
    ours = make_runner(file, steps=STEPS, seed=0, threads=1)(images, first)
    assert answer.spike_totals is not None
    assert answer.output is not None
    assert ours.spike_totals.sum(0)[1:].min() > 0
    assert np.array_equal(answer.spike_totals, ours.spike_totals)
    assert np.array_equal(answer.output, ours.outputs[file.block.outputs[0].name])


def test_thresholds_that_no_power_of_two_makes_equal() -> None:
    """Factors are rounded then, and the spikes may differ by some: they are compared all the same."""
    pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")
    from snnc.measure.spikingjelly import SpikingJelly

    file = file_of(branched(), per_channel=True)
    images = images_of(file)
    found = SpikingJelly(file, steps=STEPS, seed=0, threads=1).answer(images, 0).spike_totals
    ours = make_runner(file, steps=STEPS, seed=0, threads=1)(images, 0).spike_totals
    assert found is not None
    assert np.array_equal(found[:, 0], ours[:, 0])
    assert np.abs(found - ours).sum() < 0.01 * ours.sum()


def test_what_it_has_not_is_reported_together(invoke: Invoke) -> None:
    pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")
    invoke("convert", DIGITS, "-o", "exact.snn.onnx", "--method", "exact", *CALIBRATED[:2], "--calib-samples", "48")
    arguments = ("bench", "exact.snn.onnx", "--ann", DIGITS, "--data", "digits:test", "--against", "spikingjelly")
    found = refuse(invoke, "SNN405", *arguments, exit_code=2)
    assert found.stderr.count("error[SNN405]") > 2
    assert "Staircase" in found.stderr


def test_leaks_are_refused() -> None:
    pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")
    from snnc.measure.spikingjelly import SpikingJelly

    file = file_of(branched(), leak=4, threshold="vmax")
    with pytest.raises(DiagnosticError, match="leak in another way"):
        SpikingJelly(file, steps=STEPS, seed=0, threads=1)


def test_without_spikingjelly(invoke: Invoke, converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spikingjelly", None)
    monkeypatch.setitem(sys.modules, "spikingjelly.activation_based.neuron", None)
    arguments = ("bench", converted, "--ann", DIGITS, "--data", "digits:test", "--against", "dense,spikingjelly")
    assert "pip install" in refuse(invoke, "SNN407", *arguments).stderr


def test_both_in_one_run(invoke: Invoke, converted: Path) -> None:
    pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")
    result = invoke(
        "bench", converted, "--ann", DIGITS, "--data", "digits:test", "--against", "spikingjelly,int8",
        "--samples", "4", "--batch", "2", "--steps", "32",
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:5]] == ["spiking,", "SpikingJelly", "int8"]
    told = " ".join(result.stdout.split())
    assert "Every layer has as many spikes there on 4 of 4 samples." in told
