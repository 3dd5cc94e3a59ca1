"""Decode CIFAR-10 kept as JPEG files in .npz archives into the arrays that `snnc` reads.

An archive holds `data` (the bytes of all files behind each other), `offsets` (where each begins, and the end) and
`labels`. Pixels become uint8 `[S, 32, 32, 3]`. Archives are often sorted by class, so samples are shuffled (seed 0).
"""

from __future__ import annotations

import argparse
import io
import itertools
from pathlib import Path

import numpy as np
from PIL import Image


def decode(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[S, 32, 32, 3]` and labels int64 `[S]`, in a fixed random order."""
    stored = np.load(archive)
    data, offsets = stored["data"].tobytes(), stored["offsets"]
    files = (data[start:end] for start, end in itertools.pairwise(offsets))
    images = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], stored["labels"][order].astype(np.int64)


def main() -> None:
    """Write train and test images of two archives into one `.npz`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="archive of the training images")
    parser.add_argument("--test", type=Path, required=True, help="archive of the test images")
    parser.add_argument("--output", type=Path, default=Path("cifar10.npz"))
    arguments = parser.parse_args()
    x_train, y_train = decode(arguments.train)
    x_test, y_test = decode(arguments.test)
    np.savez(arguments.output, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    main()
