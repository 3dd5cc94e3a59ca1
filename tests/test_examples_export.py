"""What the training examples export: the networks that torch's older exporter writes, without a word of warning."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import snnc
from snnc.reading.torch_export import _by_tracing

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

EXAMPLES = Path(__file__).parent.parent / "examples"
FAST: dict[str, Any] = {"calib_samples": 4, "calib_steps": 8, "steps": 8, "accept_poor": True}
EXACT: dict[str, Any] = {"method": "exact", "calib_samples": 4, "bias": "current", "accept_poor": True}


def digits(train: Any) -> Any:
    return train.build_network()


def mobilenet(train: Any) -> Any:
    return train.NETWORKS["mobilenet"]()


#: The folder, its network, the shape of a sample, and how it is converted. The other examples have tests of their own.
CASES: dict[str, tuple[str, Any, tuple[int, ...], dict[str, Any]]] = {
    "digits": ("digits", digits, (1, 8, 8), FAST),
    "mobilenet": ("mnist", mobilenet, (1, 28, 28), EXACT),
}


@pytest.mark.parametrize("case", CASES)
def test_the_export_is_the_network_of_the_older_exporter(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With weights as drawn, which classify nothing: it converts to the same spikes."""
    folder, build, shape, options = CASES[case]
    monkeypatch.syspath_prepend(str(EXAMPLES / folder))
    for name in ("train", "networks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    torch.manual_seed(0)
    train = importlib.import_module("train")
    network = build(train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train.export(network, tmp_path / "net.onnx")
    assert capfd.readouterr() == ("", "")
    model = onnx.load(tmp_path / "net.onnx")
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("image", "logits")
    assert model.opset_import[0].version == 18
    older = _by_tracing(network.eval(), torch.zeros(1, *shape), ("image", "logits"))
    images = np.random.default_rng(0).random((4, *shape), np.float32)
    found, expected = (snnc.convert(each, calib=images, **options).session().run(images, 8) for each in (model, older))
    assert np.array_equal(found.spike_totals, expected.spike_totals)
    assert found.spike_totals.any()
    assert np.array_equal(found.logits, expected.logits)
