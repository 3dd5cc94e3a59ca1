"""Data sets: every source, every guess that is made aloud, and every kind of bad input as a diagnostic."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snnc.data import as_dataset, check_labels, digits_split, load
from snnc.diagnostics import DiagnosticError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@contextmanager
def diagnosed(rule: str, *words: str) -> Iterator[None]:
    """The body must raise one diagnostic of this rule whose text has all these words."""
    with pytest.raises(DiagnosticError) as caught:
        yield
    assert [found.rule.code for found in caught.value.diagnostics] == [rule], str(caught.value)
    for word in words:
        assert word in str(caught.value)


def save_npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


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


# --- shapes and layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "network", "layout", "axes"),
    [
        ((5, 4), (1, 5, 4), None, None),
        ((5, 4), (5, 4, 1), None, None),
        ((5, 4), (20,), None, None),
        ((20,), (1, 5, 4), None, None),
        ((20,), (1, 20), None, None),
        ((1, 5, 4), (5, 4), None, None),
        ((5, 4, 1), (1, 5, 4), None, None),
        ((5, 4), (1, None, None), None, None),
        ((3, 5, 4), (3, 5, 4), None, None),
        ((3, 5, 4), (None, 5, 4), None, None),
        ((5, 4, 3), (3, 5, 4), None, (0, 3, 1, 2)),
        ((5, 4, 3), (3, 5, 4), "nhwc", (0, 3, 1, 2)),
        ((5, 4, 3), (3, None, None), None, (0, 3, 1, 2)),
        ((3, 5, 4), (5, 4, 3), None, (0, 2, 3, 1)),
        ((3, 5, 4), (5, 4, 3), "NCHW", (0, 2, 3, 1)),
        ((5, 4, 3), (5, 4, 3), "NHWC", None),
        ((3, 3, 3), (3, 3, 3), None, None),
        ((3, 3, 3), (3, 3, 3), "NHWC", (0, 3, 1, 2)),
        ((5, 4, 3), (60,), None, None),
        ((5, 4, 3), None, None, None),
        ((5, 4, 3), None, "NHWC", (0, 3, 1, 2)),
    ],
)
def test_samples_are_brought_to_the_shape_of_the_network(
    stored: tuple[int, ...],
    network: tuple[int | None, ...] | None,
    layout: str | None,
    axes: tuple[int, ...] | None,
) -> None:
    images = RANDOM.random((2, *stored), dtype=np.float32)
    data = as_dataset(images, network, layout=layout)
    expected = images if axes is None else images.transpose(axes)
    np.testing.assert_array_equal(data.images.reshape(2, -1), expected.reshape(2, -1))
    if network is not None:
        assert len(data.images.shape) == len(network) + 1
        assert all(size in (None, actual) for actual, size in zip(data.images.shape[1:], network, strict=True))
    assert data.images.flags.c_contiguous


@pytest.mark.parametrize(
    ("stored", "network", "layout"),
    [
        ((28, 28), (3, 32, 32), None),
        ((3, 5, 4), (1, 5, 4), None),
        ((5, 4), (1, 4, 5), None),
        ((19,), (1, 5, 4), None),
        ((2, 10), (4, 5), None),
        ((5, 4, 3), (3, 5, 4), "NCHW"),
        ((), (1, 5, 4), None),
    ],
)
def test_wrong_shapes(stored: tuple[int, ...], network: tuple[int, ...], layout: str | None) -> None:
    with diagnosed("SNN302", "the network takes " + "x".join(map(str, network))):
        as_dataset(np.zeros((2, *stored), np.float32), network, layout=layout)


def test_a_missing_batch_axis_is_explained() -> None:
    with diagnosed("SNN302", "images[None]"):
        as_dataset(np.zeros((3, 32, 32), np.float32), (3, 32, 32))
    with diagnosed("SNN302", "single number"):
        as_dataset(np.float32(1), (1,))


# --- dtypes, scale, mean and standard deviation -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint16, np.bool_])
def test_other_dtypes_than_uint8_are_left_alone(dtype: type) -> None:
    images: np.ndarray[Any, Any] = np.array([[0, 1, 1, 0]], dtype=dtype)
    np.testing.assert_array_equal(as_dataset(images, (4,)).images, [[0, 1, 1, 0]])


def test_values_that_look_unscaled_are_noted() -> None:
    assert as_dataset(np.array([[0.0, 255.0]])).notes == ("float64 values from 0 to 255 taken as they are",)
    assert as_dataset(np.array([[0.0, 1.0]])).notes == ()


def test_scale_mean_and_std() -> None:
    data = as_dataset(COLOUR, (3, 5, 4), scale=1 / 128, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    expected = (COLOUR / 128 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(data.images, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
    one = as_dataset(COLOUR, (5, 4, 3), mean=[0.5], std=[0.25])
    np.testing.assert_allclose(one.images, (COLOUR / 255 - 0.5) / 0.25, rtol=1e-5, atol=1e-6)
    last = as_dataset(COLOUR, (5, 4, 3), mean=[0.1, 0.2, 0.3])
    np.testing.assert_allclose(last.images, COLOUR / 255 - [0.1, 0.2, 0.3], rtol=1e-5, atol=1e-6)


def test_uint8_divides_exactly_as_training_code_does() -> None:
    every_value = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(as_dataset(every_value).images, every_value.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0.0},
        {"scale": float("nan")},
        {"mean": []},
        {"mean": [float("inf")]},
        {"std": [0.0]},
        {"std": [-1.0]},
        {"layout": "CHWN"},
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with diagnosed("SNN405"):
        as_dataset(GREY, (1, 5, 4), **options)


def test_mean_of_the_wrong_number_of_channels() -> None:
    with diagnosed("SNN302", "mean has 2 values"):
        as_dataset(COLOUR, (3, 5, 4), mean=[0.1, 0.2])


@pytest.mark.parametrize(
    "images", [np.array(["a", "b"]), np.array([1j, 2j]), np.array([None]), [[1], [1, 2]], [b"a"], [{}]]
)
def test_wrong_dtypes(images: Any) -> None:
    with diagnosed("SNN303"):
        as_dataset(images)


def test_not_finite() -> None:
    images = np.zeros((4, 1, 5, 4), np.float64)
    images[2, 0, 3, 1], images[3] = np.nan, np.inf
    with diagnosed("SNN304", "21 of 80 values", "the first in sample 2 at [0, 3, 1]"):
        as_dataset(images, (1, 5, 4))
    with diagnosed("SNN304", "1 of 2 values"):
        as_dataset(np.array([[1.0, 1e300]]))


@pytest.mark.parametrize("shape", [(0,), (0, 5, 4), (3, 0, 4)])
def test_empty(shape: tuple[int, ...]) -> None:
    with diagnosed("SNN306"):
        as_dataset(np.zeros(shape, np.uint8), (1, 5, 4))


# --- labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(np.uint8),
        LABELS.astype(np.float64),
        LABELS[:, None],
        np.eye(3)[LABELS],
        LABELS.tolist(),
    ],
)
def test_forms_of_labels(labels: Any) -> None:
    data = as_dataset((GREY, labels))
    assert check_labels(data, 3).tolist() == LABELS.tolist()
    assert check_labels(data, 3).dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:4], "4 labels for 6 images"),
        (np.int64(3), "1 labels for 6 images"),
        (np.array([0, 1, -1, 0, 1, 2]), "sample 2 has the label -1"),
        (np.array([0, 1, 2, 0, 1, 2**63], dtype=np.uint64), "sample 5"),
        (LABELS + 0.5, "not whole numbers"),
        (LABELS * np.nan, "not whole numbers"),
        (LABELS.astype(str), "dtype"),
        (LABELS.astype(object), "dtype"),
        (np.zeros((6, 2, 2)), "shape"),
        (np.full((6, 3), 0.25), "shape"),
    ],
)
def test_wrong_labels(labels: Any, words: str) -> None:
    with diagnosed("SNN305", words):
        as_dataset((GREY, labels))


def test_labels_beyond_the_outputs_of_the_network() -> None:
    with diagnosed("SNN305", "sample 2 has the label 2", "2 outputs"):
        check_labels(as_dataset((GREY, LABELS)), 2)


def test_labels_shorter_than_images_in_a_file(tmp_path: Path) -> None:
    with diagnosed("SNN305", "5 labels for 6 images"):
        load(save_npz(tmp_path / "a.npz", x=GREY, y=LABELS[:5]))


# --- MNIST idx files ----------------------------------------------------------------------------------------


def idx_bytes(array: np.ndarray[Any, Any], code: int = 0x08) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx_folder(folder: Path, packed: bool) -> None:
    for part, samples in (("train", 6), ("t10k", 2)):
        for name, array in (
            ("images-idx3", GREY[:samples]),
            ("labels-idx1", LABELS[:samples].astype(np.uint8)),
        ):
            content = idx_bytes(array)
            path = folder / f"{part}-{name}-ubyte"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_folder_and_file(tmp_path: Path, packed: bool) -> None:
    write_idx_folder(tmp_path, packed)
    data = load(f"{tmp_path}:test", (1, 5, 4))
    np.testing.assert_array_equal(data.images, GREY[:2, None] / np.float32(255))
    assert check_labels(data, 3).tolist() == [0, 1]
    assert len(load(f"{tmp_path}:train")) == 6
    with diagnosed("SNN301", "several splits: test, train"):
        load(tmp_path)
    ending = ".gz" if packed else ""
    file = load(tmp_path / f"train-images-idx3-ubyte{ending}")
    assert check_labels(file, 3).tolist() == LABELS.tolist()
    with diagnosed("SNN301", "holds labels"):
        load(tmp_path / f"train-labels-idx1-ubyte{ending}")


def test_idx_of_floats_without_labels(tmp_path: Path) -> None:
    values = RANDOM.random((3, 4), dtype=np.float32)
    (tmp_path / "features").write_bytes(idx_bytes(values, 0x0D))
    data = load(tmp_path / "features", (4,))
    np.testing.assert_array_equal(data.images, values)
    assert data.labels is None


def test_damaged_idx(tmp_path: Path) -> None:
    file, whole = tmp_path / "train-images-idx3-ubyte", idx_bytes(GREY)
    for content in (whole[:-1], whole + b"\0", whole[:10], b"\0\0\x08\x00", b"\0\0\x07\x01\0\0\0\0"):
        file.write_bytes(content)
        with diagnosed("SNN301", "header"):
            load(file)
    file.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with diagnosed("SNN301", "header announces"):
        load(file)
    file.write_bytes(gzip.compress(whole)[:-20])
    with diagnosed("SNN301", "cannot be read as idx"):
        load(file)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS[:4].astype(np.uint8)))
    file.write_bytes(whole)
    with diagnosed("SNN305", "4 labels for 6 images"):
        load(file)


def test_two_idx_sets_in_one_folder(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, packed=False)
    (tmp_path / "letters-train-images-idx3-ubyte").write_bytes(idx_bytes(GREY))
    with diagnosed("SNN301", "several files for train"):
        load(f"{tmp_path}:train")


# --- CIFAR batches ------------------------------------------------------------------------------------------

CIFAR_ROWS = RANDOM.integers(0, 256, (3, 3072), dtype=np.uint8)


def test_cifar10_python(tmp_path: Path) -> None:
    for number in (1, 2):
        batch = {b"data": CIFAR_ROWS, b"labels": [number, 3, 4]}
        (tmp_path / f"data_batch_{number}").write_bytes(pickle.dumps(batch, protocol=2))
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": CIFAR_ROWS[:1], "labels": [9]}, protocol=5))
    train = load(f"{tmp_path}:train", (3, 32, 32))
    np.testing.assert_array_equal(train.images[3:], CIFAR_ROWS.reshape(3, 3, 32, 32) / np.float32(255))
    assert check_labels(train, 10).tolist() == [1, 3, 4, 2, 3, 4]
    assert "data_batch_1, data_batch_2" in train.notes[0]
    assert check_labels(load(tmp_path / "test_batch"), 10).tolist() == [9]


def test_cifar10_python_as_published(tmp_path: Path) -> None:
    """Python 2 wrote the published files, with byte strings that no Python 3 writes (opcodes U and T)."""
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\0tb"
    state = b"(K\x01K\x01M\0\x0c\x86" + dtype + b"\x89T\0\x0c\0\0" + CIFAR_ROWS[0].tobytes() + b"tb"
    (tmp_path / "test_batch").write_bytes(b"\x80\x02}(U\x04data" + array + state + b"U\x06labels]K\x05au.")
    data = load(f"{tmp_path}:test", (3, 32, 32))
    np.testing.assert_array_equal(data.images, CIFAR_ROWS[:1].reshape(1, 3, 32, 32) / np.float32(255))
    assert check_labels(data, 10).tolist() == [5]


def test_cifar100_python(tmp_path: Path) -> None:
    batch = {b"data": CIFAR_ROWS, b"coarse_labels": [1, 2, 3], b"fine_labels": [97, 98, 99]}
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(pickle.dumps(batch))
    assert check_labels(load(f"{tmp_path}:test", (3, 32, 32)), 100).tolist() == [97, 98, 99]


def test_cifar_binary(tmp_path: Path) -> None:
    ten = np.column_stack([np.array([9, 0, 1], np.uint8), CIFAR_ROWS])
    hundred = np.column_stack([np.array([19, 0, 1], np.uint8), np.array([99, 0, 1], np.uint8), CIFAR_ROWS])
    for folder, name, records, labels in (
        ("ten", "test_batch.bin", ten, [9, 0, 1]),
        ("hundred", "test.bin", hundred, [99, 0, 1]),
    ):
        (tmp_path / folder).mkdir()
        records.tofile(tmp_path / folder / name)
        for spec in (f"{tmp_path}/{folder}", f"{tmp_path}/{folder}:test", f"{tmp_path}/{folder}/{name}"):
            data = load(spec, (3, 32, 32))
            np.testing.assert_array_equal(data.images, CIFAR_ROWS.reshape(3, 3, 32, 32) / np.float32(255))
            assert check_labels(data, 100).tolist() == labels
    (tmp_path / "odd.bin").write_bytes(bytes(3072))
    with diagnosed("SNN301", "whole records"):
        load(tmp_path / "odd.bin")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("rows", [CIFAR_ROWS, np.asfortranarray(CIFAR_ROWS), CIFAR_ROWS.astype(">i4")])
def test_pickled_arrays(tmp_path: Path, protocol: int, rows: np.ndarray[Any, Any]) -> None:
    batch = {"data": rows, "labels": np.array([1, 2, 3])}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=protocol))
    data = load(tmp_path / "test_batch", (3072,), scale=1.0)
    np.testing.assert_array_equal(data.images, rows)
    assert check_labels(data, 10).tolist() == [1, 2, 3]


class Attack:
    """Unpickled by Python's own unpickler, this would call a function."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_pickles_run_no_code(tmp_path: Path) -> None:
    marker, file = tmp_path / "marker", tmp_path / "test_batch"
    file.write_bytes(pickle.dumps({"data": CIFAR_ROWS, "labels": Attack(marker)}))
    with diagnosed("SNN301", "which plain numbers do not need"):
        load(file)
    assert not marker.exists()
    for name in ("eval", "getattr", "exec"):
        file.write_bytes(b"\x80\x02cbuiltins\n" + name.encode() + b"\nq\0.")
        with diagnosed("SNN301", f"builtins.{name}"):
            load(file)


