"""Layers as calls: encoders, neurons, pools, products and readouts. Each reads the spikes of this very step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from snnc.export.c.integers import (
    count_type,
    elements,
    holding,
    potential_type,
    runs,
    start_of,
    sum_type,
    thresholds_of,
)
from snnc.export.c.kernels import MOST_AXES
from snnc.export.c.program import Identifiers, Program, Readout, State, Step, Trace
from snnc.export.c.trees import Sums, Trees, Value, windows
from snnc.ir.graph import activation_inputs, constant, sample_shape
from snnc.operators.readout import delay_of, is_settling


class Layers:
    """Writes the layers of a program, in the order of the graph. A layer has two times of a step: it reads at the even
    one and gives its spikes at the odd one behind it, when memory that only its current needed is free again."""

    def __init__(self, program: Program, identifiers: Identifiers) -> None:
        self.program, self.trees = program, Trees(program, identifiers)
        self._step = Step("", "")

    def write(self, node: gs.Node) -> None:
        """Append the step of one layer."""
        shape = " x ".join(map(str, sample_shape(node.outputs[0])))
        self._step = Step(node.name, f"{node.op}, {shape}")
        self.trees.layer, self.trees.statements = node.name, self._step.statements
        self.trees.now = 2 * len(self.program.steps)
        self.program.steps.append(self._step)
        LAYERS[node.op](self, node)

    def spikes(self, node: gs.Node) -> Value:
        """Where a layer puts its spikes."""
        self.trees.now += 1
        name = f"spikes_{self.trees.identifiers.of(node.name)}"
        value = self.trees.scratch(name, "int8_t", elements(node.outputs[0]))
        self.trees.declare(node.outputs[0], value)
        return value

    def _state(self, node: gs.Node, prefix: str, ctype: str, count: int, what: str) -> State:
        state = State(f"{prefix}_{self.trees.identifiers.of(node.name)}", ctype, count, node.name, what)
        self.program.states.append(state)
        return state

    def _potential(self, node: gs.Node) -> State:
        name, ctype = self.trees.identifiers.of(node.name), potential_type(node, self.program.most_steps)
        start, shape, size, values = None, sample_shape(node.outputs[0]), 0, start_of(node)
        if values.any():
            each, size = runs(values, shape)
            start = self.trees.constant(f"start_{name}", each)
        count = elements(node.outputs[0])
        state = State(f"v_{name}", ctype, count, node.name, "membrane potentials", start, size)
        self.program.states.append(state)
        return state

    def _fired(self, node: gs.Node, spikes: Value) -> None:
        """The layer has fired."""
        index = len(self.program.layers)
        identifier, count = self.trees.identifiers.of(node.name), elements(node.outputs[0])
        self.program.layers.append((node.name, identifier, count))
        self._step.statements.append(Trace(index, spikes.text, count))

    # Encoders

    def spiking_input(self, node: gs.Node) -> None:
        value = Value("input", self.program.input.ctype)
        self.trees.declare(node.outputs[0], value)
        self._fired(node, value)

    def direct_input(self, node: gs.Node) -> None:
        self.trees.declare(node.outputs[0], Value("input", self.program.input.ctype))
        self.program.layers.append((node.name, self.trees.identifiers.of(node.name), 0))

    def charge_input(self, node: gs.Node) -> None:
        given, count = self.program.input, elements(node.outputs[0])
        entered = self._state(node, "entered", given.ctype, count, "input that has entered")
        ctype = holding(given.low - given.high, given.high - given.low)
        value = self.trees.scratch(f"changes_{self.trees.identifiers.of(node.name)}", ctype, count)
        types = {"INPUT": given.ctype, "SUM": ctype}
        self.trees.call("change", types, "input", f"net->{entered.name}", count, value.text)
        self.trees.declare(node.outputs[0], value)
        self.program.layers.append((node.name, self.trees.identifiers.of(node.name), 0))

    # Neurons

    def _thresholds(self, node: gs.Node) -> tuple[str, str, int, int]:
        """Name and type of the array, how many there are and of how many neighbours each is."""
        values, size = runs(thresholds_of(node), sample_shape(node.outputs[0]))
        array = self.trees.constant(f"threshold_{self.trees.identifiers.of(node.name)}", values)
        return array.name, array.ctype, values.size, size

    def integrate_and_fire(self, node: gs.Node) -> None:
        state = self._potential(node)
        v = Sums(f"net->{state.name}", state.ctype)
        if "leak" in node.attrs:
            self.trees.call("leak", {"SUM": v.ctype}, v.text, state.count, int(node.attrs["leak"]))
        self.trees.add(node.inputs[0], v)
        threshold, ctype, count, size = self._thresholds(node)
        spikes = self.spikes(node)
        kernel = "fire_soft" if node.op == "RMP" else "fire_hard"
        types = {"WEIGHT": ctype, "SUM": v.ctype}
        self.trees.call(kernel, types, v.text, threshold, count, size, spikes.text, counts_spikes=True)
        self._fired(node, spikes)

    def staircase(self, node: gs.Node) -> None:
        state, limits = self._potential(node), (int(node.attrs["low"]), int(node.attrs["high"]))
        v = Sums(f"net->{state.name}", state.ctype)
        counts = self._state(node, "counts", holding(*limits), state.count, "spike counts")
        self.trees.add(node.inputs[0], v)
        threshold, ctype, count, size = self._thresholds(node)
        spikes = self.spikes(node)
        types = {"WEIGHT": ctype, "COUNT": counts.ctype, "SUM": v.ctype}
        arguments = (v.text, f"net->{counts.name}", threshold, count, size, *limits, spikes.text)
        self.trees.call("fire_staircase", types, *arguments, counts_spikes=True)
        self._fired(node, spikes)

    def table(self, node: gs.Node) -> None:
        name, state = self.trees.identifiers.of(node.name), self._potential(node)
        u = Sums(f"net->{state.name}", state.ctype)
        first, breaks, rises = (np.asarray(constant(node, index), np.int64) for index in (1, 2, 3))
        values = np.cumsum(np.concatenate([first.reshape(-1, 1), rises], axis=1), axis=1)
        ctype = holding(min(0, int(values.min())), max(0, int(values.max())))
        counts = self._state(node, "counts", ctype, state.count, "spike counts")
        self.trees.add(node.inputs[0], u)
        at, targets = self.trees.constant(f"breaks_{name}", breaks), self.trees.constant(f"targets_{name}", values)
        spikes = self.spikes(node)
        types = {"INPUT": targets.ctype, "WEIGHT": at.ctype, "COUNT": ctype, "SUM": u.ctype}
        size = state.count // len(values)
        arguments = (u.text, f"net->{counts.name}", at.name, targets.name, breaks.shape[1], len(values), size)
        self.trees.call("fire_table", types, *arguments, spikes.text, counts_spikes=True)
        self._fired(node, spikes)

    # Others

    def max_pool(self, node: gs.Node) -> None:
        operand, channels = node.inputs[0], sample_shape(node.inputs[0])[0]
        ctype = count_type(operand, self.program.most_steps)
        counts = self._state(node, "counts", ctype, elements(operand), "spike counts of its input")
        spikes = self.spikes(node)
        value = self.trees.value(operand)
        name = f"shape_{self.trees.identifiers.of(node.name)}"
        shape = self.trees.shape(name, "windows", windows(node, channels, 1, 1))
        arguments = (value.text, f"net->{counts.name}", shape, spikes.text)
        self.trees.call("fire_maximum", {"COUNT": ctype}, *arguments, counts_spikes=True)
        self._fired(node, spikes)

    def product(self, node: gs.Node) -> None:
        name, operands, count = self.trees.identifiers.of(node.name), activation_inputs(node), elements(node.outputs[0])
        result = self.trees.scratch(f"product_{name}", sum_type(node.outputs[0]), count)
        arguments, ctypes = [], []
        for which, operand in zip(("first", "second"), operands, strict=True):
            largest = int(node.attrs[f"{which}_largest"])
            ctypes.append(holding(-largest, largest))
            what = f"spike counts of its {which} input"
            counts = self._state(node, f"{which}_counts", ctypes[-1], elements(operand), what)
            value = self.trees.value(operand)
            places = (value.text, elements(operand), f"net->{counts.name}")
            self.trees.call("count_spikes", {"COUNT": counts.ctype}, *places)
            arguments += [value.text, f"net->{counts.name}"]
        types = {"COUNT": ctypes[0], "INPUT": ctypes[1], "SUM": result.ctype}
        shape = self.trees.shape(f"shape_{name}", "product", _product(node))
        self.trees.call("multiply", types, *arguments, shape, count, result.text)
        self.trees.declare(node.outputs[0], result)
        self.program.layers.append((node.name, name, 0))

    def readout(self, node: gs.Node) -> None:
        output, shape = node.outputs[0], sample_shape(node.outputs[0])
        ctype = potential_type(node, self.program.most_steps)
        name = self.trees.identifiers.of(output.name)
        state = State(f"sum_{name}", ctype, elements(output), node.name, "sums of the output")
        self.program.states.append(state)
        sums, delay = Sums(f"net->{state.name}", ctype), delay_of(node)
        if delay:
            self._step.after = delay
            with self.trees.apart():
                self.trees.add(node.inputs[0], sums)
        else:
            self.trees.add(node.inputs[0], sums)
        bias = constant(node, 1)
        bias = np.zeros(1) if bias is None else bias.reshape(bias.shape[-len(shape) :])
        scales, biases = (
            _whole(runs(np.asarray(values, np.float64), shape)[0], state.count)
            for values in (node.attrs["scale"], bias)
        )
        found = Readout(output.name, state, shape, scales, biases, not is_settling(node), delay)
        self.program.readouts.append(found)
        self.program.settles = self.program.settles or is_settling(node)


def _whole(values: NDArray[Any], count: int) -> NDArray[np.float64]:
    """One number, or one for each of `count` elements."""
    whole: NDArray[np.float64] = values if values.size == 1 else np.repeat(values, count // values.size)
    return whole


def _product(node: gs.Node) -> str:
    """The initializer of the shape of a product: sizes, and how far both inputs go on along each axis."""
    shape = sample_shape(node.outputs[0])
    padding = [1] * (MOST_AXES - len(shape))
    columns = [[*padding, *shape]]
    for operand in activation_inputs(node):
        sizes, step, steps = sample_shape(operand), 1, []
        for size in reversed(sizes):
            steps.append(step if size > 1 else 0)
            step *= size
        columns.append([*[0] * len(padding), *reversed(steps)])
    return "{" + ", ".join("{" + ", ".join(map(str, column)) + "}" for column in columns) + "}"


LAYERS: dict[str, Callable[[Layers, gs.Node], None]] = {
    "PoissonEncode": Layers.spiking_input,
    "DirectEncode": Layers.direct_input,
    "ChargeEncode": Layers.charge_input,
    "RMP": Layers.integrate_and_fire,
    "IF": Layers.integrate_and_fire,
    "Staircase": Layers.staircase,
    "StaircaseTable": Layers.table,
    "SpikeMaxPool": Layers.max_pool,
    "SpikeProduct": Layers.product,
    "SpikeReadout": Layers.readout,
}
