"""What the channels of each layer do on a few samples, and input features that the coding hides.

A channel is silent where none of its neurons fired on any of the samples. That is a loss where the ANN has activations
there: their share of the layer's activation says how large it is. Channels that are zero in the ANN too lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.ir.conversion import LayerReport
from snnc.ir.report import Channels, HiddenInputs

#: How many channels a report names.
MOST_NAMED = 16
#: A channel is saturated where more of its neurons are than this.
_SATURATED = 0.5


def channels_of(counts: np.ndarray, saturated: np.ndarray, activations: np.ndarray | None) -> Channels:
    """Of a layer: spike counts `[N, C, ...]` (with signs), where they are as high as they get, and the activations of
    the ANN in the same shape, where it has the layer."""
    axes = tuple(axis for axis in range(counts.ndim) if axis != 1)
    silent = ~(counts != 0).any(axes)
    full = saturated.mean(axes) > _SATURATED
    share = None
    if activations is not None and activations.shape == counts.shape:
        by_channel = np.abs(activations, dtype=np.float64).sum(axes)
        share = float(by_channel[silent].sum() / by_channel.sum()) if by_channel.sum() > 0 else 0.0
    return Channels(
        channels=len(silent),
        silent=int(silent.sum()),
        silent_channels=np.flatnonzero(silent)[:MOST_NAMED].tolist(),
        silent_share=share,
        saturated=int(full.sum()),
        saturated_channels=np.flatnonzero(full)[:MOST_NAMED].tolist(),
    )


def hidden_inputs(layer: LayerReport, images: np.ndarray, steps: int) -> HiddenInputs | None:
    """The features (of images: channels) that vary over `images` `[N, C, ...]` by less than what the input `layer` can
    tell apart in so many steps: one unit of its numbers, or one spike. None where there are none."""
    sample = images.shape[1:]
    if len(sample) > 1 and sample[0] > min(sample[1:]):
        return None  # channels last: axis 1 is a place
    axes = tuple(axis for axis in range(images.ndim) if axis != 1)
    ranges = images.max(axes).astype(np.float64) - images.min(axes)
    resolution = np.broadcast_to(layer.scales().reshape(-1) / (1 if layer.levels > 1 else steps), ranges.shape)
    hidden = np.flatnonzero((ranges > 0) & (ranges < resolution))
    if not len(hidden):
        return None
    return HiddenInputs(
        features=len(ranges),
        hidden=len(hidden),
        hidden_features=hidden[:MOST_NAMED].tolist(),
        widest=float(ranges[hidden].max()),
        resolution=float(resolution[hidden].min()),
    )


def named(indexes: Sequence[int], count: int) -> str:
    """`2, 5, 9` or, where there are more than are named, `2, 5, 9, ...`."""
    return f"{', '.join(map(str, indexes))}{', ...' if count > len(indexes) else ''}"