def test_a_pickled_array_without_content(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(b"\x80\x02}(U\x04datacnumpy\nndarray\n)RU\x06labels]K\x05au.")
    with diagnosed("SNN306"):
        load(tmp_path / "test_batch")


@pytest.mark.parametrize(
    ("batch", "rule"),
    [
        ([1, 2], "SNN301"),
        ({"labels": [1]}, "SNN301"),
        ({"data": CIFAR_ROWS}, "SNN301"),
        ({"data": [[1], [1, 2]], "labels": [1, 2]}, "SNN301"),
        ({"data": CIFAR_ROWS, "labels": [1]}, "SNN305"),
        ({"data": CIFAR_ROWS[:, :100], "labels": [1, 2, 3]}, "SNN302"),
        ({"data": np.array([None, None]), "labels": [1, 2]}, "SNN301"),
        ({"data": CIFAR_ROWS[:0], "labels": []}, "SNN306"),
    ],
)
def test_pickles_that_are_no_batches(tmp_path: Path, batch: Any, rule: str) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch))
    with diagnosed(rule):
        load(tmp_path / "test_batch", (3, 32, 32))


def test_truncated_pickle(tmp_path: Path) -> None:
    whole = pickle.dumps({"data": CIFAR_ROWS, "labels": [1, 2, 3]})
    for length in (1, 2, 50, len(whole) // 2, len(whole) - 1):
        (tmp_path / "test_batch").write_bytes(whole[:length])
        with diagnosed("SNN301", "cannot be read as a CIFAR batch"):
            load(tmp_path / "test_batch")


# --- folders of images --------------------------------------------------------------------------------------


def write_images(folder: Path, images: dict[str, np.ndarray[Any, Any]]) -> None:
    for name, pixels in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)


