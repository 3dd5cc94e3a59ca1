"""A module of PyTorch as an ONNX model, by the exporter that the installed torch offers."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from snnc.diagnostics import fail
from snnc.reading.probe import first_line
from snnc.simulate.ann import load_model

if TYPE_CHECKING:
    import torch

_OPSET = 18


def exported(module: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """The module in inference mode, for batches of any size; `example` is one input batch.

    torch's default exporter (dynamo) is asked where it is there (torch 2.5 or newer, with onnxscript), the older one
    where it is not or fails. The module is left in the mode in which it was.

    Raises:
        DiagnosticError: SNN103 where neither can export it.
    """
    modes = {name: part.training for name, part in module.named_modules()}
    module.eval()
    try:
        failures = []
        for export in (_by_dynamo, _by_tracing):
            try:
                return export(module, example)
            except Exception as error:  # the exporters raise whatever the module does to them
                failures.append(first_line(error))
        fail("SNN103", f"torch cannot export the module: {'; '.join(dict.fromkeys(failures))}")
    finally:
        for name, part in module.named_modules():
            part.training = modes[name]


def _by_dynamo(module: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    import torch

    if importlib.util.find_spec("onnxscript") is None:
        raise ImportError("the exporter of torch needs onnxscript")
    # A batch of one sample would be taken for the size of the network.
    several = torch.cat([example, example]) if len(example) == 1 else example
    automatic = torch.export.Dim.AUTO
    return _written(module, several, dynamo=True, dynamic_shapes=({0: automatic},), verbose=False)


def _by_tracing(module: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    return _written(module, example, dynamo=False, dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})


def _written(module: torch.nn.Module, example: torch.Tensor, **how: Any) -> onnx.ModelProto:
    import torch

    named: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
    with tempfile.TemporaryDirectory(prefix="snnc-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporters themselves
        path = Path(folder) / "module.onnx"
        torch.onnx.export(module, (example,), str(path), opset_version=_OPSET, **named, **how)
        return load_model(path)
