"""A module as a file, by each exporter of torch, as a user calls it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

EXPORTERS = ("dynamo", "torchscript")


def exported(module: torch.nn.Module, image: tuple[int, ...], exporter: str, path: Path) -> Path:
    """`path`, to which the module has been written for batches of any size."""
    named: dict[str, Any] = {"input_names": ["images"], "output_names": ["scores"]}
    example = torch.zeros(2, *image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporters themselves
        if exporter == "dynamo":
            shapes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(module, (example,), path, dynamo=True, dynamic_shapes=shapes, verbose=False, **named)
        else:
            axes = {name: {0: "batch"} for names in named.values() for name in names}
            torch.onnx.export(module, (example,), path, dynamo=False, dynamic_axes=axes, **named)
    return path
