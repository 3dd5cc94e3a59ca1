"""Spikes and membrane potentials in every step, against the reference simulator; what is too large is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import Invoke, refuse
from data_samples import diagnosed

import snnc
from snnc import pipeline
from snnc.data import as_dataset
from snnc.ir.conversion import Conversion
from snnc.methods.defaults import make_options
from snnc.simulate.reference import simulate

STEPS = 70  # more than a block


def ann(op: str = "Relu") -> onnx.ModelProto:
    net = networks.Network((2, 4, 4), np.random.default_rng(3))
    net.convolve(4, 3, 1, 1, 1, 1, False)
    net.then(op)
    net.then("Flatten", shape=(64,))
    net.dense(5, True)
    net.then(op)
    net.dense(3, False)
    net.output()
    return net.model()


@pytest.mark.parametrize(
    ("op", "choices"),
    [
        ("Relu", {"bias": "current", "steps": STEPS}),
        ("Relu", {"bias": "current", "steps": STEPS, "reset": "hard", "v_init": 0.5}),
        ("Relu", {"bias": "current", "steps": STEPS, "leak": 4, "per_channel": True}),
        ("Relu", {"method": "low-latency", "steps": 9}),
        ("Relu", {"method": "exact", "levels": 4}),
        ("Sigmoid", {"method": "exact", "levels": 4}),
    ],
    ids=str,
)
def test_potentials_are_those_of_the_reference(op: str, choices: dict[str, Any]) -> None:
    model = ann(op)
    images = networks.images_for(model, 30)
    conversion = Conversion(model, make_options(**choices, accept_poor=True), data=as_dataset(images))
    pipeline.run(conversion)
    assert conversion.emitted is not None
    converted = snnc.SpikingModel(conversion.emitted, conversion.report)
    steps = min(conversion.options.steps, STEPS)
    found = snnc.record(converted, images[:3], steps=steps, potentials=True)
    assert set(found) == set(found.potentials) == {f"{op}_1", f"{op}_4"}
    plain = snnc.record(converted, images[:3], steps=steps)
    assert plain.potentials == {}
    for name, spikes in plain.items():
        np.testing.assert_array_equal(found[name], spikes)
        assert found[name].dtype == spikes.dtype
    layers = {layer.name: layer for layer in conversion.report.layers}
    for count in sorted({1, 2, 3, 64, 65, steps}):
        if count > steps:
            continue
        membranes = simulate(conversion.graph, images[:3], count, seed=conversion.options.seed).membranes
        for name, values in found.potentials.items():
            threshold = layers[name].threshold_integer
            units = 1 if threshold is None else np.reshape(threshold, (-1, *[1] * (len(layers[name].shape) - 1)))
            np.testing.assert_array_equal(values[count - 1], (membranes[name] / units).astype(np.float32))


def test_a_soft_reset_neuron_keeps_the_account_of_its_charge() -> None:
    """In thresholds: what came in, less the spikes, is what is there."""
    model = ann()
    images = networks.images_for(model, 30)
    choices: dict[str, Any] = {"coding": "direct", "bias": "current", "steps": 20, "v_init": 0.0, "accept_poor": True}
    converted = snnc.convert(model, calib=images, **choices)
    found = snnc.record(converted, images[:2], layers=["Relu_1"], potentials=True)
    charge = found["Relu_1"].cumsum(0) + found.potentials["Relu_1"]
    np.testing.assert_allclose(charge, np.arange(1, 21).reshape(-1, 1, 1, 1, 1) * charge[0], rtol=1e-4, atol=1e-4)
    ever = found["Relu_1"].any(0)
    assert ever.any()
    assert found.potentials["Relu_1"][:, ~ever].max() < 1


def test_what_takes_too_much_memory_is_refused() -> None:
    model = ann()
    images = networks.images_for(model, 30)
    converted = snnc.convert(model, calib=images, bias="current", steps=10, accept_poor=True)
    needed = 30 * 10 * (64 + 5)
    snnc.record(converted, images, most_bytes=needed)
    with diagnosed("SNN413", "30 samples in 10 steps take"):
        snnc.record(converted, images, most_bytes=needed - 1)
    with diagnosed("SNN413"):
        snnc.record(converted, images, potentials=True, most_bytes=5 * needed - 1)
    snnc.record(converted, images, potentials=True, most_bytes=5 * needed)
    snnc.record(converted, images, layers=["Relu_4"], most_bytes=30 * 10 * 5)


def test_the_input_has_spikes_and_no_potential() -> None:
    model = ann()
    images = networks.images_for(model, 30)
    converted = snnc.convert(model, calib=images, bias="current", steps=10, accept_poor=True)
    found = snnc.record(converted, images[:2], layers=["x", "Relu_4"], potentials=True)
    assert list(found) == ["x", "Relu_4"]
    assert list(found.potentials) == ["Relu_4"]
    assert found["x"].dtype == np.int8
    with pytest.raises(KeyError, match="no layer 'Relu_9'"):
        snnc.record(converted, images[:2], layers=["Relu_9"])


def test_files_of_format_1() -> None:
    path = Path(__file__).parent / "data" / "format1.snn.onnx"
    file = snnc.api.open_converted(path)
    images = np.zeros((1, *file.input_dims), np.float32)
    assert snnc.record(path, images, steps=3)
    if all(state.what != "membrane potential" for state in file.block.states):
        with diagnosed("SNN405", "does not tell the membrane potential"):
            snnc.record(path, images, steps=3, potentials=True)


def test_command(invoke: Invoke, converted: Path) -> None:
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.save("x.npy", images)
    arguments = ("run", converted, "--input", "x.npy", "--steps", "5")
    invoke(*arguments, "--record", "r.npz", "--potentials", "-o", "y.npy")
    expected = snnc.record(converted, images, steps=5, potentials=True)
    with np.load("r.npz") as found:
        assert len(found.files) == 2 * len(expected)
        for name, spikes in expected.items():
            np.testing.assert_array_equal(found[f"spikes/{name}"], spikes)
            np.testing.assert_array_equal(found[f"potentials/{name}"], expected.potentials[name])
    assert "class " in invoke(*arguments, "--record", "r.npz").stdout
    invoke(*arguments, "--potentials", exit_code=2)
    refuse(invoke, "SNN401", *arguments, "--record", "x.npy")


@pytest.mark.parametrize("count", [2.0, True, "2", np.float64(2), np.array([2])], ids=repr)
def test_numbers_that_are_no_integers_are_refused(count: Any) -> None:
    model = ann()
    images = networks.images_for(model, 30)
    converted = snnc.convert(model, calib=images, bias="current", steps=10, accept_poor=True)
    for call in (
        lambda: snnc.record(converted, images, steps=count),
        lambda: snnc.record(converted, images, seed=count),
        lambda: snnc.record(converted, images, first_sample=count),
        lambda: snnc.compare(converted, model, images, steps=count),
        lambda: snnc.evaluate(converted, images, steps=[count]),
        lambda: snnc.evaluate(converted, images, seed=count),
        lambda: snnc.evaluate(converted, images, threads=count),
        lambda: snnc.verify(converted, images, threads=count),
    ):
        with diagnosed("SNN405", "must be an integer"):
            call()
    session = converted.session()
    for name in ("steps", "seed", "first_sample", "batch_size"):
        with pytest.raises(TypeError, match="integer"):
            session.run(images, **{name: count})
    with pytest.raises(TypeError, match="integer"):
        converted.session(threads=count)


def test_integers_of_numpy_are_integers() -> None:
    model = ann()
    images = networks.images_for(model, 30)
    two = np.int64(2)
    options = {"steps": np.int32(10), "seed": np.uint8(1), "calib_samples": np.int16(20), "max_steps": np.int64(64)}
    converted = snnc.convert(model, calib=images, bias="current", accept_poor=True, **options)
    assert snnc.record(converted, images, steps=two, seed=two, first_sample=two)["Relu_4"].shape == (2, 30, 5)
    assert [point.steps for point in snnc.evaluate(converted, images, steps=two, seed=two, threads=two).points] == [2]
    array: Any = np.array([2, 4])
    assert [point.steps for point in snnc.evaluate(converted, images, steps=array).points] == [2, 4]
    one, other = converted.session(threads=two).run(images, two, seed=two), converted.session().run(images, 2, seed=2)
    np.testing.assert_array_equal(one.logits, other.logits)
    exact = snnc.convert(model, calib=images, method="exact", levels=np.int64(4))
    assert exact.stream(streams=two).streams == 2
