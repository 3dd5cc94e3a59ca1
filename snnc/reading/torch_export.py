"""A module of PyTorch as an ONNX model, by the exporter that the installed torch offers."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from snnc.diagnostics import fail
from snnc.reading.probe import first_line
from snnc.simulate.ann import Ann, load_model

if TYPE_CHECKING:
    import torch

_OPSET = 18
# Of the largest output: exporters fold constants, which rounds.
_SAME = 1e-2


def exported(module: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """The module in inference mode, for batches of any size; `example` is one input batch.

    torch's default exporter (dynamo) is asked where it is there (torch 2.5 or newer, with onnxscript), the older one
    where it is not or fails. The module is left in the mode in which it was.

    Raises:
        DiagnosticError: SNN405 where they are no module and no batch; SNN103 where neither can export it, or what they
            write is something else: they follow one path where a module decides by its data.
    """
    example = _checked(module, example)
    modes = {name: part.training for name, part in module.named_modules()}
    module.eval()
    try:
        model = written(module, example)
        _compare(module, example, model)
        return model
    finally:
        for name, part in module.named_modules():
            part.training = modes[name]


def written(
    module: torch.nn.Module,
    example: torch.Tensor,
    names: tuple[str, str] = ("input", "output"),
    accepted: Callable[[onnx.ModelProto], bool] = lambda model: True,
) -> onnx.ModelProto:
    """What the first exporter writes that can, of a module that evaluates; `names` are those of its input and output.

    A model that is not `accepted` is left for the next exporter. SNN103 where none is.
    """
    failures = []
    for export in (_by_dynamo, _by_tracing):
        try:
            model = export(module, example, names)
        except Exception as error:  # the exporters raise whatever the module does to them
            failures.append(first_line(error))
            continue
        if accepted(model):
            return model
        failures.append("what it writes has another form than the module")
    fail("SNN103", f"torch cannot export the module: {'; '.join(dict.fromkeys(failures))}")


def _checked(module: torch.nn.Module, example: Any) -> torch.Tensor:
    """The example as a tensor."""
    import torch

    if not isinstance(module, torch.nn.Module):
        fail("SNN405", f"module is a {type(module).__name__}", hint="give a torch.nn.Module")
    if isinstance(example, np.ndarray):
        example = torch.from_numpy(example)
    if not isinstance(example, torch.Tensor) or example.ndim < 2 or not len(example):
        found = tuple(example.shape) if isinstance(example, torch.Tensor) else type(example).__name__
        fail(
            "SNN405", f"example is {found}", hint="give one input batch, a tensor `[batch, ...]` of at least one sample"
        )
    return example


def _compare(module: torch.nn.Module, example: torch.Tensor, model: onnx.ModelProto) -> None:
    """SNN103 where the exported network does not compute what the module computes, of either sign of the example."""
    import torch

    if not example.is_floating_point():
        return
    ann = Ann(model)
    for samples in (example, -example):
        with torch.no_grad():
            given = module(samples)
        expected = [given] if isinstance(given, torch.Tensor) else given
        found = ann.run(samples.detach().cpu().numpy())
        if not isinstance(expected, (list, tuple)) or len(expected) != len(found):
            return  # dictionaries and the like: whatever they are, they have been exported in some order
        for values, written in zip(expected, found.values(), strict=True):
            wanted = values.detach().cpu().numpy()
            off = np.abs(written - wanted).max(initial=0)
            if not off <= _SAME * max(1e-6, np.abs(wanted).max(initial=0)):
                message = f"what torch exports is not the module: an output is off by {off:.3g}"
                fail(
                    "SNN103",
                    message,
                    hint="let it compute in one way, whatever its data are",
                )


def _by_dynamo(module: torch.nn.Module, example: torch.Tensor, names: tuple[str, str]) -> onnx.ModelProto:
    import torch

    if importlib.util.find_spec("onnxscript") is None:
        raise ImportError("the exporter of torch needs onnxscript")
    # A batch of one sample would be taken for the size of the network.
    several = torch.cat([example, example]) if len(example) == 1 else example
    automatic = torch.export.Dim.AUTO
    return _silently(module, several, names, dynamo=True, dynamic_shapes=({0: automatic},), verbose=False)


def _by_tracing(module: torch.nn.Module, example: torch.Tensor, names: tuple[str, str]) -> onnx.ModelProto:
    return _silently(module, example, names, dynamo=False, dynamic_axes={name: {0: "batch"} for name in names})


def _silently(module: torch.nn.Module, example: torch.Tensor, names: tuple[str, str], **how: Any) -> onnx.ModelProto:
    import torch

    named: dict[str, Any] = {"input_names": [names[0]], "output_names": [names[1]]}
    with tempfile.TemporaryDirectory(prefix="snnc-") as folder, _silence():
        path = Path(folder) / "module.onnx"
        torch.onnx.export(module, (example,), str(path), opset_version=_OPSET, **named, **how)
        return load_model(path)


@contextmanager
def _silence() -> Iterator[None]:
    """Say nothing of what exporters say about themselves: packages that are not installed, a newer one, their progress.

    What they cannot export they raise, and what they write is compared with the module.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
