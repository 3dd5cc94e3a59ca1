"""The training example of CIFAR-10: an interruption changes nothing, and what it exports can be converted."""

from __future__ import annotations

import importlib
import itertools
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

import snnc

pytest.importorskip("torch")

EXAMPLE = Path(__file__).parent.parent / "examples" / "cifar10"
SMALL: dict[str, Any] = {
    "resnet20": {"network": "resnet20", "width": 0.5, "dropout": 0.1},
    "vgg16": {"network": "vgg16", "width": 0.125, "dropout": 0.1},
}
TRAINING = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "seed": 0,
    "precision": "float32",
}


class Interrupted(Exception):
    """Raised where a run is cut off."""


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """examples/cifar10/train.py, imported as it is when it is run: with the files beside it."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("train", "images", "models", "steps"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("train")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few images of each class in an npz, all of one brightness that depends on the class."""
    random = np.random.default_rng(0)
    y_train, y_test = np.arange(40) % 10, np.arange(20) % 10
    x_train, x_test = (
        (labels.reshape(-1, 1, 1, 1) * 20 + random.integers(0, 20, (len(labels), 32, 32, 3))).astype(np.uint8)
        for labels in (y_train, y_test)
    )
    np.savez(tmp_path / "images.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return tmp_path / "images.npz"


def weights(checkpoint: Path) -> dict[str, np.ndarray]:
    import torch

    state = torch.load(checkpoint, weights_only=True)["network"]
    return {name: value.numpy() for name, value in state.items()}


@pytest.mark.parametrize("network", SMALL)
def test_an_interrupted_run_ends_with_the_same_weights(
    network: str, example: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = example.Settings(**SMALL[network], **TRAINING)
    example.train(settings, data, tmp_path / "whole.onnx", tmp_path / "whole.pt")

    def save_and_stop(run: Any, path: Path) -> None:
        save(run, path)
        raise Interrupted

    save = example.Run.save
    with monkeypatch.context() as patch:
        patch.setattr(example.Run, "save", save_and_stop)
        with pytest.raises(Interrupted):
            example.train(settings, data, tmp_path / "cut.onnx", tmp_path / "cut.pt")
    half_way = weights(tmp_path / "cut.pt")
    example.train(settings, data, tmp_path / "cut.onnx", tmp_path / "cut.pt")

    whole, resumed = weights(tmp_path / "whole.pt"), weights(tmp_path / "cut.pt")
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    assert not all(np.array_equal(half_way[name], resumed[name]) for name in half_way)
    assert (tmp_path / "whole.onnx").read_bytes() == (tmp_path / "cut.onnx").read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(example: ModuleType, data: Path, tmp_path: Path) -> None:
    settings, training = example.Settings(**SMALL["resnet20"], **TRAINING), example.read_split(data, "train")
    example.Run(settings, training).save(tmp_path / "run.pt")
    other = example.Settings(**SMALL["resnet20"], **{**TRAINING, "epochs": 3})
    with pytest.raises(SystemExit, match="written with epochs 2, not 3"):
        example.Run(other, training).resume(tmp_path / "run.pt")


@pytest.mark.parametrize("network", SMALL)
def test_the_export_converts(network: str, example: ModuleType, data: Path, tmp_path: Path) -> None:
    import torch

    images = example.read_split(data, "test").images
    trained = example.Run(example.Settings(**SMALL[network], **TRAINING), example.read_split(data, "train")).network
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        example.export(trained, path)

    with torch.no_grad():
        expected = trained.eval()(images).numpy()
    logits = onnxruntime.InferenceSession(path).run(["logits"], {"image": images.numpy()})[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    # Weights as drawn classify nothing, so few steps leave a poor network.
    spiking = snnc.convert(path, calib=images.numpy(), steps=8, calib_steps=8, accept_poor=True).model
    assert spiking.graph.output[0].name == "logits"


def test_binaries_of_cifar_100_give_a_hundred_classes(example: ModuleType, tmp_path: Path) -> None:
    """A record is a coarse and a fine label and the pixels; the fine ones are learned."""
    random = np.random.default_rng(0)
    for name, samples in (("train", 200), ("test", 100)):
        labels = np.stack([np.arange(samples) % 20, np.arange(samples) % 100], 1)
        records = np.concatenate([labels, random.integers(0, 256, (samples, 3 * 32 * 32))], 1)
        records.astype(np.uint8).tofile(tmp_path / f"{name}.bin")
    settings = example.Settings(**SMALL["resnet20"], **{**TRAINING, "epochs": 1})
    example.train(settings, tmp_path, tmp_path / "net.onnx", None)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert session.get_outputs()[0].shape[1] == 100
    assert example.read_split(tmp_path, "test").labels.max() == 99


def test_the_learning_rate_warms_up_and_falls_in_steps(example: ModuleType) -> None:
    settings = example.Settings(**SMALL["resnet20"], **{**TRAINING, "epochs": 10, "learning_rate": 1.0})
    rates = [settings.learning_rate_at(epochs) for epochs in (0.25, 1.0, 2.9, 3.0, 6.0, 8.0)]
    np.testing.assert_allclose(rates, [0.25, 1.0, 1.0, 0.2, 0.04, 0.008])


def test_dropout_is_where_the_paper_has_it(example: ModuleType) -> None:
    """After each ReLU that no pooling follows; in residual networks in front of the second convolutions alone."""
    from torch import nn

    vgg = [type(layer) for layer in example.build_network("vgg16", 0.125, 0.1)]
    followers = [after for layer, after in itertools.pairwise(vgg) if layer is nn.ReLU]
    assert len(followers) == 15
    assert followers.count(nn.AvgPool2d) == 5
    assert followers.count(nn.Dropout) == vgg.count(nn.Dropout) == 10

    resnet = example.build_network("resnet20", 0.5, 0.1)
    dropped = [name for name, layer in resnet.named_modules() if isinstance(layer, nn.Dropout)]
    assert len(dropped) == 9
    assert all(name.endswith("residual.2") for name in dropped)
