"""Pages of `--report` and pictures of `snnc plot`: what is in them. How they look is for eyes."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commands import CALIBRATED, FAST, Invoke, refuse

from snnc.api import SpikingModel, gathering, open_converted
from snnc.cli import plot
from snnc.measure.figures import draw_confusion, draw_layers, draw_potentials, draw_scatter
from snnc.measure.page import PICTURES
from snnc.measure.pictures import DARK, LIGHT

DATA = ("--data", "digits:test", "--samples", "20")


class Page(HTMLParser):
    """Headings and sources of a page; only these tags stay open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.sources: list[str] = []
        self.tag = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag = tag
        self.sources += [str(value) for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        if self.tag == "h2" and data.strip():
            self.headings.append(data)


def headings(*names: str) -> list[str]:
    return ["Layers", "Against steps", *(PICTURES[name].title for name in names)]


def test_a_page_has_everything_in_it(invoke: Invoke, converted: Path) -> None:
    shown = invoke("eval", converted, *DATA, "--ann", "net.onnx", "--steps", "4,16", "--report", "page.html")
    assert shown.stdout.endswith("wrote page.html\n")
    page = Page(Path("page.html"))
    assert page.headings == headings(*PICTURES)
    assert len(page.sources) == len(set(page.sources)) == 2 * len(PICTURES)  # light and dark
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in page.sources)
    text = Path("page.html").read_text(encoding="utf-8")
    assert "http:" not in text  # a colon is no letter of base64, which may hold any word
    assert "https:" not in text
    assert "prefers-color-scheme: dark" in text
    assert "/4/Relu" in text
    assert "The first 64 steps of 2 samples." in text
    assert len(text) < 600_000  # a palette makes two pictures lighter than one without


def test_a_page_without_an_ann(invoke: Invoke, converted: Path) -> None:
    invoke("eval", converted, *DATA, "--steps", "4", "--report", "page.html")
    wanted = ("curve", "energy", "layers", "potentials", "confusion", "raster")
    assert Page(Path("page.html")).headings == [*headings(*wanted), "Not on this page"]
    assert "(snnc plot scatter): give the ANN with `--ann`." in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [CALIBRATED, ("--method", "exact", "--calib", "digits:train"), FAST])
def test_a_page_of_a_conversion(invoke: Invoke, options: tuple[str, ...]) -> None:
    """With data, of a network that settles, and without data."""
    invoke("convert", "net.onnx", *options, "--report", "page.html")
    assert Page(Path("page.html")).headings == headings(*PICTURES)


def test_what_is_no_page_is_refused_before_any_work(invoke: Invoke, converted: Path) -> None:
    assert "--json FILE.json" in refuse(invoke, "SNN401", "convert", "net.onnx", "--report", "report.json").stderr
    refuse(invoke, "SNN401", "eval", converted, "--data", "nowhere.npz", "--report", "missing/page.html")


def test_every_picture_has_a_command(invoke: Invoke, converted: Path) -> None:
    assert set(plot._PICTURES) == set(PICTURES)
    for name in PICTURES:
        invoke("plot", name, converted, *DATA, "--ann", "net.onnx", "-o", f"{name}.png")
        assert Path(f"{name}.png").read_bytes().startswith(b"\x89PNG")
    invoke("plot", "raster", converted, *DATA, "-o", "raster.svg")
    invoke("plot", "raster", converted, *DATA, "--dark", "-o", "dark.svg")
    light, dark = (Path(f"{name}.svg").read_text(encoding="utf-8") for name in ("raster", "dark"))
    assert "<svg" in light
    assert LIGHT.colours[0].lower() in light
    assert DARK.colours[0].lower() in dark
    assert f"fill: {DARK.back.lower()}" in dark
    Path("net.snn.onnx").write_bytes(converted.read_bytes())
    assert "wrote net.layers.png" in invoke("plot", "layers", "net.snn.onnx", *DATA).stdout
    assert (
        "give the ANN with `--ann`" in refuse(invoke, "SNN405", "plot", "scatter", converted, *DATA, exit_code=2).stderr
    )


def test_dark_is_about_a_picture(invoke: Invoke, converted: Path) -> None:
    """On the command line; in a config file it is a taste, whatever else a command does."""
    assert "--dark is about" in invoke("eval", converted, *DATA, "--dark", exit_code=2).stderr
    Path("snnc.toml").write_text("[eval]\ndark = true\nsteps = [4]\n", encoding="utf-8")
    invoke("eval", converted, *DATA)
    invoke("eval", converted, *DATA, "--plot", "curve.svg")
    assert f"fill: {DARK.back.lower()}" in Path("curve.svg").read_text(encoding="utf-8")


def test_large_networks_are_recorded_in_part(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps as there is room for; of one sample, or of none."""
    model, file = SpikingModel.load(converted), open_converted(converted)
    images = np.zeros((2, *file.input_dims), np.float32)
    each = sum(layer.neurons for layer in file.layers) * gathering._BYTES_PER_NEURON
    for room, shape in ((2**28, (64, 2)), (each * 65, (64, 1)), (each * 5, (5, 1)), (each - 1, None)):
        monkeypatch.setattr(gathering, "_RECORDED_BYTES", room)
        found = gathering._recorded(model, file, images)
        assert (None if found is None else found["/4/Relu"].shape[:2]) == shape


def test_pictures_of_odd_networks() -> None:
    """No layers, very many of them, layers that are silent, one class, very many classes."""
    rng = np.random.default_rng(0)
    silent = np.zeros((3, 4))
    pictures = [
        draw_layers([]),
        draw_scatter({f"layer{index}": (rng.random((2, 5)), rng.random((2, 5))) for index in range(40)}),
        draw_scatter({"silent": (silent, silent)}),
        draw_potentials({"silent": silent[None]}),
        draw_potentials({"far below": silent[None] - 100}),
        draw_potentials({"charges": rng.integers(-9000, 9000, (8, 3, 4))}, without_threshold={"charges"}),
        draw_confusion(np.array([[3]])),
        draw_confusion(rng.integers(0, 9, (100, 100)), against_ann=True),
    ]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
