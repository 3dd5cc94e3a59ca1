"""examples/embedding/web in Chromium: what the page shows is what Python computes for the same pixels, bit for bit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import node_packages
import numpy as np
import onnx
import pytest
from commands import DIGITS, dense_model
from onnx import TensorProto, helper

import snnc
from snnc.data import load
from snnc.runtime import SpikingSession

STEPS = 64
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = Path(__file__).parent / "web_page"
SHORT: dict[str, Any] = {"calib": "digits:train", "calib_samples": 48, "calib_steps": 48, "steps": STEPS}


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed for each request."""


def served(folder: Path) -> Iterator[str]:
    """The address of a web server for `folder`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def write_files(folder: Path) -> None:
    """What the driver opens: networks that the page cannot show, and one without spike words."""
    (folder / "ann.onnx").write_bytes(DIGITS.read_bytes())
    (folder / "text.onnx").write_text("no network", encoding="utf-8")
    snnc.convert(DIGITS, alpha=0.6, controls="required", **SHORT).save(folder / "loop.snn.onnx")
    plain = snnc.convert(DIGITS, alpha=0.6, schedule="stream", **SHORT)
    plain.save(folder / "plain.snn.onnx")
    plain.model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    onnx.save(plain.model, folder / "foreign.snn.onnx")
    images = np.random.default_rng(0).uniform(0, 1, (16, 4)).astype(np.float32)
    snnc.convert(dense_model(), calib=images, schedule="stream", accept_poor=True).save(folder / "other.snn.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as `npm install` and `prepare.py` leave it, and files to open in it."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    folder = node_packages.laid_out(tmp_path_factory.mktemp("web"), "web")
    command = [sys.executable, "prepare.py"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    empty = folder / "empty"
    shutil.copytree(folder, empty, ignore=shutil.ignore_patterns("node_modules", "*.onnx", "*.json"))
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def shown(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page showed to the driver."""
    packages = node_packages.installed(DRIVER / "package.json")
    driver = tmp_path_factory.mktemp("driver")
    shutil.copy(DRIVER / "drive.mjs", driver)
    (driver / "node_modules").symlink_to(packages)
    for address in served(folder):
        result = node_packages.run_node("drive.mjs", str(CHROMIUM), address, folder, cwd=driver)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def session() -> SpikingSession:
    """The network of the page in Python, with native operators."""
    return snnc.convert(DIGITS, calib="digits:train", alpha=0.6, steps=STEPS).session()


def assert_same(numbers: dict[str, Any], session: SpikingSession) -> None:
    image = np.array(numbers["image"], np.float32).reshape(1, 1, 8, 8) / 16
    expected = session.run(image)
    assert numbers["steps"] == STEPS
    np.testing.assert_array_equal(np.array(numbers["logits"], np.float32), expected.logits[0])
    assert numbers["spike_totals"] == expected.spike_totals[0].tolist()
    assert numbers["synaptic_operations"] == expected.synaptic_operations[0].tolist()


def test_no_script_failed(shown: dict[str, Any]) -> None:
    assert shown["errors"] == []


@pytest.mark.parametrize(("drawn", "digit"), [("seven", "7"), ("zero", "0")])
def test_a_drawn_digit(shown: dict[str, Any], session: SpikingSession, drawn: str, digit: str) -> None:
    found = shown[drawn]
    assert_same(found["numbers"], session)
    assert found["digit"] == digit
    logits = np.array(found["numbers"]["logits"], np.float64)
    share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert float(found["sure"].split()[0]) == pytest.approx(100 * share.max(), abs=0.051)
    assert found["when"] == f"after {STEPS} of {STEPS} steps"
    assert found["looks"] == STEPS // {"seven": 4, "zero": 16}[drawn]


def test_rasters_show_the_spikes_of_every_layer(shown: dict[str, Any], folder: Path) -> None:
    """Points of a raster: pairs of a step and a row of neurons in which one fired."""
    numbers = shown["seven"]["numbers"]
    image = np.array(numbers["image"], np.float32).reshape(1, 1, 8, 8) / 16
    recorded = snnc.record(folder / "loop.snn.onnx", image, layers=["image"], steps=STEPS)
    assert shown["seven"]["rastered"][0] == int((recorded["image"] != 0).sum()) == numbers["spike_totals"][0]
    for caption, spikes in zip(shown["seven"]["rasters"], numbers["spike_totals"], strict=True):
        assert f"{spikes:,} spikes" in caption


def test_a_clear_page_shows_nothing(shown: dict[str, Any]) -> None:
    found = shown["cleared"]
    assert (found["numbers"], found["digit"], found["sure"]) == ({}, "–", "Nothing drawn yet")
    assert found["rastered"] == [0] * len(found["rasters"])


def test_keys_draw_too(shown: dict[str, Any], session: SpikingSession) -> None:
    assert_same(shown["keyboard"]["numbers"], session)
    assert sum(shown["keyboard"]["numbers"]["image"]) > 100


def test_a_phone(shown: dict[str, Any]) -> None:
    """Nothing is wider than the screen, and a finger that draws does not scroll."""
    assert shown["keyboard"]["overflow"] <= 0
    assert shown["taps"] == "none"


def test_accuracy_is_that_of_python(shown: dict[str, Any], session: SpikingSession) -> None:
    digits = load("digits:test", (1, 8, 8))
    assert digits.labels is not None
    predicted = session.run(digits.images[:100]).logits.argmax(1)
    right = int((predicted == digits.labels[:100]).sum())
    assert shown["measured"] == f"{right} of 100 right after {STEPS} steps"
    assert right > 90


def test_a_test_digit(shown: dict[str, Any], session: SpikingSession) -> None:
    """Also after files that could not be opened, and in a file without spike words."""
    image = np.rint(load("digits:test", (1, 8, 8)).images[0].ravel() * 16).astype(int)
    assert shown["example"]["numbers"]["image"] == image.tolist()
    assert_same(shown["example"]["numbers"], session)
    assert shown["plain"]["rasters"] == []
    assert shown["plain"]["numbers"]["steps"] == STEPS


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("ann.onnx", "run `snnc convert` on it first"),
        ("loop.snn.onnx", "convert the network with --schedule stream"),
        ("text.onnx", "this is no ONNX file, or it is damaged"),
        ("foreign.snn.onnx", "inputs that snnc does not write: mask"),
        ("other.snn.onnx", "takes samples of 4, this page draws 1×8×8"),
    ],
)
def test_files_that_cannot_be_shown(shown: dict[str, Any], file: str, reason: str) -> None:
    assert shown["problems"][file].startswith(f"{file}: ")
    assert reason in shown["problems"][file]


def test_what_is_missing_is_said(shown: dict[str, Any]) -> None:
    assert "npm install" in shown["missing"]
