"""What Python shows: options with their types; models, reports, results and curves at a prompt and in a notebook."""

from __future__ import annotations

import inspect
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import DIGITS

import snnc
from snnc.api import SpikingModel
from snnc.api.options import ConvertOptions
from snnc.cli.typed_options import TYPED_OPTIONS, typed_options
from snnc.data import load
from snnc.diagnostics import DiagnosticError
from snnc.ir.options import OPTIONS
from snnc.measure.certificate import Equality
from snnc.measure.recording import Recording
from snnc.measure.table import Grid


@pytest.fixture(scope="module")
def model() -> SpikingModel:
    return snnc.convert(DIGITS, calib="digits:train", steps=16, calib_steps=16, calib_samples=32)


class Cells(HTMLParser):
    """The texts in a page; every tag has to be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_every_option_has_a_type_and_a_line() -> None:
    assert typed_options() == TYPED_OPTIONS.read_text(encoding="utf-8"), "run python -m snnc.cli.generate"
    assert set(ConvertOptions.__annotations__) == {*OPTIONS, "relaxed", "plugin_options"}
    for name in OPTIONS:
        assert f"    {name}: " in (ConvertOptions.__doc__ or "")
    assert "--" not in (ConvertOptions.__doc__ or "")


def test_options_of_plug_ins_have_a_place_of_their_own() -> None:
    with pytest.raises(DiagnosticError, match="has an option 'blunt'"):
        snnc.convert(DIGITS, plugin_options={"blunt": 1})
    with pytest.raises(DiagnosticError, match="there is 'calib'"):
        snnc.convert(DIGITS, clib="digits:train")  # type: ignore[call-arg]


def test_models_and_reports(model: SpikingModel, tmp_path: Path) -> None:
    assert repr(model).startswith("SpikingModel(3 layers of neurons, 16 steps, agreement with the ANN ")
    assert repr(model.report) == repr(model).replace("SpikingModel", "Report")
    assert str(model) == str(model.report)
    assert "/4/Relu" in Cells(model._repr_html_()).found
    model.save(tmp_path / "net.snn.onnx")
    loaded = SpikingModel.load(tmp_path / "net.snn.onnx")
    assert (loaded.report.layers, loaded.report.verification) == (model.report.layers, model.report.verification)
    with pytest.raises(DiagnosticError, match="SNN402"):
        SpikingModel.load(DIGITS)


def test_results_and_curves(model: SpikingModel) -> None:
    images = load("digits:test", (1, 8, 8)).images[:3]
    result = model.run(images)
    assert repr(result).startswith("Result(outputs logits [3, 10]; 16 steps; ")
    assert "/4/Relu" in Cells(result._repr_html_()).found
    curve = snnc.evaluate(model, "digits:test", steps=[4, 16])
    assert repr(curve).startswith("Curve(2 points up to 16 steps, 500 samples; accuracy ")
    assert str(curve).startswith("steps  accuracy %")
    assert "accuracy %" in Cells(curve._repr_html_()).found


def test_a_sweep() -> None:
    told: list[int] = []
    cells: list[dict[str, Any]] = [{"alpha": 1.0}, {"alpha": 0.5, "reset": "hard"}]
    curves = snnc.sweep(
        DIGITS, "digits:train", "digits:test", cells, at_steps=[2, 8],
        calib_samples=16, calib_steps=8, progress=lambda cell, stage, share: told.append(cell),
    )  # fmt: skip
    assert [[point.steps for point in curve.points] for curve in curves] == [[2, 8], [2, 8]]
    assert curves[0].points != curves[1].points
    assert told == sorted(told)
    assert set(told) == {0, 1}


def test_names_are_no_markup() -> None:
    assert "<script>" not in Grid(["<b>"], [["<script>"]]).html()
    assert Cells(Grid(["<b>"], [["<script>"]]).html()).found == ["<b>", "<script>"]


def test_what_was_compared_is_told_in_a_line() -> None:
    steps = np.array([3, 5])
    same = Equality(steps, 10, 20, 4, outputs={"y": np.zeros((2, 1000))})
    assert repr(same) == (
        "Equality(4 layers on 2 samples; no differences; last spike after 4.0 steps on average, 5 at most)"
    )
    other = Equality(steps, 10, 20, 4, differences=["the output '<y>' is 1 instead of 2", "another one"])
    assert "2 differences, first: the output '<y>' is 1" in repr(other)
    assert Cells(other._repr_html_()).found[0] == repr(other)
    assert repr(Equality(steps[:0], 0, 0, 4)) == "Equality(4 layers on 0 samples; no differences)"


@pytest.mark.parametrize("name", sorted({*snnc.__all__} - {"data", "runtime"}))
def test_help_shows_no_places_in_memory(name: str) -> None:
    found = getattr(snnc, name)
    if inspect.isfunction(found):
        assert " at 0x" not in str(inspect.signature(found))


def test_a_layer_that_was_not_recorded_is_named_with_those_that_were() -> None:
    found = Recording()
    found["relu"] = np.zeros((1, 1), bool)
    with pytest.raises(KeyError, match="'conv' were recorded; there are those of 'relu'"):
        found["conv"]
    assert found.get("conv") is None
