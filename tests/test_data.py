"""Data sets: arrays in files, the digits, and what users hand over in Python; bad files as diagnostics."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from data_samples import GREY, LABELS, RANDOM, diagnosed, save_npz

from snnc.data import as_dataset, check_labels, digits_split, load
from snnc.diagnostics import DiagnosticError

# --- npz and npy --------------------------------------------------------------------------------------------


def test_npz_with_splits(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "a.npz", x_train=GREY, y_train=LABELS, x_test=GREY[:2], y_test=LABELS[:2])
    data = load(f"{file}:test", (1, 5, 4))
    assert data.images.dtype == np.float32
    np.testing.assert_array_equal(data.images, GREY[:2, None] / np.float32(255))
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [0, 1]
    assert data.name == f"{file}:test"
    assert "uint8 divided by 255" in data.notes
    assert "5x4 -> 1x5x4" in data.notes
    assert len(load(f"{file}:train", (1, 5, 4))) == 6
    with diagnosed("SNN301", "several splits: test, train"):
        load(file)
    with diagnosed("SNN301", "no split 'validation', only: test, train"):
        load(f"{file}:validation")


@pytest.mark.parametrize(
    ("images", "labels", "split"),
    [
        ("x", "y", ""),
        ("X", "Y", ""),
        ("images", "labels", ""),
        ("data", "target", ""),
        ("arr_0", "arr_1", ""),
        ("train_images", "train_labels", ":train"),
        ("x_test_first100", "y_test_first100", ":test"),
    ],
)
def test_npz_keys(tmp_path: Path, images: str, labels: str, split: str) -> None:
    file = save_npz(tmp_path / "a.npz", **{images: GREY, labels: LABELS})
    data = load(file + split)
    assert data.labels is not None
    assert data.labels.tolist() == LABELS.tolist()
    assert any(repr(images) in note for note in data.notes)


def test_the_only_split_and_the_only_array_need_no_name(tmp_path: Path) -> None:
    assert len(load(save_npz(tmp_path / "a.npz", x_test=GREY, y_test=LABELS))) == 6
    alone = load(save_npz(tmp_path / "b.npz", pictures=GREY))
    assert alone.labels is None
    with diagnosed("SNN301", "no splits"):
        load(save_npz(tmp_path / "c.npz", x=GREY) + ":test")
    with diagnosed("SNN301", "foo, bar", "name the arrays x and y"):
        load(save_npz(tmp_path / "d.npz", foo=GREY, bar=LABELS))


def test_a_place_with_colons_in_its_name(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "a:b.npz", x=GREY, y=LABELS)
    assert len(load(file)) == 6
    with diagnosed("SNN301", "name of the split is missing"):
        load("a.npz:")


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY)
    data = load(tmp_path / "a.npy", (1, 5, 4))
    assert data.labels is None
    assert data.images.shape == (6, 1, 5, 4)
    with diagnosed("SNN305", "has no labels"):
        check_labels(data, 10)
    with diagnosed("SNN301", "no splits"):
        load(f"{tmp_path}/a.npy:test")


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.bin", "images-idx3-ubyte", "a.pkl", "a"])
@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04 nonsense", b"\x93NUMPY nonsense", b"hello", bytes(64)])
def test_nonsense_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    rule = "SNN306" if name == "a.bin" and not content else "SNN301"
    with diagnosed(rule, name):
        load(tmp_path / name)


def test_missing_files(tmp_path: Path) -> None:
    for spec in ("nowhere.npz", "nowhere.npz:test", "nowhere/", "no:where"):
        with diagnosed("SNN301", "does not exist"):
            load(f"{tmp_path}/{spec}")
    for spec in ("", "a\0b"):
        with diagnosed("SNN301"):
            load(spec)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, GREY)
    file.chmod(0)
    with diagnosed("SNN301", "Permission denied"):
        load(file)


def test_damaged_npz_never_crashes(tmp_path: Path) -> None:
    """Any byte of a file may be wrong: the result is a data set or a diagnostic."""
    file = tmp_path / "a.npz"
    np.savez_compressed(file, x=GREY, y=LABELS)
    whole = file.read_bytes()
    positions = range(0, len(whole), 3)
    accepted = 0
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        file.write_bytes(damaged)
        with suppress(DiagnosticError):
            load(file)
            accepted += 1
    assert accepted < len(positions) / 2
    file.write_bytes(whole[: len(whole) // 2])
    with diagnosed("SNN301"):
        load(file)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    with diagnosed("SNN303", "pickled Python objects"):
        load(save_npz(tmp_path / "a.npz", x=objects))
    np.save(tmp_path / "a.npy", objects)
    with diagnosed("SNN303", "pickled Python objects"):
        load(tmp_path / "a.npy")


# --- digits -------------------------------------------------------------------------------------------------


def test_digits() -> None:
    train, test, everything = (load(f"digits:{split}", (1, 8, 8)) for split in ("train", "test", "all"))
    assert train.images.shape == (1297, 1, 8, 8)
    assert test.images.shape == (500, 1, 8, 8)
    assert test.images.max() == 1.0
    assert "uint8 divided by 16" in test.notes
    counts, shares = (
        np.bincount(check_labels(test, 10)),
        np.bincount(check_labels(everything, 10)) * 500 / 1797,
    )
    assert np.abs(counts - shares).max() < 1
    with diagnosed("SNN301", "several splits: all, test, train"):
        load("digits")
    with diagnosed("SNN301", "no split 'validation'"):
        load("digits:validation")


def test_digits_split_never_changes() -> None:
    """The demo's network was trained on one part: the other must stay the same."""
    train, test = digits_split(check_labels(load("digits:all"), 10))
    assert sorted([*train, *test]) == list(range(1797))
    assert test[:10].tolist() == [0, 7, 12, 13, 16, 23, 24, 27, 28, 33]
    assert int(test.sum()) == 431362


