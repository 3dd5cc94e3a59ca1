"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 with values 0..16, split once for all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.data.dataset import LabelArray, Source
from snnc.data.files import choose_split
from snnc.diagnostics import fail

TEST_SAMPLES = 500
SPLIT_SEED = 0


def digits_split(labels: LabelArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the training and of the 500 test samples; the same on every machine and with every version.

    Samples are shuffled, sorted by class, and every 3.6th goes to the test set: the classes have the same
    share of both parts, to within one sample.
    """
    # RandomState is frozen by numpy; the numbers of default_rng may change between versions.
    shuffled = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    positions = (2 * np.arange(TEST_SAMPLES) + 1) * len(labels) // (2 * TEST_SAMPLES)
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[by_class[positions]] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def read(split: str | None) -> Source:
    """`digits:train` (1,297 samples), `digits:test` (500), `digits:all`."""
    chosen = choose_split(["train", "test", "all"], split, "digits")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        fail("SNN407", "the digits data set needs scikit-learn", hint="pip install scikit-learn")
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    train, test = digits_split(labels)
    samples = {"train": train, "test": test, "all": np.arange(len(labels))}[chosen]
    return Source(images[samples], labels[samples], f"digits:{chosen}", white=16.0)
