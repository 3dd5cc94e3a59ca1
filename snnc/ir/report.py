"""What calibration and verification found, as it stands in a file and in the report (docs/format.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Steps, agreement with the ANN, error of the outputs: a point of a curve.
Row = tuple[int, float | None, float | None]


@dataclass(frozen=True)
class TriedSteps:
    """The network with thresholds for so many steps, on `samples` held-back samples: of these `lost` are classified
    rightly by the ANN alone, and `gained` by the spiking network alone (None without labels: then `lost` counts those
    in different classes). The share that is lost of all samples is at most `bound`.
    """

    steps: int
    samples: int
    lost: int
    gained: int | None
    bound: float


@dataclass(frozen=True)
class Target:
    """How the steps were chosen: the fewest of those that were `tried` whose bound is at most `drop`.

    Where none of them `met` it, those with the least bound. All bounds hold at once with this `confidence`.
    """

    drop: float
    met: bool
    confidence: float
    tried: list[TriedSteps]


@dataclass(frozen=True)
class Calibration:
    """What the thresholds were set by. `steps` are 0 where the rule simulates nothing, `samples` too where it looks at
    the weights alone.

    `sha256` is that of the data, `input_scale` the ANN value of an input spike. `alpha` scaled the thresholds (None in
    older files); where it was chosen, `alphas` has the curve on the held-back samples of every one that was tried.
    `target` says how the steps were chosen, where they were. `given` layers have the thresholds of the quantisers that
    the network was trained with; where all have, no sample calibrated anything.
    """

    threshold: str
    samples: int
    steps: int
    data: str
    sha256: str
    input_scale: float
    synthetic: bool = False
    alpha: float | None = None
    alphas: dict[str, list[Row]] = field(default_factory=dict)
    target: Target | None = None
    given: int = 0


@dataclass(frozen=True)
class Certificate:
    """Where the counts and potentials of all layers were equal, integer for integer, to those of the quantised ANN.

    `layers` were compared on `samples` samples of `data` with this `sha256`. They took at most `steps` steps until the
    last spike, on average `mean_steps`, and could not have taken more than `most_steps`. `network` is the hash of the
    quantised ANN. `own`: its integers, weights and steps, are those of the quantised network that was converted.
    """

    layers: int
    samples: int
    data: str
    sha256: str
    steps: int
    mean_steps: float
    most_steps: int
    network: str
    own: bool = False


@dataclass(frozen=True)
class WeakLayer:
    """The first layer, in order of the graph, that loses its signal: the `share` of its neurons that fire at every
    step, or of the ANN's mean activation that its spikes carry."""

    layer: str
    op: str
    why: Literal["saturates", "vanishes", "amplifies"]
    share: float


@dataclass(frozen=True)
class InitialPotential:
    """How the network does from one V(0), and the `steps` it needs for the `goal` that both V(0) reach in the end.

    `goal` is an agreement, or an error where the network is not judged by classes; None where an end is of no account.
    """

    curve: list[Row]
    goal: float | None
    steps: int | None


@dataclass(frozen=True)
class Comparison:
    """Two forms that were compared on `samples` samples over `steps` steps, or why they were not (`skipped`).

    The forms are the file by its schedule, `blocks` and `reference`.
    """

    forms: tuple[str, str]
    samples: int
    steps: int
    skipped: str | None = None


@dataclass(frozen=True)
class Verification:
    """How the spiking network follows the ANN on `samples` samples that calibrated nothing. Shares are from 0 to 1.

    `compared` are the forms of the network that gave the same spikes. `v_init` is V(0) in thresholds;
    `agreement_interval` has 95 % confidence; `error` is ‖ŷ - y‖₂/‖y‖₂, None for class numbers; `commonest_class` the
    share of samples that the ANN puts into one class; `missed` what the network falls short of to be called good;
    `saturated` the share of neurons per layer that fired in at least 95 % of the steps, `carried` per layer λ·rate over
    the ANN's mean activation; `longer` has more steps on fewer samples, where the network is poor;
    `initial_potentials` is by V(0) in thresholds, `0` and `0.5`. What has a default is missing in the oldest files.
    """

    samples: int
    data: str
    steps: int
    agreement: float | None
    error: float | None
    clipped: float
    v_init: float = 0.0
    agreement_interval: tuple[float, float] | None = None
    commonest_class: float | None = None
    judged_by: Literal["classes", "values"] | None = None
    missed: str | None = None
    saturated: dict[str, float] = field(default_factory=dict)
    carried: dict[str, float] = field(default_factory=dict)
    first_weak_layer: WeakLayer | None = None
    recommended_steps: int | None = None
    compared: list[Comparison] = field(default_factory=list)
    curve: list[Row] = field(default_factory=list)
    longer: list[Row] = field(default_factory=list)
    initial_potentials: dict[str, InitialPotential] = field(default_factory=dict)