def test_class_folders(tmp_path: Path) -> None:
    write_images(tmp_path, {"dog/1.png": COLOUR[0], "cat/2.png": COLOUR[1], "cat/1.bmp": COLOUR[2]})
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / "readme.txt").write_text("x")
    data = load(tmp_path, (3, 5, 4))
    np.testing.assert_array_equal(data.images, COLOUR[[2, 1, 0]].transpose(0, 3, 1, 2) / np.float32(255))
    assert check_labels(data, 2).tolist() == [0, 0, 1]
    assert "classes in alphabetical order: cat = 0, dog = 1" in data.notes
    assert "NHWC -> NCHW" in data.notes


def test_image_folder_with_splits_and_without_labels(tmp_path: Path) -> None:
    write_images(tmp_path / "a", {"train/0/a.png": GREY[0], "test/0/a.png": GREY[1], "test/1/a.png": GREY[2]})
    assert check_labels(load(f"{tmp_path}/a:test", (1, 5, 4)), 2).tolist() == [0, 1]
    with diagnosed("SNN301", "several splits: test, train"):
        load(tmp_path / "a")
    write_images(tmp_path / "b", {"a.png": GREY[0], "b.png": GREY[1]})
    data = load(tmp_path / "b", (1, 5, 4))
    assert data.labels is None
    np.testing.assert_array_equal(data.images, GREY[:2, None] / np.float32(255))


