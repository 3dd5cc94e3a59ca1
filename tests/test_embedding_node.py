"""examples/embedding/node: converted networks in onnxruntime for Node.js give what Python gives, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import node_packages
import numpy as np
import onnx
import pytest
import streams
from commands import DIGITS
from onnx import TensorProto, helper

import snnc
from snnc.data import load
from snnc.files import set_metadata
from snnc.runtime import SpikingSession
from snnc.runtime.session import Result

STEPS = 70  # more than a block
#: Schedule and controls of each form that is run.
FORMS = [
    ("loop", "required"),
    ("loop", "optional"),
    ("unrolled", "fixed"),
    ("stream", "required"),
]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load("digits:test", (1, 8, 8)).images[:3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, images: np.ndarray) -> Path:
    """The example beside its packages, the forms of one network, and images."""
    folder = node_packages.laid_out(tmp_path_factory.mktemp("node"), "node")
    for schedule, controls in FORMS:
        options: dict[str, Any] = {"schedule": schedule, "controls": controls, "steps": STEPS, "alpha": 0.6}
        model = snnc.convert(DIGITS, calib="digits:train", calib_samples=48, calib_steps=48, **options)
        model.save(folder / f"{schedule}-{controls}.snn.onnx")
    np.save(folder / "images.npy", images)
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> SpikingSession:
    return SpikingSession(folder / "loop-optional.snn.onnx")


def hosted(folder: Path, form: str, *arguments: str | Path) -> dict[str, Any]:
    """What the program prints."""
    result = node_packages.run_node("run.mjs", f"{form}.snn.onnx", "images.npy", *arguments, cwd=folder)
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(folder: Path, *arguments: str | Path) -> str:
    """The message where the program runs nothing."""
    result = node_packages.run_node("run.mjs", *arguments, cwd=folder, exit_code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    return result.stderr


def assert_same(found: dict[str, Any], expected: Result, steps: int) -> None:
    assert found["steps"] == steps
    assert found["layers"] == list(expected.spike_rates)
    assert list(found["outputs"]) == ["logits", "spike_totals", "synaptic_operations"]
    np.testing.assert_array_equal(np.array(found["outputs"]["logits"], np.float32), expected.logits)
    np.testing.assert_array_equal(found["outputs"]["spike_totals"], expected.spike_totals)
    np.testing.assert_array_equal(found["outputs"]["synaptic_operations"], expected.synaptic_operations)


@pytest.mark.parametrize(("schedule", "controls"), FORMS)
def test_every_form_gives_what_python_gives(
    folder: Path, session: SpikingSession, images: np.ndarray, schedule: str, controls: str
) -> None:
    assert_same(hosted(folder, f"{schedule}-{controls}"), session.run(images), STEPS)


@pytest.mark.parametrize("form", ["loop-required", "stream-required"])
def test_steps_and_seed_are_those_that_are_asked_for(
    folder: Path, session: SpikingSession, images: np.ndarray, form: str
) -> None:
    chosen = ("--steps", "17", "--seed", "9007199254740993", "--first-sample", "5")
    expected = session.run(images, 17, seed=9007199254740993, first_sample=5)
    assert_same(hosted(folder, form, *chosen), expected, 17)


def test_the_length_of_blocks_changes_nothing(folder: Path, session: SpikingSession, images: np.ndarray) -> None:
    assert_same(hosted(folder, "stream-required", "--every", "6"), session.run(images), STEPS)


def test_a_network_that_settles(folder: Path) -> None:
    """Its states do not all begin at one number, and the file says when it was quiet."""
    frames = np.random.default_rng(0).normal(0, 1, (2, *streams.converted("functions").input_dims)).astype(np.float32)
    np.save(folder / "images.npy", frames)
    try:
        for schedule in ("loop", "stream"):
            (folder / f"exact-{schedule}.snn.onnx").write_bytes(streams.content("functions", schedule))
        steps = streams.converted("functions", "loop").options.steps
        expected = SpikingSession(folder / "exact-loop.snn.onnx").run(frames)
        assert expected.sample_steps is not None
        for schedule in ("loop", "stream"):
            found = hosted(folder, f"exact-{schedule}")
            assert found["steps"] == steps
            assert found["outputs"]["spike_totals"] == expected.spike_totals.tolist()
            assert found["outputs"]["steps_used"] == [[int(used)] for used in expected.sample_steps]
            (name,) = expected.outputs
            np.testing.assert_array_equal(np.array(found["outputs"][name], np.float32), expected.outputs[name])
    finally:
        np.save(folder / "images.npy", load("digits:test", (1, 8, 8)).images[:3])


@pytest.mark.parametrize(
    ("form", "choice", "reason"),
    [
        ("loop-optional", "--steps", "convert the network with --controls required"),
        ("loop-optional", "--seed", "convert the network with --controls required"),
        ("unrolled-fixed", "--steps", "--schedule unrolled"),
        ("unrolled-fixed", "--first-sample", "--controls fixed"),
    ],
)
def test_what_cannot_be_fed_is_refused(folder: Path, form: str, choice: str, reason: str) -> None:
    """onnxruntime for Node.js would ignore it without a word."""
    assert reason in refused(folder, f"{form}.snn.onnx", "images.npy", choice, "71")


def test_onnxruntime_ignores_optional_inputs(folder: Path) -> None:
    """As docs/embedding.md says; where this fails, a new onnxruntime feeds or refuses them, and the page can change."""
    script = """
        import * as ort from "onnxruntime-node";
        const session = await ort.InferenceSession.create("loop-optional.snn.onnx", { logSeverityLevel: 3 });
        const image = new ort.Tensor("float32", new Float32Array(64).fill(0.5), [1, 1, 8, 8]);
        const totals = async (feeds) => Array.from((await session.run(feeds)).spike_totals.data, Number);
        const steps = new ort.Tensor("int64", BigInt64Array.of(1n), []);
        console.log(JSON.stringify([await totals({ image }), await totals({ image, steps }), session.inputNames]));
    """
    (folder / "optional.mjs").write_text(script, encoding="utf-8")
    own, fed, inputs = json.loads(node_packages.run_node("optional.mjs", cwd=folder).stdout)
    assert own == fed
    assert inputs == ["image"]


def foreign_inputs(path: Path, target: Path) -> None:
    """A converted network with an input that snnc does not write."""
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    onnx.save(model, target)


def test_files_that_cannot_be_run(folder: Path, images: np.ndarray) -> None:
    def message(content: bytes) -> str:
        (folder / "bad.onnx").write_bytes(content)
        return refused(folder, "bad.onnx", "images.npy")

    good = (folder / "loop-required.snn.onnx").read_bytes()
    newer = onnx.load_from_string(good)
    set_metadata(newer, "snnc.format_version", "3")
    assert "run `snnc convert`" in message(DIGITS.read_bytes())
    assert "no network converted by snnc" in message(b"")
    assert "no ONNX file, or it is damaged" in message(b"<!doctype html><title>404</title>" * 20)
    assert "no ONNX file, or it is damaged" in message(good[: len(good) // 2])
    assert "reads up to 2" in message(newer.SerializeToString())
    foreign_inputs(folder / "loop-required.snn.onnx", folder / "bad.onnx")
    assert "inputs that snnc does not write: mask" in refused(folder, "bad.onnx", "images.npy")


def test_images_that_cannot_be_run(folder: Path, images: np.ndarray) -> None:
    def message(array: np.ndarray) -> str:
        np.save(folder / "bad.npy", array)
        return refused(folder, "loop-required.snn.onnx", "bad.npy")

    assert "must be float32 in C order" in message(images.astype(np.float64))
    assert "in Fortran order" in message(np.asfortranarray(images))
    assert "must be [N, 1, 8, 8]" in message(images[0])
    assert "no samples" in message(images[:0])
    assert "sample 1 has NaN" in message(np.where(np.arange(3).reshape(3, 1, 1, 1) == 1, np.float32(np.nan), images))
    (folder / "bad.npy").write_bytes((folder / "images.npy").read_bytes()[:-8])
    assert "its shape needs 768" in refused(folder, "loop-required.snn.onnx", "bad.npy")
    assert "ENOENT" in refused(folder, "loop-required.snn.onnx", "nothing.npy")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "usage: node run.mjs"),
        (("--steps", "0"), "must be from 1 to 4096"),
        (("--steps", "1.5"), "must be an integer"),
        (("--every", "65"), "must be from 1 to 64"),
        (("--colour", "red"), "Unknown option '--colour'"),
    ],
)
def test_arguments_that_are_wrong(folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    files = ("stream-required.snn.onnx", "images.npy") if arguments else ()
    assert reason in refused(folder, *files, *arguments)
