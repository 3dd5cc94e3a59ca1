"""The networks of `architectures.py` as spiking networks in which every layer fires at a given rate.

The networks go through snnc's own passes; only the choice of thresholds differs: `rate_pass` stands in for `calibrate`.
It rounds every layer to its integer grid in the same way, but sets the threshold to the even integer at which the layer
fires at the wanted rate on the images to be measured, layer by layer. Thresholds are kept in a folder between runs, so
that only the first run of a network takes a minute; the graph is always emitted by the compiler as it is now.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc import pipeline
from snnc.api import open_converted
from snnc.emit.layer_operators import PLAIN
from snnc.integers.calibration import Calibrator
from snnc.integers.layer_simulation import SpikeTrains
from snnc.ir.conversion import Conversion, LayerReport, Level, Pass
from snnc.ir.graph import sample_shape
from snnc.ir.options import AUTO, Options
from snnc.ir.trees import layers, leaves, targets
from snnc.measure.layer_report import report_layers
from snnc.operators import LAYERS
from snnc.simulate.ann import load_model
from snnc.thresholds import Estimate

from .architectures import NETWORKS, images

# Thresholds are set on the images that `compare` runs.
IMAGES_SEED = 2
CALIBRATION_IMAGES = 16


class _RatedTrains(SpikeTrains):
    """Spike trains whose mean rate can be asked for."""

    def rate(self, target: gs.Node) -> float:
        """Spikes per neuron and step of `target`, after `fire`."""
        spikes = neurons = 0
        for batch in range(len(self.starts)):
            row = [self.words(target.outputs[0].name, batch, block) for block in range(len(self.blocks))]
            spikes += sum(int(np.unpackbits(words.view(np.uint8)).sum()) for words in row)
            neurons += row[0].size
        return spikes / neurons / sum(count for _, count in self.blocks)


class _Rated(Calibrator):
    """Sets every threshold such that its layer fires at the wanted rate; simulates only where it is not known."""

    def __init__(self, conversion: Conversion, rate: float, known: dict[str, float], steps: int) -> None:
        order = layers(conversion.graph)
        neurons = [node for node in order if LAYERS[node.op].kind == "neuron"]
        trains = None
        if not all(node.name in known for node in neurons):
            known.clear()
            largest = max(int(np.prod(sample_shape(node.outputs[0]))) for node in order)
            trains = _RatedTrains(images(CALIBRATION_IMAGES, IMAGES_SEED), steps, 0, largest)
        super().__init__(conversion, 1.0, trains)
        self.rated, self.rate, self.known = trains, rate, known
        self.last_use = {leaf.name: node.name for node in order for leaf in leaves(node.inputs[0])}

    def estimate(self, node: gs.Node) -> None:
        """V_th of `node`; its spikes are kept for the layers behind it."""
        if self.rated is not None:
            self.known[node.name] = self._search(self.rated, node)
            for name, last in self.last_use.items():
                if last == node.name:
                    self.rated.forget(name)
        self.estimates[node.name] = Estimate(self.known[node.name])

    def _search(self, trains: _RatedTrains, node: gs.Node) -> float:
        """Bisection; the rate falls with the threshold."""
        unit = float(self.round(node).unit.max())
        low, high = 2 * unit, 2 * unit
        while self._rate_with(trains, node, high) > self.rate:
            low, high = high, high * 4
        while high > 1.015 * low and high - low > 2 * unit:
            middle = float(np.sqrt(low * high))
            reached = self._rate_with(trains, node, middle)
            if abs(reached - self.rate) < 0.01 * self.rate:
                high = middle
                break
            low, high = (middle, high) if reached > self.rate else (low, middle)
        print(f"  {node.name}: threshold {high:.5g}, rate {self._rate_with(trains, node, high):.2%}", flush=True)
        return high

    def _rate_with(self, trains: _RatedTrains, node: gs.Node, threshold: float) -> float:
        self.estimates[node.name] = Estimate(threshold)
        self.set_threshold(node)
        trains.forget(node.outputs[0].name)
        trains.fire(node)
        return trains.rate(node)


def rate_pass(rate: float, known: dict[str, float], calibration_steps: int) -> Pass:
    """A pass SPIKING → CALIBRATED that sets thresholds by rate; `known` ones (V_th by layer) are used as they are, and
    the ones found are added to it."""

    def run(conversion: Conversion) -> None:
        calibrator = _Rated(conversion, rate, known, calibration_steps)
        for node in conversion.graph.nodes:
            if node.op in LAYERS:
                LAYERS[node.op].calibrate(node, calibrator)
                if LAYERS[node.op].kind == "input" and calibrator.rated is not None:
                    calibrator.rated.fire(node)
        conversion.report.layers = report_layers(conversion.graph, calibrator.rounded, calibrator.estimates)

    return Pass("calibrate", Level.SPIKING, Level.CALIBRATED, run)


@dataclass(frozen=True)
class Converted:
    """A converted network: as the compiler emits it (`fused`), and with every layer as plain operators (`plain`; None
    where only a file is known)."""

    ann: onnx.ModelProto
    fused: onnx.ModelProto
    plain: onnx.ModelProto | None
    layers: list[LayerReport]


def with_rate(
    name: str,
    rate: float,
    *,
    cache: Path,
    seed: int = 0,
    steps: int = 256,
    calibration_steps: int = 256,
    weight_bits: int | Literal["auto"] = "auto",
) -> Converted:
    """The network `name` in which every layer fires at about `rate` (share of steps); thresholds come from `cache`
    where they are known."""
    ann = NETWORKS[name](seed)
    file = cache / f"{name}-{100 * rate:g}percent-seed{seed}-{weight_bits}bits-vth.json"
    known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    before = dict(known)
    conversion = Conversion(ann, Options(steps=steps, v_init=0.0, weight_bits=weight_bits))
    without_samples = ("synthesize", "choose_potential", "verify")
    replaced = {"calibrate": rate_pass(rate, known, calibration_steps)}
    passes = [replaced.get(step.name, step) for step in pipeline.RMP if step.name not in without_samples]
    if not known:
        print(f"setting the thresholds of {name} to {rate:.1%} spikes", flush=True)
    pipeline.run(conversion, passes)
    if known != before:
        cache.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known, indent=1))
    fused = conversion.emitted
    assert fused is not None
    for node in targets(conversion.graph):
        node.attrs["fused"] = PLAIN
    emit = next(step for step in pipeline.RMP if step.name == "emit")
    emit.run(conversion)
    return Converted(ann, fused, conversion.emitted, conversion.report.layers)


def from_files(converted: Path, ann: Path) -> Converted:
    """A network that was converted before, with the ANN it comes from."""
    file = open_converted(converted)
    return Converted(load_model(str(ann)), file.model, None, file.layers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a network to a file, for `snnc bench`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--net", choices=sorted(NETWORKS), required=True)
    parser.add_argument("--rate", type=float, default=2.0, help="spikes per 100 neurons and step (default 2)")
    parser.add_argument("--cache", type=Path, default=Path("build/benchmarks"), help="folder for thresholds")
    parser.add_argument("--weight-bits", default=AUTO, help="as in `snnc convert` (default auto)")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    bits = weight_bits(options.weight_bits)
    onnx.save(with_rate(options.net, options.rate / 100, cache=options.cache, weight_bits=bits).fused, options.output)


def weight_bits(text: str) -> int | Literal["auto"]:
    """What `--weight-bits` says."""
    return "auto" if text == AUTO else int(text)


if __name__ == "__main__":
    main()