def test_grey_and_colour_images(tmp_path: Path) -> None:
    write_images(tmp_path, {"a.png": GREY[0], "b.png": COLOUR[0]})
    grey = load(tmp_path, (1, 5, 4))
    assert "1 of 2 images converted to 8-bit grey" in grey.notes
    assert load(tmp_path, (3, 5, 4)).images.shape == (2, 3, 5, 4)
    assert load(tmp_path).images.shape == (2, 5, 4)


def test_bad_image_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with diagnosed("SNN306", "neither class folders nor images"):
        load(tmp_path / "empty")
    (tmp_path / "hollow" / "cat").mkdir(parents=True)
    with diagnosed("SNN306", "have no images"):
        load(tmp_path / "hollow")
    write_images(tmp_path / "sizes", {"a/1.png": GREY[0], "a/2.png": GREY[0].T})
    with diagnosed("SNN302", "5x4 pixels", "4x5 pixels"):
        load(tmp_path / "sizes")
    write_images(tmp_path / "deep", {"a/1.png": GREY[0].astype(np.uint16)})
    with diagnosed("SNN303", "8-bit"):
        load(tmp_path / "deep")


def test_unreadable_images(tmp_path: Path) -> None:
    write_images(tmp_path, {"a/1.png": COLOUR[0]})
    file = tmp_path / "a" / "1.png"
    whole = file.read_bytes()
    for content in (b"", b"no image", whole[:20], whole[: len(whole) // 2]):
        file.write_bytes(content)
        with diagnosed("SNN301", "1.png cannot be read as an image"):
            load(tmp_path)


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
