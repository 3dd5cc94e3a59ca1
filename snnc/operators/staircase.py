"""Neurons with signed spikes that fire until their spike count is what their charge asks for.

    Staircase       V ← V + I;  s = +1 if V ≥ θ and S < high, -1 if V < 0 and S > low, else 0;  V ← V - s·θ;  S ← S + s
    StaircaseTable  U ← U + I;  s = sign(g(U) - S);  S ← S + s,  g a table of steps

The first one is the table with uniform steps, ST-BIF: what it fired too early it takes back, so its count settles at
clip(floor((ΣI + V(0))/θ), low, high) whatever the order of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.integers.steps import PADDING
from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import COUNT, own
from snnc.ir.signal import FloatArray, Signal
from snnc.ir.state import State
from snnc.operators.layer import Shape, SpikeSource, initial_charge, initial_potential
from snnc.operators.neuron import Neuron

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator
    from snnc.integers.grid import Rounded


class Staircase(Neuron):
    """Attributes low and high: the limits of the spike count; v_init and the threshold as of `IntegrateAndFire`.

    It stands for max(x, 0), or for x where low is negative.
    """

    name, charge_operator = "Staircase", "StaircaseCharge"

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        """The threshold of the rule is that of all levels: a spike is worth one of them."""
        calibrator.estimate(node)
        calibrator.set_threshold(node, levels=int(max(-node.attrs["low"], node.attrs["high"])))

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        """x itself where counts go below 0 too."""
        negative = node.attrs["low"] < 0
        return nodes.node("Identity", reads, output) if negative else super().analog(node, reads, output, nodes)

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=True)

    def largest_total(self, node: gs.Node) -> int:
        return int(max(-node.attrs["low"], node.attrs["high"]))

    def count_range(self, node: gs.Node) -> tuple[int, int]:
        return int(node.attrs["low"]), int(node.attrs["high"])

    def states(self, node: gs.Node) -> list[State]:
        return [*super().states(node), _counts(node)]

    def settling_steps(self, node: gs.Node) -> int:
        return int(node.attrs["high"] - node.attrs["low"])

    def settled(self, node: gs.Node, reads: Sequence[str], nodes: Nodes) -> tuple[str, str]:
        """S = clip(floor(U/θ), low, high) and U - θ·S, with U = Σ I + V(0)."""
        threshold = constant(node, 1)
        assert threshold is not None
        label = f"{node.name}/settled"
        start = np.asarray(initial_potential(node, threshold), np.float64)
        units = nodes.constant(f"{label}/threshold", threshold.astype(np.float64))
        charge = nodes.node("Add", [*reads, nodes.constant(f"{label}/start", start)], f"{label}/charge")
        steps = nodes.node("Floor", [nodes.node("Div", [charge, units], f"{label}/share")], f"{label}/steps")
        limits = [nodes.constant(f"limit/{node.attrs[name]}", np.float64(node.attrs[name])) for name in ("low", "high")]
        count = nodes.node("Clip", [steps, *limits], f"{label}/count")
        spent = nodes.node("Mul", [count, units], f"{label}/spent")
        return count, nodes.node("Sub", [charge, spent], f"{label}/potential")

    def attributes(self, node: gs.Node, *, whole_layer: bool) -> dict[str, int]:
        return {name: int(node.attrs[name]) for name in ("low", "high")}

    def layer_operator(self, shape: Shape) -> str:
        return f"Staircase{shape}"

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        if not node.attrs["low"] <= 0 < node.attrs["high"]:
            yield f"{node.name!r} can never fire"


class StaircaseTable(SpikeSource):
    """Steps of any height anywhere: y = f(x) for any function of the ANN, one table for every channel or one for all.

    Attributes: `region`, the function (`snnc.ir.function_kind.Curve`); `low` and `high`, the limits of the count;
    `value`, what a spike is worth, where the function itself has steps (else the threshold rule finds it). On the grid
    the table becomes the constants 1 to 3, integers: the count at the lowest charge, the charges where it changes, and
    by how much.
    """

    name, kind, integrates = "StaircaseTable", "neuron", True

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=True)

    def states(self, node: gs.Node) -> list[State]:
        dims, initial = sample_shape(node.outputs[0]), initial_charge(node).tolist()
        potential = State(f"v/{node.name}", f"v_next/{node.name}", "int32", dims, initial, what="membrane potential")
        return [potential, _counts(node)]

    def largest_total(self, node: gs.Node) -> int:
        return int(np.abs(self._counts_of(node)).max())

    def settling_steps(self, node: gs.Node) -> int:
        low, high = self.count_range(node)
        return high - low

    def count_range(self, node: gs.Node) -> tuple[int, int]:
        counts = self._counts_of(node)
        return min(0, int(counts.min())), max(0, int(counts.max()))

    def _counts_of(self, node: gs.Node) -> np.ndarray:
        """Every count that it can have, by channel."""
        tables = self._tables(node)
        return np.cumsum(np.concatenate([tables["first"][:, None], tables["rises"]], axis=1), axis=1)

    def settled(self, node: gs.Node, reads: Sequence[str], nodes: Nodes) -> tuple[str, str]:
        """S = first + Σ rises of the breaks that U has reached, and U: how many these are is found by halving."""
        label, tables = f"{node.name}/settled", self._tables(node)
        start = nodes.constant(f"{label}/start", initial_charge(node).astype(np.float64))
        charge = nodes.node("Add", [*reads, start], f"{label}/charge")
        steps = tables["breaks"].shape[1]
        halvings, ones = steps.bit_length(), [1] * (len(sample_shape(node.outputs[0])) - 1)
        padding = ((0, 0), (0, 2**halvings - 1 - steps))
        breaks = np.pad(tables["breaks"].astype(np.float64), padding, constant_values=PADDING)
        counts = np.pad(self._counts_of(node).astype(np.float64), padding, mode="edge")
        flat = nodes.constant(f"{label}/breaks", breaks.reshape(-1))
        rows = np.arange(len(breaks), dtype=np.int64).reshape(-1, *ones)
        passed = nodes.constant(f"{label}/first_break", rows * breaks.shape[1])
        for half in (2**bit for bit in reversed(range(halvings))):
            last = nodes.constant(f"settled/last_{half}", np.int64(half - 1))
            place = nodes.node("Add", [passed, last], f"{label}/place_{half}")
            at = nodes.node("Gather", [flat, place], f"{label}/break_{half}")
            reached = nodes.node("GreaterOrEqual", [charge, at], f"{label}/reached_{half}")
            numbers = [nodes.constant(f"settled/step_{step}", np.int64(step)) for step in (half, 0)]
            step = nodes.node("Where", [reached, *numbers], f"{label}/step_{half}")
            passed = nodes.node("Add", [passed, step], f"{label}/passed_{half}")
        place = nodes.node("Add", [passed, nodes.constant(f"{label}/rows", rows)], f"{label}/place")
        found = nodes.constant(f"{label}/counts", counts.reshape(-1))
        return nodes.node("Gather", [found, place], f"{label}/count"), charge

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        found: str = node.attrs["region"].write(nodes, reads[0], output)
        return found

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        """Tabulate the function; a neuron whose steps turn out to be uniform becomes a `Staircase`."""
        value, rounded = self._on_grid(node, calibrator)
        calibrator.charge(node, rounded)
        limits = int(node.attrs["low"]), int(node.attrs["high"])
        steps, thresholds = calibrator.tabulate(node, rounded, value, limits)
        if thresholds is None or not limits[0] <= 0 < limits[1]:
            tables = {"first": steps.first, "breaks": steps.breaks, "rises": steps.rises}
            constants = [gs.Constant(own(f"{node.name}/{name}"), table) for name, table in tables.items()]
        else:
            node.op = Staircase.name
            node.attrs["v_init"] = 0.5
            ones = [1] * (len(sample_shape(node.outputs[0])) - 1)
            integers = thresholds.reshape(-1, *ones) if thresholds.size > 1 else thresholds.reshape(())
            constants = [gs.Constant(own(f"{node.name}/threshold"), integers.astype(np.int32))]
        node.inputs = [node.inputs[0], *constants]
        calibrator.settle_threshold(node, value, rounded, value / rounded.scale)

    def _on_grid(self, node: gs.Node, calibrator: Calibrator) -> tuple[FloatArray, Rounded]:
        """What a spike is worth, and the tree on its grid: where that is given, the user's own, or one of which it is
        an even number of units."""
        coarsest, levels = calibrator.coarsest_of_charge(node), max(-node.attrs["low"], node.attrs["high"])
        given = np.asarray(node.attrs.get("value", 0.0), np.float64)
        if (given > 0).all() and (given.size == 1 or calibrator.by_channel(node)):
            own = calibrator.round_on_own_grid(node)
            return given, own or calibrator.round(node, coarsest, multiple=given)
        calibrator.estimate(node)
        value = calibrator.value_of_a_spike(node, levels)
        return value, calibrator.round(node, coarsest)

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        v, counts = block.states_of(node)
        spikes = node.outputs[0]
        tables = [block.constant(f"{name}/{node.name}", table) for name, table in self._tables(node).items()]
        names = [v.name, counts.name, *tables, COUNT]
        block.layer(node, names, [spikes.name, v.next_name, counts.next_name])
        block.words.declare(spikes, spikes.name)

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        if (np.diff(self._tables(node)["breaks"].astype(np.int64), axis=1) < 0).any():
            yield f"the steps of {node.name!r} are not in order"

    @staticmethod
    def _tables(node: gs.Node) -> dict[str, np.ndarray]:
        tables = {name: constant(node, index) for index, name in enumerate(("first", "breaks", "rises"), start=1)}
        found = {name: table for name, table in tables.items() if table is not None}
        assert len(found) == len(tables), f"{node.name!r} has no table"
        return found


def _counts(node: gs.Node) -> State:
    """The spikes so far, positive minus negative."""
    dims, name = sample_shape(node.outputs[0]), node.name
    return State(f"counts/{name}", f"counts_next/{name}", "int32", dims, what="spike count")
