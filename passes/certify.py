"""Hold the spiking network against its quantised ANN on all calibration samples, and write down what was equal.

Takes and gives level EMITTED:

1. the quantised ANN as an ONNX model (`snnc.emit.quantised`), kept in `Conversion.quantised`; the file carries it too,
   so that anybody can repeat the comparison (`snnc verify`);
2. both run on the calibration samples, the ones held back included: counts and potentials of every layer are equal,
   integer for integer, and every sample was quiet within the proven number of steps. Anything else is our error;
3. the certificate says on what: `snnc.certificate` of the file and of the report.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from snnc.diagnostics import InternalError
from snnc.emit.embedded import embed
from snnc.emit.quantised import quantised_network
from snnc.files import ConvertedFile, set_metadata
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.report import Certificate
from snnc.measure.certificate import compare_with_quantised
from snnc.measure.trials import first_images
from snnc.runtime.session import largest_batch

# Multiply-accumulates that the comparison may take, and the fewest samples all the same.
_BUDGET, _FEWEST = 1e12, 16


def run(conversion: Conversion) -> None:
    assert conversion.emitted is not None
    assert conversion.data is not None
    model = quantised_network(conversion.graph)
    conversion.quantised = model
    file = ConvertedFile(conversion.emitted, "the emitted file")
    steps = conversion.options.max_steps
    macs = max(1, sum(layer.macs for layer in file.layers))
    images = first_images(conversion, max(_FEWEST, int(_BUDGET // (macs * min(steps, 64)))))
    sources = [layer for layer in file.layers if layer.kind != "readout"]
    found = compare_with_quantised(
        file.block,
        model,
        images,
        most_steps=steps,
        batch=largest_batch(sources),
        progress=lambda share: conversion.progress("certifying", share),
    )
    if found.differences:
        raise InternalError("certify", found.differences[0])
    certificate = Certificate(
        layers=found.layers,
        samples=len(images),
        data=conversion.report.calibration.data if conversion.report.calibration else "",
        sha256=conversion.data.content_hash(),
        steps=int(found.steps.max()),
        mean_steps=float(found.steps.mean()),
        most_steps=steps,
        network=hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest(),
        levels={layer.name: max(map(abs, layer.counts)) for layer in file.layers if layer.counts is not None},
        own=all(layer.own_grid for layer in file.layers if layer.kind not in ("pool", "product")),
    )
    conversion.report.certificate = certificate
    set_metadata(conversion.emitted, "snnc.certificate", json.dumps(dataclasses.asdict(certificate)))
    set_metadata(conversion.emitted, "snnc.quantised", embed(model, file.block.body_constants))


PASS = Pass("certify", Level.EMITTED, Level.EMITTED, run)
