"""Modules of torch, and data as users of torch have them."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import snnc
from snnc.data import as_dataset, check_labels
from snnc.diagnostics import DiagnosticError

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")

IMAGES = torch.from_numpy(np.random.default_rng(0).random((24, 1, 6, 6), np.float32))
LABELS = torch.arange(24) % 3
SHAPE = (1, 6, 6)


class Pairs(torch.utils.data.Dataset[Any]):
    def __init__(self, wrap: Callable[[Any, Any], Any]) -> None:
        self.wrap = wrap

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> Any:
        return self.wrap(IMAGES[index], LABELS[index])


def pair(image: Any, label: Any) -> Any:
    return image, label


def named(image: Any, label: Any) -> Any:
    return {"pixel_values": image, "labels": int(label)}


def loader(wrap: Callable[[Any, Any], Any]) -> Any:
    return torch.utils.data.DataLoader(Pairs(wrap), batch_size=5)


FORMS: dict[str, Callable[[], Any]] = {
    "tuple": lambda: (IMAGES, LABELS),
    "list": lambda: [IMAGES, LABELS],
    "dict": lambda: {"images": IMAGES, "labels": LABELS},
    "dict of other names": lambda: {"X": IMAGES, "Target": LABELS},
    "loader": lambda: loader(pair),
    "loader of dicts": lambda: loader(named),
    "data set": lambda: Pairs(pair),
    "data set of dicts": lambda: Pairs(named),
    "TensorDataset": lambda: torch.utils.data.TensorDataset(IMAGES, LABELS),
    "subset": lambda: torch.utils.data.Subset(Pairs(pair), range(24)),
    "generator": lambda: ([IMAGES[start : start + 7], LABELS[start : start + 7]] for start in range(0, 24, 7)),
    "tensors with a gradient": lambda: (IMAGES.clone().requires_grad_(), LABELS),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_data(name: str) -> None:
    data = as_dataset(FORMS[name](), SHAPE)
    assert np.array_equal(data.images, IMAGES.numpy())
    assert check_labels(data, 3).tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    "data", [IMAGES, list(IMAGES), {"x": IMAGES}, [IMAGES[0], IMAGES[1]], (image[None] for image in IMAGES)]
)
def test_samples_alone(data: Any) -> None:
    found = as_dataset(data, SHAPE)
    assert found.labels is None
    assert np.array_equal(found.images, IMAGES.numpy()[: len(found)])


def test_bfloat16() -> None:
    assert np.allclose(as_dataset(IMAGES.bfloat16(), SHAPE).images, IMAGES, atol=0.01)


def test_a_dictionary_without_samples() -> None:
    with pytest.raises(DiagnosticError, match=r"SNN301.*mask, pixels"):
        as_dataset({"mask": IMAGES, "pixels": IMAGES})


@pytest.mark.parametrize("targets", [torch.rand(24, 1), torch.rand(24, 3), torch.full((24,), -1)])
def test_targets_that_nobody_needs(targets: Any) -> None:
    data = as_dataset((IMAGES, targets), SHAPE)
    assert data.labels is None
    assert "labels are not used: they are no classes" in data.notes
    with pytest.raises(DiagnosticError, match="SNN305"):
        check_labels(data, 3)
    with pytest.raises(DiagnosticError, match="SNN305"):
        snnc.convert(exported_net(), calib=(IMAGES, targets), method="low-latency", target_drop=0.01)
    model = snnc.convert(exported_net(), calib=(IMAGES, targets), steps=8, accept_poor=True)
    with pytest.raises(DiagnosticError, match="SNN305"):
        snnc.evaluate(model, (IMAGES, targets))


# Modules


class Views(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = torch.nn.Conv2d(1, 4, 3, bias=False), torch.nn.Linear(64, 3, bias=False)
        self.drop = torch.nn.Dropout()

    def forward(self, x: Any) -> Any:
        hidden = torch.relu(self.conv(x))
        return self.fc(self.drop(hidden.view(hidden.shape[0], -1)))


def exported_net() -> Any:
    from snnc.reading.torch_export import exported

    torch.manual_seed(0)
    return exported(Views(), IMAGES[:2])


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("samples", [1, 4])
def test_from_torch(dynamo: bool, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dynamo:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    elif importlib.util.find_spec("onnxscript") is None:
        pytest.skip("onnxscript is not installed")
    torch.manual_seed(0)
    net = Views()
    net.drop.eval()
    model = snnc.from_torch(net, IMAGES[:samples], calib=loader(pair), steps=512, calib_steps=64)
    assert net.training
    assert not net.drop.training
    net.eval()
    with torch.no_grad():
        expected = net(IMAGES).numpy()
    outputs = model.run(IMAGES.numpy()).outputs["output"]
    assert outputs.shape == expected.shape
    assert np.linalg.norm(outputs - expected) < 0.2 * np.linalg.norm(expected)


@pytest.mark.parametrize("dynamo", [True, False])
def test_exporters_say_nothing(
    dynamo: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """torch warns of packages that are not installed, and of its older exporter."""
    if not dynamo:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    levels = [logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exported_net()
    assert capfd.readouterr() == ("", "")
    assert [logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")] == levels


def test_a_module_that_cannot_be_exported() -> None:
    class Counts(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError("no way")

    with pytest.raises(DiagnosticError, match=r"SNN103.*no way"):
        snnc.from_torch(Counts(), IMAGES[:1])


def test_what_is_no_module_or_no_batch_is_refused() -> None:
    wrong: list[tuple[Any, Any]] = [
        (Views, IMAGES[:1]),
        (Views(), IMAGES[:0]),
        (Views(), [1, 2]),
        (Views(), torch.ones(3)),
    ]
    for module, example in wrong:
        with pytest.raises(DiagnosticError, match="SNN405"):
            snnc.from_torch(module, example)


def test_what_torch_says_has_no_colours() -> None:
    class Colourful(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError("\x1b[31mno way\x1b[0m")

    with pytest.raises(DiagnosticError, match="no way") as raised:
        snnc.from_torch(Colourful(), IMAGES[:1])
    assert "\x1b" not in str(raised.value)


def test_a_module_that_decides_by_its_data_is_refused() -> None:
    """The older exporter would follow one of the two paths, and say nothing."""

    class Deciding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, samples: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.layer(samples).relu()
            return found if samples.mean() > 0 else -found

    torch.manual_seed(0)
    with pytest.raises(DiagnosticError, match="what torch exports is not the module"):
        snnc.from_torch(Deciding(), torch.rand(4, 3), method="exact")
