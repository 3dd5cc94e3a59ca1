"""A trained network as the ONNX file that the compiler reads: thresholds stand in it, and no calibration is needed."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from snnc.training.modes import evaluating
from snnc.training.replacement import quantisers

_OPSET = 18


def export(network: nn.Module, example: Tensor, path: str | os.PathLike[str]) -> None:
    """Write `network` as it evaluates, input "image", output "logits", the batch being free.

    `example`: one batch of inputs. A quantiser is written as Div, Clip, Mul, Add, Floor, Div, Mul. Raises ValueError
    for a threshold that training has made 0 or less. The network's mode is left as it is.
    """
    for name, quantiser in quantisers(network).items():
        if not quantiser.threshold.item() > 0:
            raise ValueError(f"the threshold of {name} is {quantiser.threshold.item():g}, it must be positive")
    with evaluating(network):
        torch.onnx.export(
            network,
            (example,),
            os.fspath(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
