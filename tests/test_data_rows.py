"""Data that are read piece by piece: the same samples, hash and range as in memory, whatever form they have."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from data_samples import COLOUR, GREY, LABELS, diagnosed

from snnc.data import DataSet, as_dataset, load
from snnc.data import dataset as dataset_module
from snnc.data.rows import ChosenRows, JoinedRows, Rows

Image = pytest.importorskip("PIL.Image")
SHAPE = (3, 5, 4)


def npz(folder: Path) -> str:
    np.savez(folder / "images.npz", x=COLOUR, y=LABELS)
    return str(folder / "images.npz")


def compressed(folder: Path) -> str:
    np.savez_compressed(folder / "images.npz", x=COLOUR, y=LABELS)
    return str(folder / "images.npz")


def npy(folder: Path) -> str:
    np.save(folder / "images.npy", COLOUR)
    return str(folder / "images.npy")


def folder_of_images(folder: Path) -> str:
    for index, (image, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
        (folder / "data" / f"class{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "data" / f"class{label}" / f"{index}.png")
    return str(folder / "data")


def same(one: DataSet, other: DataSet) -> None:
    assert one.images.dtype == np.float32
    assert np.array_equal(one.images, other.images)
    assert (one.labels is None) == (other.labels is None)
    assert one.labels is None or np.array_equal(one.labels, np.asarray(other.labels))
    assert one.survey() == other.survey()


@pytest.mark.parametrize("form", [npz, compressed, npy, folder_of_images])
@pytest.mark.parametrize("given", [{}, {"scale": 0.5, "mean": [1, 2, 3], "std": [2.0]}], ids=["bare", "prepared"])
def test_pieces_are_the_same_samples(
    form: Callable[[Path], str], given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_module, "PIECE_BYTES", 500)
    spec = form(tmp_path)
    whole, pieces = load(spec, SHAPE, **given), load(spec, SHAPE, memory=100, **given)
    assert isinstance(whole.stored, np.ndarray)
    assert isinstance(pieces.stored, Rows)
    assert pieces.stored.shape == (6, *SHAPE)
    same(whole, pieces)
    none = pieces.stored[2:2]
    assert none.shape == (0, *SHAPE)
    assert none.dtype == np.float32
    chosen = np.array([4, 5, 1])
    same(whole.select(chosen), pieces.select(chosen))
    same(whole.select(chosen).select(slice(1, 3)), pieces.select(chosen).select(slice(1, 3)))
    assert isinstance(pieces.select(chosen).within(720).stored, np.ndarray)
    assert isinstance(pieces.select(chosen).within(719).stored, Rows)
    same(as_dataset(pieces, SHAPE), whole)


def batches(labels: bool) -> Iterator[Any]:
    for start in range(0, 6, 4):
        chosen = slice(start, start + 4)
        yield (COLOUR[chosen], LABELS[chosen]) if labels else COLOUR[chosen]


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("memory", [None, 100])
def test_batches_of_a_generator_are_a_data_set(labels: bool, memory: int | None) -> None:
    found = as_dataset(batches(labels), SHAPE, memory=memory)
    assert isinstance(found.stored, Rows) == (memory is not None)
    same(found, as_dataset((COLOUR, LABELS if labels else None), SHAPE))


@pytest.mark.parametrize("labels", [True, False])
def test_lists_of_batches_and_of_samples_are_a_data_set(labels: bool) -> None:
    whole = as_dataset((COLOUR, LABELS if labels else None), SHAPE)
    same(as_dataset(list(batches(labels)), SHAPE), whole)
    thirds = [COLOUR[:2], COLOUR[2:4], COLOUR[4:]]
    same(as_dataset(thirds, SHAPE), as_dataset(COLOUR, SHAPE))
    same(as_dataset(list(COLOUR), SHAPE), as_dataset(COLOUR, SHAPE))
    if labels:
        pairs = list(zip(COLOUR, LABELS, strict=True))
        same(as_dataset(pairs, SHAPE), whole)
        same(as_dataset([list(batch) for batch in batches(labels)], SHAPE), whole)
        same(as_dataset([{"image": image, "label": label} for image, label in pairs], SHAPE), whole)


def test_batches_that_do_not_belong_together() -> None:
    with diagnosed("SNN303", "shape"):
        as_dataset(iter([COLOUR, GREY]), SHAPE)
    with diagnosed("SNN303", "float32"):
        as_dataset(iter([COLOUR, COLOUR.astype(np.float32)]), SHAPE)
    with diagnosed("SNN305", "batch 1"):
        as_dataset(iter([(COLOUR, LABELS), COLOUR]), SHAPE)
    with diagnosed("SNN305", "batch 0"):
        as_dataset(iter([(COLOUR, LABELS[:5])]), SHAPE)
    with diagnosed("SNN306"):
        as_dataset(iter([]), SHAPE)
    with diagnosed("SNN301", "nothing"):
        as_dataset([{}], SHAPE)


def test_what_is_not_finite_is_found_before_anything_is_computed(tmp_path: Path) -> None:
    values = np.zeros((6, *SHAPE), np.float32)
    values[4, 1, 2, 3] = np.nan
    values[5] = np.inf
    np.save(tmp_path / "bad.npy", values)
    pieces = load(tmp_path / "bad.npy", SHAPE, memory=100)
    with diagnosed("SNN304", "61 of 360 values", "sample 4 at [1, 2, 3]"):
        pieces.survey()
    with diagnosed("SNN304", "61 of 360 values", "sample 4 at [1, 2, 3]"):
        load(tmp_path / "bad.npy", SHAPE)


@pytest.mark.parametrize("form", [npz, compressed])
def test_a_damaged_archive_is_found_although_it_stays_where_it_is(form: Callable[[Path], str], tmp_path: Path) -> None:
    path = Path(form(tmp_path))
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with diagnosed("SNN301", "images.npz"):
        load(path, SHAPE, memory=100)


def test_a_truncated_file_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = Path(npy(tmp_path))
    path.write_bytes(path.read_bytes()[:-1])
    with diagnosed("SNN301", "truncated"):
        load(path, SHAPE, memory=100).survey()


def test_images_of_several_sizes_are_found_when_they_are_read(tmp_path: Path) -> None:
    folder = Path(folder_of_images(tmp_path))
    Image.fromarray(COLOUR[0, :3]).save(folder / "class2" / "small.png")
    with diagnosed("SNN302", "small.png"):
        load(folder, SHAPE, memory=100).survey()


def test_arrays_that_cannot_be_read_sample_by_sample_are_read_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "columns.npy", np.asfortranarray(COLOUR))
    same(load(tmp_path / "columns.npy", SHAPE, memory=100), load(tmp_path / "columns.npy", SHAPE))


def test_a_disk_that_is_too_small_is_reported_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**26 + 300))
    with diagnosed("SNN412", "is compressed", "bytes of temporary files", "64.0 MiB free"):
        load(compressed(tmp_path), SHAPE, memory=100)
    with diagnosed("SNN412", "TMPDIR"):
        as_dataset(iter([COLOUR, COLOUR]), SHAPE)


def test_floats_that_are_not_scaled_are_read_from_no_place(tmp_path: Path) -> None:
    """Nothing has no range, which a note would tell."""
    np.save(tmp_path / "images.npy", np.full((6, *SHAPE), 3, np.float32))
    rows = load(str(tmp_path / "images.npy"), SHAPE, memory=100).stored
    assert isinstance(rows, Rows)
    for some in (rows, ChosenRows(rows, np.arange(3)), JoinedRows([rows, np.zeros((2, *SHAPE), np.float32)])):
        assert some[0:0].shape == (0, *SHAPE)
        assert some[:0].dtype == np.float32