# --- DataSet and the Python API -----------------------------------------------------------------------------


def test_as_dataset_accepts_what_users_have(tmp_path: Path) -> None:
    data = as_dataset((GREY, LABELS), (1, 5, 4))
    again = as_dataset(data, (1, 5, 4))
    assert again.content_hash() == data.content_hash()
    assert as_dataset((GREY, None), (1, 5, 4)).labels is None
    assert as_dataset(GREY.tolist(), (1, 5, 4)).images.max() == GREY.max()
    file = save_npz(tmp_path / "a.npz", x=GREY, y=LABELS)
    assert as_dataset(file, (1, 5, 4)).content_hash() == data.content_hash()
    assert as_dataset(Path(file), (1, 5, 4)).content_hash() == data.content_hash()


def test_the_input_is_not_changed() -> None:
    images = RANDOM.random((2, 4), dtype=np.float32)
    copy = images.copy()
    as_dataset(images, (4,), scale=2.0, mean=[1.0])
    np.testing.assert_array_equal(images, copy)


def test_content_hash_depends_on_images_labels_and_shape() -> None:
    data = as_dataset((GREY, LABELS), (1, 5, 4))
    changed = GREY.copy()
    changed[0, 0, 0] ^= 1
    others = [
        as_dataset((changed, LABELS), (1, 5, 4)),
        as_dataset((GREY, LABELS[::-1]), (1, 5, 4)),
        as_dataset(GREY, (1, 5, 4)),
        as_dataset((GREY, LABELS), (20,)),
        data.select(slice(5)),
    ]
    assert len({each.content_hash() for each in [data, *others]}) == 6


def test_select() -> None:
    data = as_dataset((GREY, LABELS), (1, 5, 4))
    part = data.select(np.array([4, 1]))
    np.testing.assert_array_equal(part.images, data.images[[4, 1]])
    assert check_labels(part, 3).tolist() == [1, 1]
