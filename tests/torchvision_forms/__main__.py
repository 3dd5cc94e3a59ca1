"""A table of what becomes of the forms of torchvision's networks, random weights. One row per form and exporter.

python -m tests.torchvision_forms                    the small modules of tests/torchvision_forms/modules.py
python -m tests.torchvision_forms --torchvision      the definitions of torchvision, which has to be installed
python -m tests.torchvision_forms --methods exact squeeze dense    some of them, by a part of the name
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

import snnc
from snnc.diagnostics import DiagnosticError

from . import modules
from .exporters import EXPORTERS, exported

_COLUMNS = ("form", "exporter", "nodes", "certificate", "error", "seconds", "rmp, error", "seconds")
_METHODS: dict[str, dict[str, Any]] = {"exact": {}, "rmp": {"steps": 128, "calib_steps": 64}}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parse(arguments)
    logging.getLogger("snnc").setLevel(logging.ERROR)
    forms, network, image = _forms(options.torchvision)
    samples = modules.images(options.samples, image)
    print(f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|", sep="\n", flush=True)
    for name in forms:
        if options.names and not any(part.lower() in name.lower() for part in options.names):
            continue
        module = network(name)
        for exporter in options.exporters:
            cells = _row(module, samples, exporter, options.methods)
            print(f"| {' | '.join((name, exporter, *cells))} |", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torchvision_forms")
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of the names of forms; default: all")
    parser.add_argument("--torchvision", action="store_true", help="the definitions of torchvision")
    parser.add_argument("--exporters", nargs="+", choices=EXPORTERS, default=EXPORTERS)
    parser.add_argument("--methods", nargs="+", choices=tuple(_METHODS), default=tuple(_METHODS))
    parser.add_argument("--samples", type=int, default=48, help="images for thresholds and verification")
    return parser.parse_args(arguments)


def _forms(real: bool) -> tuple[Sequence[str], Callable[[str], torch.nn.Module], tuple[int, ...]]:
    if not real:
        return list(modules.FORMS), modules.network, modules.IMAGE
    from . import real as torchvision

    return list(torchvision.FORMS), torchvision.network, torchvision.IMAGE


def _row(module: torch.nn.Module, samples: torch.Tensor, exporter: str, methods: Sequence[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = exported(module, tuple(samples.shape[1:]), exporter, Path(folder) / "net.onnx")
        except Exception as error:  # the exporters raise whatever they like
            return [f"not exported: {str(error).splitlines()[0][:80]}", *[""] * (len(_COLUMNS) - 3)]
        nodes = len(onnx.load(path).graph.node)
        cells = [cell for method in _METHODS for cell in _cells(path, samples, method, method in methods)]
    return [str(nodes), *cells]


def _cells(path: Path, samples: torch.Tensor, method: str, wanted: bool) -> list[str]:
    """What was certified (method exact), the error of the outputs, seconds of processor time."""
    settles = method == "exact"
    if not wanted:
        return [""] * (3 if settles else 2)
    start = time.process_time()
    try:
        model = snnc.convert(path, calib=samples, method=method, relaxed=True, accept_poor=True, **_METHODS[method])
    except DiagnosticError as error:
        codes = ", ".join(sorted({found.rule.code for found in error.diagnostics}))
        return [f"refused: {codes}", *[""] * (2 if settles else 1)]
    seconds, found = time.process_time() - start, model.report.verification
    assert found is not None
    cells = [f"{found.error:.3f}", f"{seconds:.0f}"]
    if settles:
        assert model.certificate is not None
        certificate = model.certificate
        cells.insert(0, f"{certificate.layers} layers, {certificate.samples} samples, {certificate.steps} steps")
    return cells


if __name__ == "__main__":
    main()
