"""What is known of the models beside them, in `index.csv`: the data they were trained for, and how it was prepared."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NUMBER = r"-?\d*\.?\d+"
#: Of models of any height and width: the size that they are made for.
SIZES = {"ppocr_cls_mobile_v2.onnx": (3, 48, 192)}


@dataclass(frozen=True)
class Data:
    """Where data lie (at first their name), and scale, mean and std of `snnc.data.load`."""

    place: str
    form: dict[str, Any]


def indexed(folder: Path) -> dict[str, Data]:
    """By file name, of what is known."""
    index = folder / "index.csv"
    if not index.is_file():
        return {}
    found = {}
    with index.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            form = form_of(row["input_normalisation"])
            if form is not None:
                found[row["file"]] = Data(row["dataset"].split()[0], form)
    return found


def data_of(known: Data, places: Mapping[str, str | None]) -> Data | None:
    """The same where its data is at hand."""
    place = places.get(known.place)
    return None if place is None else Data(place, known.form)


def form_of(text: str) -> dict[str, Any] | None:
    """The words of the index as options; None where they are none of these."""
    text = text.split(" (best")[0].strip()
    if text == "x/255":
        return {}
    if text == "raw 0..255":
        return {"scale": 1.0}
    if text == "x/127.5-1":
        return {"scale": 1 / 127.5, "mean": (1.0,), "std": (1.0,)}
    subtracted, _, divided = text.replace("/255", "").partition("/")
    mean, std = ([float(number) for number in re.findall(_NUMBER, part)] for part in (subtracted, divided))
    if not mean or not std:
        return None
    return {"mean": tuple(abs(value) for value in mean), "std": tuple(std * len(mean) if len(std) == 1 else std)}
