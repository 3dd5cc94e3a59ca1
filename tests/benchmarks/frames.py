"""Frames of streams that a camera or a microphone could give, made from images: float32 `[T, ...]`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Share of the pixels that a moving object covers: it leaves as many behind, so twice as much changes.
OBJECT = 0.01


def shift(images: np.ndarray, count: int) -> np.ndarray:
    """A picture as wide as all images beside each other, of which the frame sees a part; it moves by a pixel."""
    width = images.shape[-1]
    needed = -(-(count + width) // width)
    scene = np.concatenate([images[index % len(images)] for index in range(needed)], axis=-1)
    return np.stack([scene[..., start : start + width] for start in range(count)])


def moving_object(images: np.ndarray, count: int) -> np.ndarray:
    """A still image, and in front of it a square of another one that moves by its own size."""
    height, width = images.shape[-2:]
    side = max(1, round((OBJECT * height * width) ** 0.5))
    squares = np.lib.stride_tricks.sliding_window_view(images[1], (side, side), axis=(-2, -1))
    spread = squares.std(axis=(-2, -1)).reshape(-1, *squares.shape[-4:-2]).sum(0)
    top, left = np.unravel_index(int(spread.argmax()), spread.shape)  # what is seen in front of any background
    square = images[1][..., top : top + side, left : left + side]
    places = [(y, x) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
    frames = np.repeat(images[:1], count, axis=0)
    for index, frame in enumerate(frames):
        y, x = places[index % len(places)]
        frame[..., y : y + side, x : x + side] = square
    return frames


def window(images: np.ndarray, count: int) -> np.ndarray:
    """A long signal, of which the frame sees a part; it moves by a sample along the longest axis."""
    axis = int(np.argmax(images.shape[1:]))
    length = images.shape[1 + axis]
    needed = -(-(count + length) // length)
    signal = np.concatenate([images[index % len(images)] for index in range(needed)], axis=axis)
    return np.stack([signal.take(range(start, start + length), axis=axis) for start in range(count)])


WORKLOADS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "shift": shift,
    "object": moving_object,
    "window": window,
}


def signals(count: int, dims: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth random signals along the longest axis, between -1 and 1, where there is no data: `[count, *dims]`."""
    random = np.random.default_rng(seed)
    axis = 1 + int(np.argmax(dims))
    noise = random.normal(0, 1, (count, *dims))
    spectrum = np.fft.rfft(noise, axis=axis)
    shape = [-1 if index == axis else 1 for index in range(noise.ndim)]
    smooth = np.fft.irfft(spectrum / np.arange(1, 1 + spectrum.shape[axis]).reshape(shape), dims[axis - 1], axis)
    found: np.ndarray = (smooth / np.abs(smooth).max()).astype(np.float32)
    return found
