"""Write the network as ONNX: a block of 64 steps, its schedule, and the metadata.

Takes level FUSED, gives EMITTED. The graph is not changed. The file has the inputs and outputs of the ANN, the
controls `steps`, `seed`, `first_sample`, the outputs `spike_totals` and `synaptic_operations`, and every `ai.snnc`
operator as a function (docs/format.md). Post-condition: onnx.checker (full) accepts it.
"""

from __future__ import annotations

import json

import onnx

import snnc
from snnc.emit.block import build_block
from snnc.emit.calibrated import embed_calibrated
from snnc.emit.decode import add_decoding
from snnc.emit.schedules import as_loop, as_stream, as_unrolled
from snnc.files import set_metadata
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.runtime.session import FORMAT_VERSION


def run(conversion: Conversion) -> None:
    options, report = conversion.options, conversion.report.to_json()
    block = build_block(conversion.graph)
    add_decoding(conversion.graph, block)
    if options.schedule == "stream":
        model = as_stream(block)
    elif options.schedule == "unrolled":
        model = as_unrolled(block, steps=options.steps, seed=options.seed, controls=options.controls)
    else:
        model = as_loop(
            block,
            steps=options.steps,
            seed=options.seed,
            max_steps=options.max_steps,
            controls=options.controls,
            least_steps=options.delay + 1,
        )
    model.producer_version = snnc.__version__
    model.doc_string = "Spiking network converted by snnc; what it is and was made from stands in metadata_props"
    metadata = {
        "snnc.format_version": str(FORMAT_VERSION),
        "snnc.version": snnc.__version__,
        "snnc.options": json.dumps(options.to_json()),
        "snnc.layers": json.dumps(report["layers"]),
        "snnc.calibration": json.dumps(report["calibration"]),
    }
    metadata["snnc.network"] = embed_calibrated(conversion.graph, block.body_constants)
    for key, value in metadata.items():
        set_metadata(model, key, value)
    if model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF:
        onnx.checker.check_model(model, full_check=True)
    conversion.emitted = model


PASS = Pass("emit", Level.FUSED, Level.EMITTED, run)
