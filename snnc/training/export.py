"""A trained network as the ONNX file that the compiler reads: thresholds stand in it, and no calibration is needed."""

from __future__ import annotations

import os
from collections.abc import Callable

import onnx
from torch import Tensor, nn

from snnc.files import write_atomically
from snnc.reading.torch_export import written
from snnc.training.modes import evaluating
from snnc.training.replacement import quantisers

#: A quantiser in the file, from its input to its output.
CHAIN = ("Div", "Clip", "Mul", "Add", "Floor", "Div", "Mul")


def export(network: nn.Module, example: Tensor, path: str | os.PathLike[str]) -> None:
    """Write `network` as it evaluates, input "image", output "logits", the batch being free.

    `example`: one batch of inputs. A quantiser is written as Div, Clip, Mul, Add, Floor, Div, Mul: by torch's exporter
    of today (with onnxscript) where it writes them so, else by the older one. Raises ValueError for a threshold that
    training has made 0 or less, and where there is no quantiser. The network's mode is left as it is.
    """
    found = quantisers(network)
    for name, quantiser in found.items():
        if not quantiser.threshold.item() > 0:
            raise ValueError(f"the threshold of {name} is {quantiser.threshold.item():g}, it must be positive")
    _write(network, example, path, lambda model: count_quantisers(model) >= len(found))


def export_ann(network: nn.Module, example: Tensor, path: str | os.PathLike[str]) -> None:
    """Write `network`, trained without quantisers, as `export` does; its thresholds come from data."""
    _write(network, example, path, lambda model: True)


def _write(
    network: nn.Module, example: Tensor, path: str | os.PathLike[str], accepted: Callable[[onnx.ModelProto], bool]
) -> None:
    with evaluating(network):
        model = written(network, example, ("image", "logits"), accepted=accepted)
    write_atomically(path, model.SerializeToString())


def count_quantisers(model: onnx.ModelProto) -> int:
    """How many of them stand in a model as they are read: every operator the only reader of the one before it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def continues(node: onnx.NodeProto, operators: tuple[str, ...]) -> bool:
        if node.op_type != operators[0]:
            return False
        following = readers.get(node.output[0], [])
        return len(operators) == 1 or (len(following) == 1 and continues(following[0], operators[1:]))

    return sum(continues(node, CHAIN) for node in model.graph.node)
