"""A folder of class folders of images, as torchvision's ImageFolder and Keras read it.

folder/cat/1.png folder/dog/2.png              classes in alphabetical order: cat is 0, dog is 1
folder/train/cat/1.png folder/test/cat/2.png   the same with splits
folder/1.png folder/2.png                      without labels
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc.data.dataset import Source
from snnc.data.files import choose_split, reading
from snnc.data.rows import Array, Places, Rows, too_large
from snnc.diagnostics import fail

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
GREY_MODES = {"1", "L", "LA"}
COLOUR_MODES = {"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"}


def read(folder: Path, split: str | None, channels: int | None, memory: int | None = None) -> Source:
    """Images as uint8 `[S, H, W]` (grey) or `[S, H, W, 3]` (colour), all of one size.

    `channels` is what the network takes, 1 or 3; None: grey if all images are. Images that take more than `memory`
    bytes are decoded whenever they are asked for.
    """
    splits = [path.name for path in _subfolders(folder) if path.name in SPLITS]
    has_splits = bool(splits) and len(splits) == len(_subfolders(folder))
    chosen = choose_split(splits if has_splits else [""], split, str(folder))
    root = folder / chosen if chosen else folder
    files, labels, notes = _list_images(root)
    images, colour_notes = _read_images(files, channels, memory)
    return Source(images, labels, f"{folder}:{chosen}" if chosen else str(folder), (*notes, *colour_notes))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _list_images(folder: Path) -> tuple[list[Path], Array | None, list[str]]:
    """The files of images in order, their labels, and what was guessed."""
    classes = _subfolders(folder)
    if not classes:
        files = _image_files(folder)
        if not files:
            fail("SNN306", f"{folder} has neither class folders nor images")
        return files, None, ["images without class folders: no labels"]
    by_class = [_image_files(path) for path in classes]
    files = [file for files_of_class in by_class for file in files_of_class]
    if not files:
        fail("SNN306", f"the class folders of {folder} have no images")
    labels = np.repeat(np.arange(len(classes)), [len(files_of_class) for files_of_class in by_class])
    numbered = ", ".join(f"{path.name} = {label}" for label, path in enumerate(classes[:10]))
    more = ", ..." if len(classes) > 10 else ""
    return files, labels, [f"classes in alphabetical order: {numbered}{more}"]


def _image_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
    )


def _read_images(files: list[Path], channels: int | None, memory: int | None) -> tuple[Array | Rows, list[str]]:
    try:
        from PIL import Image
    except ImportError:
        fail("SNN407", "folders of images need Pillow", hint="pip install pillow")
    first_mode = _open_image(Image, files[0]).mode
    mode = {1: "L", 3: "RGB"}.get(channels or 0) or ("L" if first_mode in GREY_MODES else "RGB")
    rows = ImageRows(Image, files, mode)
    if too_large(rows.shape, memory):
        return rows, []
    images = rows[:]
    kind = "grey" if mode == "L" else "colour"
    notes = [f"{rows.converted} of {len(files)} images converted to 8-bit {kind}"] if rows.converted else []
    return images, notes


class ImageRows(Rows):
    """Images that are decoded when they are read; `converted` counts those of another mode among them."""

    def __init__(self, pillow: Any, files: list[Path], mode: str) -> None:
        self._pillow, self._files, self._mode = pillow, files, mode
        self.converted = 0
        self.shape, self.dtype = (len(files), *self._decode(files[0]).shape), np.dtype(np.uint8)
        self.converted = 0  # the first one is decoded again

    def _read(self, places: Places) -> Array:
        images = np.empty((len(places), *self.shape[1:]), np.uint8)
        for index, place in enumerate(places):
            pixels = self._decode(self._files[place])
            if pixels.shape != self.shape[1:]:
                message = f"{self._files[place]} is {_size(pixels.shape)}, {self._files[0]} is {_size(self.shape[1:])}"
                fail("SNN302", message, hint="bring all images to the size of the network's input")
            images[index] = pixels
        return images

    def _decode(self, file: Path) -> Array:
        image = _open_image(self._pillow, file)
        if image.mode not in GREY_MODES | COLOUR_MODES:
            fail("SNN303", f"{file} has pixels of mode {image.mode}, only 8-bit images are supported")
        self.converted += image.mode != self._mode
        return np.asarray(image.convert(self._mode), dtype=np.uint8)


def _open_image(pillow: Any, file: Path) -> Any:
    """The decoded image, its file closed."""
    with reading(file, "an image"), pillow.open(file) as image:
        image.load()
        return image


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"
