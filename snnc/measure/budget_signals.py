"""The signals whose differences are the parts of an error (`snnc.measure.budget`), batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from snnc.emit.block import Block
from snnc.emit.model import make_model
from snnc.emit.quantised import COUNTS
from snnc.files import ConvertedFile
from snnc.ir.conversion import LayerReport
from snnc.runtime.session import largest_batch, make_session
from snnc.simulate.ann import cut_ann, layer_probe
from snnc.simulate.block_runner import Snapshot, StreamRunner
from snnc.simulate.spike_words import spike_words

# A neuron that is so near to its next spike, in spikes, has fired it: z is computed in float32.
_NEARLY = 1e-4


@dataclass(frozen=True)
class LayerSignals:
    """`chain` are a, z, c, q and s of a layer on some samples, all of one shape."""

    name: str
    op: str
    kind: Literal["input", "neuron", "output"]
    chain: tuple[np.ndarray, ...]


class Signals:
    """Both networks, ready to run; `steps` are None where the spiking one runs until it is quiet."""

    def __init__(
        self, file: ConvertedFile, ann: onnx.ModelProto, steps: int | None, seed: int, threads: int | None
    ) -> None:
        self._file, self._seed = file, seed
        self.steps = steps if steps is not None or file.settles else file.options.steps
        self.batch = largest_batch(file.layers)
        neurons = [layer for layer in file.layers if layer.kind == "neuron"]
        probe, tensors = layer_probe(ann, [layer.name for layer in neurons])
        shapes = probe.shapes(file.input_dims)
        self._neurons = [layer for layer in neurons if shapes.get(tensors.get(layer.name, "")) == layer.shape]
        names = [layer.name for layer in self._neurons]
        self.skipped = [layer.name for layer in neurons if layer.name not in names]
        self._ann, self._tensors = probe, tensors
        self._cut, self._cut_inputs, self._cut_outputs = cut_ann(ann, names)
        self._words = spike_words(file)
        self._input = file.layers[0]
        exposed = [] if file.settles else [*names, *([self._input.name] if self._input.name in self._words else [])]
        self._exposed = {name: self._words[name] for name in exposed}
        tensors_of_words = [tensor for words in self._exposed.values() for tensor in words.tensors]
        self._runner = StreamRunner(file.block, expose=tensors_of_words, threads=threads)
        self._keeps_charge = file.options.reset == "soft" and not file.options.leak
        self._potentials = {
            state.layer: state.name for state in file.block.states if state.what == "membrane potential"
        }
        self._quantised = _Quantised(file, threads) if file.settles else None
        self._encoder = None if self._input.name in self._exposed else _Encoder(file.block)

    def of(self, images: np.ndarray, first_sample: int) -> Iterator[LayerSignals]:
        """The signals of every layer on a batch of samples, the first of which has this number."""
        last, counts = self._simulate(images, first_sample)
        settled = {} if self._quantised is None else self._quantised.run(images)
        coded = self._coded(images, counts)
        yield LayerSignals(self._input.name, self._input.op, "input", coded)
        activations = self._ann.run(images)
        values = {layer.name: counts[layer.name] * self._worth(layer) for layer in self._neurons}
        feeds = {self._cut_inputs[name]: value.astype(np.float32) for name, value in values.items()}
        expected = self._cut.run(coded[-1].astype(np.float32), feeds)
        for layer in self._neurons:
            worth = self._worth(layer)
            z = expected[self._cut_outputs[layer.name]].astype(np.float64)
            low, high = self._limits(layer)
            clipped = np.clip(z, low * worth, high * worth)
            if layer.name in settled:
                count = settled[layer.name]
            elif self._keeps_charge:
                count = counts[layer.name] + np.floor_divide(last.states[self._potentials[layer.name]], _theta(layer))
            else:
                start = _per_channel(layer.v_init, layer) / _theta(layer)
                count = np.floor(clipped / worth + start + _NEARLY)
            quantised = worth * np.clip(count, low, high)
            chain = (activations[self._tensors[layer.name]], z, clipped, quantised, values[layer.name])
            yield LayerSignals(layer.name, layer.op, "neuron", chain)
        # An output at a neuron reads its spikes.
        read = {self._cut_inputs[name]: value for name, value in values.items()}
        yield from self._outputs(last, activations, {**expected, **read})

    def _simulate(self, images: np.ndarray, first_sample: int) -> tuple[Snapshot, dict[str, np.ndarray]]:
        """The last state, and the spike counts of the layers until then."""
        if self._quantised is not None:
            steps = self._file.options.max_steps if self.steps is None else self.steps
            last = self._runner.run_until_quiet(images, steps)
            states = {state.layer: state.name for state in self._file.block.states if state.what == "spike count"}
            return last, {layer: last.states[name].astype(np.float64) for layer, name in states.items()}
        assert self.steps is not None
        counts: dict[str, np.ndarray] = {}
        for last in self._runner.run(images, [self.steps], seed=self._seed, first_sample=first_sample):
            for name, words in self._exposed.items():
                spikes = words.unpack(last.words, last.count).sum(0, dtype=np.int64)
                counts[name] = counts.get(name, np.int64(0)) + spikes
        return last, counts

    def _coded(self, images: np.ndarray, counts: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """The chain of the input: what of it comes in nothing changes but the coding."""
        values = images.astype(np.float64)
        if self._encoder is not None:
            clipped, rounded = self._encoder.run(images)
            return values, values, clipped, rounded, rounded
        worth, steps = self._worth(self._input), self._steps
        clipped = np.clip(values, -steps * worth, steps * worth)
        nearest = worth * np.rint(clipped / worth)
        return values, values, clipped, nearest, worth * counts[self._input.name]

    def _outputs(
        self, last: Snapshot, activations: dict[str, np.ndarray], expected: dict[str, np.ndarray]
    ) -> Iterator[LayerSignals]:
        """Outputs clip nothing and round their weights alone; a delayed one misses what came before."""
        for info in self._file.block.outputs:
            name = info.name
            if name not in expected or not np.issubdtype(last.outputs[name].dtype, np.floating):
                continue
            z, found = expected[name], last.outputs[name]
            rounded = z if self._file.options.delay else found
            yield LayerSignals(name, "", "output", (activations[name], z, z, rounded, found))

    @property
    def _steps(self) -> int:
        """By how many the counts are divided."""
        return 1 if self._file.settles or self.steps is None else self.steps

    def _worth(self, layer: LayerReport) -> np.ndarray:
        """What one spike of all steps is worth."""
        return layer.scales() / self._steps

    def _limits(self, layer: LayerReport) -> tuple[np.ndarray | int, np.ndarray | int]:
        """The smallest and the largest count."""
        return (0, self._steps) if self._quantised is None else self._quantised.limits[layer.name]


def _theta(layer: LayerReport) -> np.ndarray:
    """The threshold on the grid."""
    assert layer.threshold_integer is not None
    return _per_channel(layer.threshold_integer, layer)


def _per_channel(values: int | list[int], layer: LayerReport) -> np.ndarray:
    """As an array that broadcasts against samples."""
    return np.asarray(values, np.int64).reshape(-1, *[1] * (len(layer.shape) - 1))


class _Quantised:
    """The quantised ANN of a file, and the limits of the counts of its layers."""

    def __init__(self, file: ConvertedFile, threads: int | None) -> None:
        model = file.quantised()
        metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
        self._counts: dict[str, str] = metadata[COUNTS]
        self._session = make_session(model.SerializeToString(), threads=threads)
        self._input = self._session.get_inputs()[0].name
        constants = {tensor.name: tensor for tensor in file.block.body_constants}
        nodes = {node.name: node for node in file.block.body}
        self.limits = {
            layer.name: _limits(nodes[layer.name], constants, len(layer.shape))
            for layer in file.layers
            if layer.kind == "neuron"
        }

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The counts of every layer."""
        found = self._session.run(list(self._counts.values()), {self._input: images})
        return dict(zip(self._counts, found, strict=True))


