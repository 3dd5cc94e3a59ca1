"""What users have in their hands for data: which of it is samples, and which labels.

numpy arrays, tensors of torch, (images, labels) as a tuple or a list, a dictionary of them, a data set of torch
(samples one by one), a loader, a generator or a list of batches of any of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from snnc.data.dataset import Source
from snnc.data.npz import IMAGE_WORDS, LABEL_WORDS
from snnc.data.rows import Array, unpacked
from snnc.data.shapes import Shape
from snnc.diagnostics import fail


def source_of(data: Any, input_shape: Shape | None = None) -> Source:
    """The samples in `data` and their labels, where it has any; SNN303 where it has no samples, SNN305 where only some
    batches have labels, or not one for each sample. `input_shape` of one sample tells a list of samples from one of
    batches."""
    if _is_indexed(data) or _lists_labelled_samples(data):
        return _in_batches([sample] for sample in _by_index(data))
    if _gives_batches(data) or _lists_batches(data, input_shape):
        return _in_batches(data)
    images, labels = pair_of(data)
    return Source(as_array(images), None if labels is None else as_array(labels), "data")


def pair_of(data: Any) -> tuple[Any, Any]:
    """(images, labels) of one batch, or of all data; labels are None where there are none."""
    if isinstance(data, Mapping):
        return _of_mapping(data)
    if isinstance(data, tuple) and len(data) == 2:
        return data
    if isinstance(data, list) and len(data) == 2 and _are_images_and_labels(*data):
        return data[0], data[1]
    return data, None


def as_array(values: Any) -> Array:
    """`values` as an array of numpy: tensors of torch too, from any device, whether they need a gradient or not."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):  # which numpy has not
            values = values.float()
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        fail("SNN303", f"{type(values).__name__} cannot be made a numpy array: {error}")


def _of_mapping(data: Mapping[Any, Any]) -> tuple[Any, Any]:
    """As in an npz file; of other names where there is one array alone."""
    names = {str(name).lower(): name for name in data}
    images = next((names[word] for word in (*IMAGE_WORDS, "pixel_values") if word in names), None)
    labels = next((names[word] for word in LABEL_WORDS if word in names), None)
    if images is None and len(data) == 1:
        images = next(iter(data))
    if images is None:
        listed = ", ".join(map(str, data)) or "nothing"
        fail("SNN301", f"the dictionary holds {listed}", hint="name the samples `images`, and their labels `labels`")
    return data[images], None if labels is None else data[labels]


def _are_images_and_labels(first: Any, second: Any) -> bool:
    """A batch as loaders give it, [images, labels], not a list of two samples."""
    shapes = [getattr(part, "shape", None) for part in (first, second)]
    if shapes[0] is None or shapes[1] is None:
        return False
    return len(shapes[0]) > len(shapes[1]) >= 1 and shapes[0][0] == shapes[1][0]


def _is_indexed(data: Any) -> bool:
    """Whether samples are asked for by number, as in a data set of torch."""
    known = isinstance(data, str | bytes | list | tuple | Mapping) or hasattr(data, "__array__")
    return not known and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _by_index(data: Any) -> Iterator[Any]:
    return (data[index] for index in range(len(data)))


def _gives_batches(data: Any) -> bool:
    """Whether there is no other way to get at the samples than one after the other."""
    return hasattr(data, "__iter__") and not hasattr(data, "__array__") and not hasattr(data, "__getitem__")


def _is_labelled(item: Any) -> bool:
    """Whether it is a pair (images, labels), or a dictionary of them."""
    if isinstance(item, list):
        return len(item) == 2 and _are_images_and_labels(*item)
    return isinstance(item, Mapping) or (isinstance(item, tuple) and len(item) == 2)


def _lists_labelled_samples(data: Any) -> bool:
    """Whether it is a list of pairs, or of dictionaries, of one sample and its label."""
    if not isinstance(data, list) or not data or not all(map(_is_labelled, data)):
        return False
    labels = [pair_of(item)[1] for item in data]
    return all(label is not None and np.ndim(label) == 0 for label in labels)


def _lists_batches(data: Any, input_shape: Shape | None) -> bool:
    """Whether it is a list of batches: pairs, dictionaries, or arrays with one axis more than a sample or of several
    lengths."""
    if not isinstance(data, list) or not data:
        return False
    if all(map(_is_labelled, data)):
        return True
    shapes = [tuple(getattr(item, "shape", ())) for item in data]
    if len({shape[1:] for shape in shapes}) > 1 or len(shapes[0]) < 2:
        return False
    return len(set(shapes)) > 1 or (input_shape is not None and len(shapes[0]) == len(input_shape) + 1)


def _in_batches(batches: Iterable[Any]) -> Source:
    """The samples of all batches in a temporary file, and their labels if all have them. A batch that is a list of one
    sample is that sample, as a data set of torch gives it."""
    labels: list[Array] = []

    def images() -> Iterator[Array]:
        for index, batch in enumerate(batches):
            single = isinstance(batch, list) and len(batch) == 1
            pair = pair_of(batch[0] if single else batch)
            found = as_array(pair[0])
            found = found[None] if single else found
            if pair[1] is not None:
                of_batch = as_array(pair[1])
                labels.append(of_batch[None] if single else of_batch)
            if found.dtype.kind not in "buif":
                fail("SNN303", f"data: batch {index} is of dtype {found.dtype}")
            if len(labels) not in (0, index + 1) or (labels and labels[-1].shape[:1] != found.shape[:1]):
                fail("SNN305", f"data: batch {index} has not one label for each of its images, as others have")
            yield found

    rows = unpacked(images(), "data")
    return Source(rows, np.concatenate(labels) if labels else None, "data")
