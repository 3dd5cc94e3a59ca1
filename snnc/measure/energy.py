"""What a network costs by arithmetic alone, and where a spiking network breaks even with its ANN.

Energies at 45 nm and 0.9 V, in pJ (M. Horowitz, "Computing's energy problem", ISSCC 2014):

                     add    multiply
    8-bit integer    0.03   0.2
    32-bit integer   0.1    3.1
    32-bit float     0.9    3.7

Counted are synapses. The updates of the neurons themselves and all memory traffic are left out: both favour the spiking
network.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snnc.ir.domain import BLOCK_STEPS
from snnc.operators import SOURCES

if TYPE_CHECKING:
    from snnc.ir.conversion import LayerReport
    from snnc.measure.evaluation import Curve

_MICROJOULE = 1e-6


@dataclass(frozen=True)
class Prices:
    """What both networks are charged, in pJ: the spiking one `accumulate` for a synaptic operation and `mac` where it
    multiplies, the ANN `ann_mac`."""

    accumulate: float
    mac: float
    ann_mac: float

    def energy_uj(self, operations: float, macs: float) -> float:
        """What the spiking network costs for so many synaptic operations and multiply-accumulates, in µJ."""
        return (operations * self.accumulate + macs * self.mac) * _MICROJOULE

    def ann_energy_uj(self, macs: float) -> float:
        """What the ANN costs for so many multiply-accumulates, in µJ."""
        return macs * self.ann_mac * _MICROJOULE


# Both networks in 32-bit floats, as most papers do it: an addition, and a multiplication with an addition.
FLOAT32 = Prices(accumulate=0.9, mac=4.6, ann_mac=4.6)
# Both in integers, as they run. The spiking network adds in 32 bits; where it multiplies, 8-bit numbers meet 16-bit
# weights: twice the 8-bit multiplier (0.4), as one grows with the product of its widths (8 to 32 bits: 15.5 times).
# The ANN multiplies and adds 8 bits (0.2 + 0.03), though sums have 32 bits in onnxruntime: in doubt for the ANN.
INT8 = Prices(accumulate=0.1, mac=0.5, ann_mac=0.23)
#: By the ANN that the spiking network is held against.
PRICES = {"float32": FLOAT32, "int8": INT8}


@dataclass(frozen=True)
class Standing:
    """Where a network stands after `steps` steps: synaptic operations and multiply-accumulates per sample, energy in
    µJ, and that over the ANN's."""

    steps: int
    operations: float
    macs: float
    energy_uj: float
    ratio: float


@dataclass(frozen=True)
class BreakEven:
    """One line to break even: the `prices`, what the ANN costs (µJ per sample), and a point for every step count.

    `operations` are the synaptic operations per sample at which the spiking network costs the same at the last of the
    step counts, beside its own multiplications; None where these alone cost more.
    """

    prices: Prices
    ann_energy_uj: float
    operations: float | None
    points: list[Standing]

    @property
    def last(self) -> Standing:
        """The point with the most steps."""
        return self.points[-1]

    @property
    def steps(self) -> float | None:
        """Where the network costs what the ANN does, straight lines between the points; None where that is outside."""
        for before, behind in zip(self.points, self.points[1:], strict=False):
            if before.ratio <= 1 < behind.ratio:
                share = (1 - before.ratio) / (behind.ratio - before.ratio)
                return before.steps + share * (behind.steps - before.steps)
        return None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, documented in docs/cli.md."""
        names = {
            "accumulate": "picojoule_per_accumulate",
            "mac": "picojoule_per_mac",
            "ann_mac": "picojoule_per_ann_mac",
        }
        prices = {names[name]: price for name, price in asdict(self.prices).items()}
        others = {name: value for name, value in asdict(self).items() if name != "prices"}
        return {**prices, **others, "steps": self.steps}


def break_even(curves: Sequence[Curve]) -> dict[str, BreakEven]:
    """The lines of all `PRICES`, for the means over `curves` (seeds of one network, with the same step counts); none
    where the ANN multiplies nothing."""
    macs = curves[0].ann_macs
    return {name: _line(prices, macs, curves) for name, prices in PRICES.items()} if macs else {}


def _line(prices: Prices, ann_macs: int, curves: Sequence[Curve]) -> BreakEven:
    ann_energy = prices.ann_energy_uj(ann_macs)
    points = []
    for column in zip(*(curve.points for curve in curves), strict=True):
        operations = statistics.fmean(point.operations for point in column)
        macs = statistics.fmean(point.macs for point in column)
        energy = prices.energy_uj(operations, macs)
        points.append(Standing(column[0].steps, operations, macs, energy, energy / ann_energy))
    left = (ann_macs * prices.ann_mac - points[-1].macs * prices.mac) / prices.accumulate
    return BreakEven(prices, ann_energy, left if left > 0 else None, points)


def multiplications(layers: Sequence[LayerReport], steps: int, busy_steps: float) -> float:
    """Multiply-accumulates of a spiking network per sample, in a run of `steps` steps of which `busy_steps` go by until
    its last spike (the mean over samples).

    What reads the numbers of the input multiplies once in every block of steps, or once at all where the input enters
    as one charge; what reads the currents of another layer (no neuron stands between) in every step.
    """
    encoder = SOURCES.get(layers[0].op)
    once = encoder is not None and encoder.first_step_only
    blocks = 1 if once else -(-steps // BLOCK_STEPS)
    on_numbers = sum(layer.macs_on_numbers for layer in layers)
    return blocks * on_numbers + busy_steps * sum(layer.macs_on_currents for layer in layers)


def mean_busy_steps(steps: int, settled: Sequence[int] | None) -> float:
    """The steps of a run of `steps` that go by until a sample is quiet, on average; `settled` are those of every sample
    until its last spike, None in a network that never settles."""
    return float(steps) if not settled else float(np.minimum(settled, steps).mean())
