"""The ImageNet example on generated JPEG folders: crops, resuming within an epoch, export, and what snnc reads."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

import snnc
from snnc.data import load

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

EXAMPLE = Path(__file__).parent.parent / "examples" / "imagenet"
SIZE = 32
SETTINGS: dict[str, Any] = {
    "network": "resnet34",
    "size": SIZE,
    "width": 0.125,
    "dropout": 0.1,
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 0.05,
    "weight_decay": 1e-4,
    "seed": 0,
}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """examples/imagenet/train.py, with the files beside it and those of examples/cifar10."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("train", "folders", "networks", "models", "images"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("train")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes of JPEG files of several sizes, some of them grey."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for label, name in enumerate(("n01", "n02", "n03")):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(70 * label, 70 * label + 70, (40 + 7 * number, 60, 3)).astype(np.uint8)
                image = Image.fromarray(pixels)
                (image.convert("L") if number == 1 else image).save(folder / f"{number}.JPEG")
    return tmp_path / "images"


class Interrupted(Exception):
    """Raised where a run is cut off."""


def weights(checkpoint: Path) -> dict[str, np.ndarray]:
    import torch

    return {name: value.numpy() for name, value in torch.load(checkpoint, weights_only=True)["network"].items()}


def test_a_run_interrupted_within_an_epoch_ends_with_the_same_weights(
    example: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = example.Settings(**SETTINGS)
    example.train(settings, data, tmp_path / "whole.onnx", checkpoint=tmp_path / "whole.pt", every=3)

    def save_and_stop(run: Any, path: Path) -> None:
        save(run, path)
        assert (run.epochs_done, run.batches_done) == (0, 3)
        raise Interrupted

    save = example.Run.save
    with monkeypatch.context() as patch:
        patch.setattr(example.Run, "save", save_and_stop)
        with pytest.raises(Interrupted):
            example.train(settings, data, tmp_path / "cut.onnx", checkpoint=tmp_path / "cut.pt", every=3)
    half_way = weights(tmp_path / "cut.pt")
    # Other numbers of workers change nothing either.
    example.train(settings, data, tmp_path / "cut.onnx", checkpoint=tmp_path / "cut.pt", every=3, workers=1)
    whole, resumed = weights(tmp_path / "whole.pt"), weights(tmp_path / "cut.pt")
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    assert not all(np.array_equal(half_way[name], resumed[name]) for name in half_way)


def test_a_checkpoint_of_other_settings_is_refused(example: ModuleType, data: Path, tmp_path: Path) -> None:
    images = example.Images(data / "train", SIZE)
    example.Run(example.Settings(**SETTINGS), images, "cpu").save(tmp_path / "run.pt")
    other = example.Run(example.Settings(**{**SETTINGS, "epochs": 3}), images, "cpu")
    with pytest.raises(SystemExit, match="written with epochs 2, not 3"):
        other.resume(tmp_path / "run.pt")


@pytest.mark.parametrize("network", ["resnet34", "vgg16"])
def test_the_export_converts(network: str, example: ModuleType, data: Path, tmp_path: Path) -> None:
    import torch

    settings = example.Settings(**{**SETTINGS, "network": network})
    run = example.Run(settings, example.Images(data / "train", SIZE), "cpu")
    images = torch.stack([example.Images(data / "val", SIZE)[-1, number][0] for number in range(6)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        example.export(run.network, SIZE, tmp_path / "net.onnx")
    with torch.no_grad():
        expected = run.network.eval()(images).numpy()
    logits = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(["logits"], {"image": images.numpy()})[0]
    assert logits.shape == (6, 3)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    # No bias, no batch normalisation: converted without --relaxed. Weights as drawn classify nothing.
    snnc.convert(tmp_path / "net.onnx", calib=images.numpy(), steps=8, calib_steps=8, accept_poor=True)


def test_the_full_networks_are_those_of_the_paper(example: ModuleType) -> None:
    """Parameters of He et al. and of Simonyan and Zisserman without biases and batch normalisation."""
    from torch import nn

    def sizes(name: str) -> tuple[int, int]:
        network = example.build_network(name, 1000, 1.0, 0.1, 224)
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        return sum(value.numel() for value in network.parameters()), len(layers)

    assert sizes("resnet34") == (21_779_648, 37)  # torchvision's 21,797,672 without 17,024 of norms and 1,000 biases
    assert sizes("vgg16") == (138_344_128, 16)
    with pytest.raises(SystemExit, match="multiple of 32"):
        example.build_network("vgg16", 10, 1.0, 0.1, 100)


def test_crops(example: ModuleType, data: Path) -> None:
    images = example.Images(data / "train", SIZE, seed=1)
    assert (len(images), images.classes) == (18, ["n01", "n02", "n03"])
    first, label = images[0, 7]
    assert (tuple(first.shape), label) == ((3, SIZE, SIZE), 1)
    assert (images[0, 7][0] == first).all()  # drawn from the seed, the epoch and the image
    assert (images[1, 7][0] != first).any()
    assert (example.Images(data / "train", SIZE, seed=2)[0, 7][0] != first).any()
    assert (images[-1, 7][0] == images[-1, 7][0]).all()


def test_batches_of_an_epoch(example: ModuleType) -> None:
    whole = list(example.Batches(10, 4, epoch=2, seed=0))
    assert [len(batch) for batch in whole] == [4, 4]
    assert {epoch for batch in whole for epoch, _ in batch} == {2}
    assert len({number for batch in whole for _, number in batch}) == 8
    assert list(example.Batches(10, 4, epoch=2, seed=0, first=1)) == whole[1:]
    assert list(example.Batches(10, 4, epoch=3, seed=0)) != whole


def test_centre_crops_are_what_snnc_reads(
    example: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = importlib.import_module("folders")
    arguments = ["--data", str(data / "val"), "--output", str(tmp_path / "crops"), "--size", str(SIZE)]
    monkeypatch.setattr(sys, "argv", ["folders.py", *arguments])
    folders.main()
    read = load(str(tmp_path / "crops"), (3, SIZE, SIZE), mean=folders.MEAN, std=folders.DEVIATION)
    own = example.Images(data / "val", SIZE)
    assert read.labels is not None
    assert read.labels.tolist() == [label for _, label in own.files]
    np.testing.assert_allclose(read.images[3], own[-1, 3][0].numpy(), atol=1e-5)
