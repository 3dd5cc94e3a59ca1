"""The forms of torchvision's networks, written by both exporters of torch: all convert, by `exact` with a certificate.

`python -m tests.torchvision_forms` makes the table of docs/results/torchvision.md, on more samples.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snnc

torch = pytest.importorskip("torch")

from tests.torchvision_forms.exporters import EXPORTERS, exported  # noqa: E402
from tests.torchvision_forms.modules import FORMS, IMAGE, images, network  # noqa: E402

IMAGES = images(32, IMAGE)
FEW: dict[str, Any] = {"relaxed": True, "calib": IMAGES[:24], "accept_poor": True}
FileOf = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> FileOf:
    """The file of a form by an exporter, written once: that takes longer than to convert it."""
    folder = tmp_path_factory.mktemp("forms")

    @functools.cache
    def of(name: str, exporter: str) -> Path:
        if exporter == "dynamo" and importlib.util.find_spec("onnxscript") is None:
            pytest.skip("onnxscript is not installed")
        return exported(network(name), IMAGE, exporter, folder / f"{name}-{exporter}.onnx")

    return of


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", FORMS)
def test_nothing_keeps_them_from_being_converted(name: str, exporter: str, file_of: FileOf) -> None:
    found = snnc.check(file_of(name, exporter), method="exact", levels=8, relaxed=True)
    assert not [diagnostic for diagnostic in found if diagnostic.rule.severity == "error"]


@pytest.mark.parametrize("name", FORMS)
def test_exact(name: str, file_of: FileOf) -> None:
    """The counts of all layers equal those of the quantised ANN, and the outputs follow the module of torch."""
    model = snnc.convert(file_of(name, "dynamo"), method="exact", levels=8, **FEW)
    found = model.certificate
    assert found is not None
    assert found.layers == sum(layer.kind in ("neuron", "readout") for layer in model.report.layers) > 4
    with torch.no_grad():
        expected = network(name)(IMAGES[24:]).numpy()
    outputs = model.run(IMAGES[24:].numpy()).outputs["scores"]
    assert np.linalg.norm(outputs - expected) < 0.5 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", FORMS)
def test_rates(name: str, file_of: FileOf) -> None:
    """All of them convert with `rmp` too; how well they follow random weights in few steps is no matter here."""
    model = snnc.convert(file_of(name, "dynamo"), method="rmp", steps=64, calib_steps=32, **FEW)
    found = model.report.verification
    assert found is not None
    assert found.error is not None
    assert found.error < 0.6
