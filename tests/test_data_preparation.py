"""How samples get the form that the network takes: shapes, layouts, dtypes, scaling, labels; guesses are made aloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import COLOUR, GREY, LABELS, RANDOM, diagnosed, save_npz

from snnc.data import as_dataset, check_labels, load

# --- shapes and layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "network", "layout", "axes"),
    [
        ((5, 4), (1, 5, 4), None, None),
        ((5, 4), (5, 4, 1), None, None),
        ((5, 4), (20,), None, None),
        ((20,), (1, 5, 4), None, None),
        ((20,), (1, 20), None, None),
        ((5, 4), (20, 1), None, None),
        ((1, 20), (1, 5, 4), None, None),
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
        {"scale": True},
        {"scale": "2"},
        {"scale": [1.0, 2.0]},
        {"mean": [True]},
        {"mean": "0.5"},
        {"std": [None]},
        {"std": [[1.0], [1.0, 2.0]]},
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with diagnosed("SNN405"):
        as_dataset(GREY, (1, 5, 4), **options)


def test_mean_of_the_wrong_number_of_channels() -> None:
    with diagnosed("SNN302", "mean has 2 values"):
        as_dataset(COLOUR, (3, 5, 4), mean=[0.1, 0.2])


@pytest.mark.parametrize("images", [np.array(["a", "b"]), np.array([1j, 2j]), np.array([None]), [[1], [1, 2]], [b"a"]])
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
    """They are refused by who needs them, in another number than the samples by everyone."""
    with diagnosed("SNN305", words):
        check_labels(as_dataset((GREY, labels)), 3)


def test_labels_beyond_the_outputs_of_the_network() -> None:
    with diagnosed("SNN305", "sample 2 has the label 2", "2 outputs"):
        check_labels(as_dataset((GREY, LABELS)), 2)


def test_labels_shorter_than_images_in_a_file(tmp_path: Path) -> None:
    with diagnosed("SNN305", "5 labels for 6 images"):
        load(save_npz(tmp_path / "a.npz", x=GREY, y=LABELS[:5]))
