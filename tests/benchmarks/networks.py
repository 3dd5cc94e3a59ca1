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

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc import pipeline
from snnc.api import open_converted
from snnc.emit.layer_operators import PLAIN
from snnc.integers.grid import Rounded, round_tree, weights_of, write_weights
from snnc.integers.layer_simulation import SpikeTrains
from snnc.integers.limits import largest_sum
from snnc.ir.conversion import Conversion, LayerReport, Level, Pass
from snnc.ir.graph import NEURONS, sample_shape
from snnc.ir.options import Options
from snnc.ir.trees import leaves, targets, tree
from snnc.measure.fanout import count_macs
from snnc.simulate.ann import load_model

from .architectures import NETWORKS, images

# Thresholds are set on the images that `compare` runs.
IMAGES_SEED = 2
CALIBRATION_IMAGES = 16


class _RatedTrains(SpikeTrains):
    """Spike trains whose mean rate can be asked for."""

    def rate(self, target: gs.Node) -> float:
        """Spikes per neuron and step of `target`, after `fire`."""
        spikes = neurons = 0
        for row in self._trains[target.outputs[0].name]:
            spikes += sum(int(np.unpackbits(words.view(np.uint8)).sum()) for words, _ in row)
            neurons += row[0][0].size
        return spikes / neurons / sum(count for _, count in self.blocks)


def rate_pass(rate: float, known: dict[str, int], calibration_steps: int) -> Pass:
    """A pass SPIKING → CALIBRATED that sets thresholds by rate; `known` thresholds are used as they are, and the
    ones found are added to it."""

    def run(conversion: Conversion) -> None:
        graph = conversion.graph
        encoder = next(node for node in graph.nodes if node.op == "PoissonEncode")
        encoder.attrs["scale"] = 1.0
        shape = sample_shape(encoder.outputs[0])
        layers = [LayerReport(encoder.inputs[0].name, "input", encoder.op, shape, int(np.prod(shape)), 1.0)]
        scales = {encoder.outputs[0].name: 1.0}
        search = _Search(conversion, encoder, rate, known, calibration_steps)
        for target in targets(graph):
            rounded = _round(conversion, target, scales)
            target.attrs["scale"] = rounded.scale
            if target.op in NEURONS:
                threshold = search.threshold(target)
                _set_threshold(target, threshold)
                target.attrs["scale"] = scales[target.outputs[0].name] = rounded.scale * threshold
            layers.append(_report(target, rounded))
        conversion.report.layers = layers

    return Pass("calibrate", Level.SPIKING, Level.CALIBRATED, run)


class _Search:
    """Finds the threshold at which a layer fires at the wanted rate; simulates only where it is not known."""

    def __init__(
        self, conversion: Conversion, encoder: gs.Node, rate: float, known: dict[str, int], steps: int
    ) -> None:
        self.rate, self.known = rate, known
        order = targets(conversion.graph)
        self.last_use = {leaf.name: target.name for target in order for leaf in leaves(target.inputs[0])}
        neurons = [target.name for target in order if target.op in NEURONS]
        self.trains: _RatedTrains | None = None
        if not all(name in known for name in neurons):
            known.clear()
            self.trains = _RatedTrains(
                images(CALIBRATION_IMAGES, IMAGES_SEED), steps, 0, _largest_layer(conversion.graph)
            )
            self.trains.encode(encoder)

    def threshold(self, target: gs.Node) -> int:
        """The even threshold of `target`; its spikes are kept for the layers behind it."""
        if self.trains is None:
            return self.known[target.name]
        found = self._search(self.trains, target)
        self.known[target.name] = found
        for name, last in self.last_use.items():
            if last == target.name:
                self.trains.forget(name)
        return found

    def _search(self, trains: _RatedTrains, target: gs.Node) -> int:
        """Bisection between powers of two; the rate falls with the threshold."""
        low, high = 2, 2
        while self._rate(trains, target, high) > self.rate:
            low, high = high, high * 4
        while high - low > max(2, low // 64):
            middle = 2 * round(np.sqrt(low * high) / 2) if high > 2 * low else (low + high) // 4 * 2
            reached = self._rate(trains, target, middle)
            if abs(reached - self.rate) < 0.01 * self.rate:
                high = middle
                break
            low, high = (middle, high) if reached > self.rate else (low, middle)
        print(f"  {target.name}: threshold {high}, rate {self._rate(trains, target, high):.2%}", flush=True)
        return high

    def _rate(self, trains: _RatedTrains, target: gs.Node, threshold: int) -> float:
        _set_threshold(target, threshold)
        trains.fire(target, lambda share: None)
        return trains.rate(target)


def _largest_layer(graph: gs.Graph) -> int:
    return max(int(np.prod(sample_shape(target.outputs[0]))) for target in targets(graph))


def _set_threshold(target: gs.Node, threshold: int) -> None:
    constant = gs.Constant(f"{target.name}/threshold", np.array(threshold, np.int32))
    target.inputs = [target.inputs[0], constant]


def _round(conversion: Conversion, target: gs.Node, scales: dict[str, float]) -> Rounded:
    """Put the tree of `target` on the integer grid that `calibrate` would choose."""
    limit = largest_sum(conversion.options.max_steps, readout=target.op == "SpikeReadout")
    rounded = round_tree(target.inputs[0], weights_of(tree(target.inputs[0])), scales, limit)
    assert rounded is not None, f"no grid for {target.name}"
    write_weights(target.inputs[0], rounded)
    return rounded


def _report(target: gs.Node, rounded: Rounded) -> LayerReport:
    shape = sample_shape(target.outputs[0])
    largest = max(float(np.abs(weights.weight).max()) for weights in rounded.weights.values())
    return LayerReport(
        target.name,
        "neuron" if target.op in NEURONS else "readout",
        target.op,
        shape,
        int(np.prod(shape)),
        float(target.attrs["scale"]),
        macs=count_macs(target.inputs[0]),
        weight_bits=int(np.ceil(np.log2(largest + 1))),
    )


@dataclass(frozen=True)
class Converted:
    """A converted network: as the compiler emits it (`fused`), and with every layer as plain operators (`plain`; None
    where only a file is known)."""

    ann: onnx.ModelProto
    fused: onnx.ModelProto
    plain: onnx.ModelProto | None
    layers: list[LayerReport]


def with_rate(
    name: str, rate: float, *, cache: Path, seed: int = 0, steps: int = 256, calibration_steps: int = 256
) -> Converted:
    """The network `name` in which every layer fires at about `rate` (share of steps); thresholds come from `cache`
    where they are known."""
    ann = NETWORKS[name](seed)
    file = cache / f"{name}-{100 * rate:g}percent-seed{seed}.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    before = dict(known)
    conversion = Conversion(ann, Options(steps=steps, v_init=0.0))
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
    for node in conversion.graph.nodes:
        if node.op in (*NEURONS, "SpikeReadout"):
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
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    onnx.save(with_rate(options.net, options.rate / 100, cache=options.cache).fused, options.output)


if __name__ == "__main__":
    main()
