"""What the page needs beside onnxruntime-web, written into its folder: `network.snn.onnx` and `digits.json`.

The network is that of `snnc demo`, or any other for images of 8x8, in the schedule `stream`: the page carries the
states and can look at the answer after every few steps. The spike words of all layers become outputs of the file too,
for the rasters; their names are in the metadata `example.spike_words`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx

import snnc
from snnc.data import load
from snnc.diagnostics import DiagnosticError
from snnc.emit.schedules import as_stream
from snnc.files import ConvertedFile, set_metadata, write_atomically
from snnc.simulate.spike_words import spike_words

PIXELS = (1, 8, 8)
WHITE = 16
TEST_DIGITS = 100
DEMO = Path(snnc.__file__).parent / "demo" / "digits.onnx"


def with_spike_words(model: onnx.ModelProto) -> onnx.ModelProto:
    """A file of the schedule stream whose outputs have the words of all spiking layers too, `[N, C, ...]` uint64: bit t
    is the spike in step t of the block. Where spikes have signs, the negative ones follow behind along the channels."""
    words = spike_words(ConvertedFile(model, "the network"))
    names = {layer: found.tensors[0] for layer, found in words.items()}
    exposed = as_stream(ConvertedFile(model, "the network").block, tuple(names.values()))
    own = {entry.key for entry in exposed.metadata_props}
    for entry in model.metadata_props:
        if entry.key not in own:
            set_metadata(exposed, entry.key, entry.value)
    set_metadata(exposed, "example.spike_words", json.dumps(names))
    return exposed


def digits_json() -> str:
    """The first of the test digits as JSON: `images`, lists of 64 values from 0 to 16, and `labels`."""
    digits = load("digits:test", PIXELS)
    assert digits.labels is not None
    images = np.rint(digits.images[:TEST_DIGITS].reshape(-1, 64) * WHITE).astype(int)
    return json.dumps({"images": images.tolist(), "labels": digits.labels[:TEST_DIGITS].tolist()})


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert the network of the page, and write its test digits.")
    parser.add_argument("--net", default=str(DEMO), help="a network for digits of 1x8x8 (default: that of snnc demo)")
    parser.add_argument("--steps", type=int, default=64, help="steps that the page runs (default: 64)")
    parser.add_argument("--alpha", type=float, default=0.6, help="factor of the thresholds (default: 0.6)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder (default: that of the page)")
    arguments = parser.parse_args()
    if not arguments.output.is_dir():
        raise SystemExit(f"error: {arguments.output} is no folder")
    try:
        converted = snnc.convert(
            arguments.net, calib="digits:train", schedule="stream", steps=arguments.steps, alpha=arguments.alpha
        )
        network = with_spike_words(converted.model).SerializeToString()
        write_atomically(arguments.output / "network.snn.onnx", network)
        write_atomically(arguments.output / "digits.json", digits_json().encode())
    except DiagnosticError as error:
        raise SystemExit(str(error)) from None
    print(f"wrote network.snn.onnx and digits.json into {arguments.output}")


if __name__ == "__main__":
    main()
