"""The colours of pictures: seen on their ground, and told apart, also by readers who are colour-blind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snnc.measure.pictures import DARK, LIGHT, Theme

THEMES = {"light": LIGHT, "dark": DARK}
#: What is seen of linear red, green and blue (Machado, Oliveira and Fernandes, 2009, severity 1).
SIGHTS = {
    "trichromat": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
# Of CIELAB: 2.3 is just noticed side by side.
LEAST_DIFFERENCE = 14.0


def linear(colour: str) -> np.ndarray:
    """sRGB `#RRGGBB` as linear light, float `[3]`."""
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """Linear light as CIELAB (D65)."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ light.clip(0, 1) / (to_xyz @ np.ones(3))
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(first: str, second: str) -> float:
    """Of WCAG 2: from 1 to 21."""
    lightness = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour)) for colour in (first, second))
    return (lightness[1] + 0.05) / (lightness[0] + 0.05)


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_are_told_apart(name: str, sight: str) -> None:
    colours = THEMES[name].colours
    seen = {colour: lab(SIGHTS[sight] @ linear(colour)) for colour in colours}
    differences = {
        pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in itertools.combinations(colours, 2)
    }
    assert {pair: round(found, 1) for pair, found in differences.items() if found < LEAST_DIFFERENCE} == {}


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_parts_of_an_error_are_told_from_what_is_inherited(name: str, sight: str) -> None:
    theme = THEMES[name]
    muted = lab(SIGHTS[sight] @ linear(theme.muted))
    parts = [lab(SIGHTS[sight] @ linear(theme.colours[place])) for place in (0, 1, 4)]
    assert min(float(np.linalg.norm(part - muted)) for part in parts) > LEAST_DIFFERENCE


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_everything_is_seen_on_its_ground(theme: Theme) -> None:
    """Words with the contrast that WCAG 2 asks of text, colours with that of graphics (the lightest two are for points
    beside darker edges)."""
    assert contrast(theme.text, theme.back) > 7
    assert contrast(theme.grey, theme.back) > 4.5
    strong = [colour for colour in theme.colours if contrast(colour, theme.back) > 3]
    assert len(strong) >= 5
    assert strong[:3] == list(theme.colours[:3])
    assert all(contrast(colour, theme.back) > 1.8 for colour in (*theme.colours, theme.muted))
    assert contrast(theme.grid, theme.back) < 2


def test_dark_is_dark() -> None:
    assert contrast(DARK.back, "#000000") < 1.5
    assert contrast(LIGHT.back, "#FFFFFF") == 1