def _limits(
    node: onnx.NodeProto, constants: dict[str, TensorProto], axes: int
) -> tuple[np.ndarray | int, np.ndarray | int]:
    """Of the count of a staircase: its attributes, else the ends of its table."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if "low" in attributes and "high" in attributes:
        return attributes["low"], attributes["high"]
    first, _, rises = (onnx.numpy_helper.to_array(constants[name]) for name in node.input if name in constants)
    counts = np.cumsum(np.concatenate([first[:, None], rises], axis=1), axis=1)
    shape = (-1, *[1] * (axes - 1))
    return counts.min(1).reshape(shape), counts.max(1).reshape(shape)


class _Encoder:
    """An input that is not coded into spikes: its numbers, clipped and rounded, by the nodes of the file itself."""

    def __init__(self, block: Block) -> None:
        known, nodes = {block.input_name}, []
        constants = {tensor.name for tensor in block.body_constants}
        for node in block.body:
            if set(node.input) <= known | constants and set(node.input) & known:
                nodes.append(node)
                known |= set(node.output)
                if node.op_type == "Round":
                    break
        assert nodes[-1].op_type == "Round", "the input is neither spikes nor rounded numbers"
        names = [nodes[-1].input[0], nodes[-1].output[0]]
        read = {node.op_type: node.input[1] for node in nodes if node.op_type in ("Div", "Sub")}
        known_values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in block.body_constants}
        self._unit = known_values[read["Div"]].astype(np.float64)
        self._origin = known_values[read["Sub"]].astype(np.float64) if "Sub" in read else np.float64(0)
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        pixels = helper.make_tensor_value_info(block.input_name, TensorProto.FLOAT, ["N", *block.input_dims])
        used = {name for node in nodes for name in node.input}
        initializers = [tensor for tensor in block.body_constants if tensor.name in used]
        model = make_model(helper.make_graph(nodes, "encoder", [pixels], values, initializers))
        self._session, self._input = make_session(model.SerializeToString()), block.input_name

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """(clipped, rounded), as the input has them: n·unit + origin."""
        return [part * self._unit + self._origin for part in self._session.run(None, {self._input: images})]
