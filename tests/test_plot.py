"""Pictures: that they are drawn from all kinds of curves and spikes. How they look is for eyes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snnc.diagnostics import DiagnosticError
from snnc.measure.evaluation import Curve, Point
from snnc.measure.figures import draw_confusion
from snnc.measure.pictures import picture_format
from snnc.measure.plot import draw_curves, plot_raster

STEPS = (1, 2, 4, 8, 16, 32)


def curve(level: float, *, labelled: bool = True, steps: tuple[int, ...] = STEPS, rate: float = 9.0) -> Curve:
    """Accuracy that rises to `level`."""
    points = [
        Point(
            steps=step,
            accuracy=level * (1 - 0.5**step) if labelled else None,
            agreement=level * (1 - 0.6**step),
            error=1 / step,
            spike_rate=rate * (1 - 0.7**step),
            layer_rates={},
            spikes_per_neuron=0.05 * step,
            operations=100.0 * step,
            macs=0.0,
            energy_uj=0.1 * step,
        )
        for step in steps
    ]
    return Curve(points, 100, 0, 0.97 if labelled else None, 1000, 0.0)


def draw(path: Path, curves: dict[str, list[Curve]], title: str = "") -> None:
    path.write_bytes(draw_curves(curves, title=title, form=picture_format(path)))


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 and is_whole(path.read_bytes())


def is_whole(png: bytes, inches: float = 7) -> bool:
    """Whether nothing reaches the border of a picture on white, and it is no wider than it should be."""
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    border = np.concatenate([pixels[:4].reshape(-1), pixels[-4:].reshape(-1), pixels[:, :4].reshape(-1)])
    border = np.concatenate([border, pixels[:, -4:].reshape(-1)])
    return bool((border == 255).all()) and abs(pixels.shape[1] / (160 * inches) - 1) < 0.05


@pytest.mark.parametrize("networks", [1, 2, 3, 4, 12])
def test_several_networks(tmp_path: Path, networks: int) -> None:
    curves = {f"{reset} α={alpha}": [curve(0.9)] for alpha in range(6) for reset in ("soft", "hard")}
    chosen = dict(list(curves.items())[:networks])
    draw(tmp_path / "plot.png", chosen, title="networks")
    assert is_picture(tmp_path / "plot.png")


@pytest.mark.parametrize("networks", [1, 5])
def test_names_that_are_no_cells(tmp_path: Path, networks: int) -> None:
    draw(tmp_path / "plot.png", {f"net{index}{'-long' * 20}.snn.onnx": [curve(0.9)] for index in range(networks)})
    assert is_picture(tmp_path / "plot.png")


@pytest.mark.parametrize("networks", [2, 4])
def test_networks_that_take_other_steps(tmp_path: Path, networks: int) -> None:
    """As those of several levels: every one is drawn to its end."""
    curves = {f"levels {2**index}": [curve(0.9, steps=STEPS[: 2 + index])] for index in range(networks)}
    draw(tmp_path / "plot.png", curves)
    assert is_picture(tmp_path / "plot.png")


@pytest.mark.parametrize("against_ann", [True, False])
@pytest.mark.parametrize("classes", [1, 10, 20, 100])
def test_words_of_a_confusion_are_not_cut(classes: int, against_ann: bool) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes))
    assert is_whole(draw_confusion(counts, against_ann=against_ann), 5.4)


def test_seeds_labels_and_single_steps(tmp_path: Path) -> None:
    draw(tmp_path / "seeds.png", {"seeds": [curve(0.9), curve(0.8), curve(0.85)]})
    draw(tmp_path / "unlabelled.png", {"unlabelled": [curve(0.9, labelled=False)]})
    draw(tmp_path / "one.png", {"one": [curve(0.9, steps=(64,))]})
    draw(tmp_path / "silent.png", {"silent": [curve(0.1, rate=0.0)]})
    assert all(is_picture(tmp_path / f"{name}.png") for name in ("seeds", "unlabelled", "one", "silent"))


def test_regression_shows_the_error(tmp_path: Path) -> None:
    points = [Point(step, None, None, 1 / step, 5.0, {}, 0.5, 1.0, 0.0, 1.0) for step in STEPS]
    draw(tmp_path / "plot.png", {"regression": [Curve(points, 10, 0, None, 1000, 0.0)]})
    assert is_picture(tmp_path / "plot.png")


def test_formats(tmp_path: Path) -> None:
    draw(tmp_path / "plot.svg", {"net": [curve(0.9)]})
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    with pytest.raises(DiagnosticError, match="SNN401"):
        draw(tmp_path / "plot.docx", {"net": [curve(0.9)]})
    assert not (tmp_path / "plot.docx").exists()


def test_raster(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plot_raster(rng.random((100, 300)) < 0.1, tmp_path / "spikes.png", title="layer")
    plot_raster(rng.integers(-1, 2, (20, 5000)).astype(np.int8), tmp_path / "signed.png")
    plot_raster(np.zeros((5, 1, 3, 2, 2), bool), tmp_path / "silent.png")
    assert all(is_picture(tmp_path / f"{name}.png") for name in ("spikes", "signed", "silent"))
    with pytest.raises(ValueError, match="must be"):
        plot_raster(np.zeros(5), tmp_path / "shape.png")


def test_missing_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DiagnosticError, match="SNN407") as raised:
        draw(tmp_path / "plot.png", {"net": [curve(0.9)]})
    assert "pip install" in str(raised.value)
