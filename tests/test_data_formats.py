"""Data sets in the formats of others: MNIST idx, CIFAR batches, folders of images; damaged ones as diagnostics."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import COLOUR, GREY, LABELS, RANDOM, diagnosed
from PIL import Image

from snnc.data import check_labels, load

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
