"""The one data structure that goes through the passes, and the report it ends with."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc.data import DataSet
from snnc.diagnostics import Diagnostics
from snnc.diagnostics.origins import Origins
from snnc.integers.calibration_split import CALIB_MEMORY
from snnc.ir.options import Options
from snnc.ir.report import Calibration, Certificate, Row, Target, Verification
from snnc.methods import METHODS
from snnc.thresholds.contract import Estimate
from snnc.workers import Here, Workers

if TYPE_CHECKING:
    from snnc.integers.activations import Activations
    from snnc.integers.checkpoint import Checkpoint
    from snnc.measure.evaluation import Curve


class Level(IntEnum):
    """Legality of the graph, from the ANN as loaded to the file as written (docs/architecture.md)."""

    SOURCE = 0
    CANONICAL = 1
    SPIKING = 2
    CALIBRATED = 3
    FUSED = 4
    EMITTED = 5


@dataclass
class LayerReport:
    """What the compiler knows of one spike source or readout, in order of the graph.

    `scale` is the ANN value of one spike (λ; of one unit of potential for a readout), `threshold` the paper's V_th (in
    units of the layer's input spikes) and `threshold_integer` the same on the grid. `v_in` is the mean positive
    weighted input sum and `f_in` the share of steps that have one; with the rule `rate` a few samples give them, and
    they are None for rules that simulate nothing. `macs` are the multiply-accumulates of the
    ANN in front of the layer. `fused` is the operator that runs the layer, or `plain`; None for the input and in files
    that do not tell. `signed` spikes have two words each. An input that is not coded into spikes, and a product,
    have numbers of up to `levels` units; where the input is prepared as (x - `origin`)·`factor`, each a number or one
    for each channel, they stand for that. `macs_on_numbers` are those of `macs` that read such numbers,
    `macs_on_currents` those that read the currents of another layer, with no neuron between. `rate` is in spikes per
    neuron and step on the verification samples. `rounding` is by how much rounding its
    weights changes a layer's current, as a share of it. `counts` are the limits of the count of a neuron that settles;
    None of others.
    `own_grid`: its integers are those of the quantised network that was converted, weights and bias unrounded.

    `scale`, `threshold`, `threshold_integer` and `v_init` are one number where all channels have the same, else one for
    each channel; for a flat layer every neuron is a channel.
    """

    name: str
    kind: Literal["input", "neuron", "pool", "product", "readout"]
    op: str
    shape: tuple[int, ...]
    neurons: int
    scale: float | list[float]
    fan_in: int = 0
    macs: int = 0
    threshold: float | list[float] | None = None
    threshold_integer: int | list[int] | None = None
    weight_bits: int | None = None
    rounding: float | None = None
    v_init: int | list[int] = 0
    f_in: float | None = None
    v_in: float | None = None
    fused: str | None = None
    signed: bool = False
    levels: int = 1
    own_grid: bool = False
    factor: float | list[float] = 1.0
    origin: float | list[float] = 0.0
    macs_on_numbers: int = 0
    macs_on_currents: int = 0
    rate: float | None = None
    counts: tuple[int, int] | None = None

    @property
    def place(self) -> Literal["below", "inside", "above"] | None:
        """Where V_th (the largest of the channels) stands towards f_in·V_in ≤ V_th ≤ V_in, the range of RMP-SNN
        (equation 7): below it neurons saturate, above it they need many steps. None where these were not measured."""
        if self.threshold is None or self.f_in is None or self.v_in is None:
            return None
        largest = float(np.max(self.threshold))
        if largest < self.f_in * self.v_in:
            return "below"
        return "inside" if largest <= self.v_in else "above"

    def scales(self) -> np.ndarray:
        """`scale` as an array that broadcasts against samples of `shape`."""
        return np.asarray(self.scale, np.float64).reshape(-1, *[1] * (len(self.shape) - 1))


@dataclass(repr=False)
class Report:
    """Everything worth knowing of a conversion; `to_json` is stable and documented in docs/format.md.

    `calibration`, `certificate` and `verification` are None before the passes that find them have run.
    """

    layers: list[LayerReport] = field(default_factory=list)
    calibration: Calibration | None = None
    verification: Verification | None = None
    certificate: Certificate | None = None
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def __repr__(self) -> str:
        from snnc.measure.shown import report_summary

        return f"Report({report_summary(self)})"

    def __str__(self) -> str:
        from snnc.measure.shown import report_text

        return report_text(self)

    def _repr_html_(self) -> str:
        from snnc.measure.shown import report_html

        return report_html(self)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return {
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
            "calibration": {} if self.calibration is None else dataclasses.asdict(self.calibration),
            "verification": {} if self.verification is None else dataclasses.asdict(self.verification),
            "certificate": {} if self.certificate is None else dataclasses.asdict(self.certificate),
            "diagnostics": [diagnostic.to_json() for diagnostic in self.diagnostics.found],
        }


@dataclass
class Conversion:
    """The state of a conversion. `ann` stays as the user gave it; `graph` is rewritten by the passes.

    `data` are the user's samples, or once the pass `synthesize` has run the synthetic ones of `synthetic_seed`.
    """

    ann: onnx.ModelProto
    options: Options
    data: DataSet | None = None
    synthetic_seed: int = 0
    # Estimates by what they depend on (`snnc.thresholds.sharing.dependencies`), where conversions share them.
    estimates: dict[Any, dict[str, Estimate]] | None = None
    # Where estimates are kept, so that an interrupted conversion can go on.
    checkpoint: Checkpoint | None = None
    # The activations of the ANN on the calibration samples, where several calibrations look at them.
    activations: Activations | None = None
    # Who simulates samples.
    workers: Workers = field(default_factory=Here)
    # How many bytes samples and spike trains may take in memory.
    calib_memory: int = CALIB_MEMORY
    # How many samples to hold back at most, where more than usual are wanted.
    most_held_back: int = 0
    # How the steps or the levels were chosen, where they were.
    target: Target | None = None
    # Where alpha was chosen: alpha → the network with it against the ANN, on the held-back samples.
    alphas: dict[str, list[Row]] = field(default_factory=dict)
    # Initial potential (in thresholds) → the network that starts there against the ANN, on the held-back samples.
    trials: dict[float, Curve] = field(default_factory=dict)
    # Where it is poor: more steps on some of these samples, behind the steps that it has.
    longer: Curve | None = None
    graph: gs.Graph = field(default_factory=gs.Graph)
    level: Level = Level.SOURCE
    emitted: onnx.ModelProto | None = None
    # The quantised ANN at which the network settles.
    quantised: onnx.ModelProto | None = None
    report: Report = field(default_factory=Report)
    # Which node of the ANN gave a layer its bias, where that is not the layer itself: layer name → (op, name).
    bias_origin: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Why an elementwise function of the ANN was not taken for one: name of its last node → reason.
    declined: dict[str, tuple[str, str]] = field(default_factory=dict)
    progress: Callable[[str, float], None] = lambda stage, share: None

    def __post_init__(self) -> None:
        self.diagnostics.settles = METHODS[self.options.method].settles
        if self.diagnostics.origins is None:
            self.diagnostics.origins = Origins(self.ann)

    @property
    def diagnostics(self) -> Diagnostics:
        """The findings so far."""
        return self.report.diagnostics


@dataclass(frozen=True)
class Pass:
    """A step of the pipeline: the level it takes, the level it gives, and what it does to a `Conversion`."""

    name: str
    takes: Level
    gives: Level
    run: Callable[[Conversion], None]

    @property
    def summary(self) -> str:
        """The first line of the contract in the docstring of the pass's file."""
        return (sys.modules[self.run.__module__].__doc__ or "").strip().splitlines()[0]
