"""What calibration and verification found, as it stands in a file and in the report (docs/format.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from snnc.data.preparation import Preparation

#: Steps, agreement with the ANN, error of the outputs: a point of a curve.
Row = tuple[int, float | None, float | None]


@dataclass(frozen=True)
class Tried:
    """The network with thresholds for so many `steps`, or with so many `levels` (the other one is None), on `samples`
    held-back samples: of these `lost` are classified rightly by the ANN alone, and `gained` by the spiking network
    alone (None without labels: then `lost` counts those in different classes). The share that is lost of all samples is
    at most `bound`.
    """

    samples: int
    lost: int
    gained: int | None
    bound: float
    steps: int | None = None
    levels: int | None = None

    @property
    def what(self) -> str:
        """How many there are of what: `1 step`, `16 levels`."""
        count, unit = (self.levels, "level") if self.steps is None else (self.steps, "step")
        return f"{count} {unit}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Target:
    """How the steps, or the levels, were chosen: the fewest of those that were `tried` whose bound is at most `drop`.

    Where none of them `met` it, those with the least bound. All bounds hold at once with this `confidence`.
    """

    drop: float
    met: bool
    confidence: float
    tried: list[Tried]

    @property
    def chosen(self) -> Tried:
        """The one that met the target, else the one with the least bound (of equals the first)."""
        return self.tried[-1] if self.met else min(self.tried, key=lambda found: found.bound)


@dataclass(frozen=True)
class Calibration:
    """What the thresholds were set by. `steps` are 0 where the rule simulates nothing, `samples` too where it looks at
    the weights alone.

    `sha256` is that of the data, `input_scale` the ANN value of an input spike. `alpha` scaled the thresholds (None in
    older files); where it was chosen, `alphas` has the curve on the held-back samples of every one that was tried.
    `target` says how the steps or the levels were chosen, where they were. `given` layers have the thresholds of the
    quantisers that the network was trained with; where all have, no sample calibrated anything. `preparation` is what
    was said of the data (None in older files, of synthetic images and of data of which nobody knows): the network takes
    its input prepared like that.
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
    preparation: Preparation | None = None


@dataclass(frozen=True)
class Certificate:
    """Where the counts and potentials of all layers were equal, integer for integer, to those of the quantised ANN.

    `layers` were compared on `samples` samples of `data` with this `sha256`. They took at most `steps` steps until the
    last spike, on average `mean_steps`, and could not have taken more than `most_steps`. `network` is the hash of the
    quantised ANN. `own`: its integers, weights and steps, are those of the quantised network that was converted.
    `levels` are those of every layer of neurons, the largest magnitude of its counts (empty in older files).
    """

    layers: int
    samples: int
    data: str
    sha256: str
    steps: int
    mean_steps: float
    most_steps: int
    network: str
    levels: dict[str, int] = field(default_factory=dict)
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
class Channels:
    """Of a layer with so many `channels` (where it is flat: neurons): how many never fired on a few samples, and how
    many fired as often as they can in more than half of their neurons; the first of them by number. `silent_share` is
    the share of the ANN's activation that the silent ones have there, None where the ANN has no such layer."""

    channels: int
    silent: int
    silent_channels: list[int]
    silent_share: float | None
    saturated: int
    saturated_channels: list[int]


@dataclass(frozen=True)
class HiddenInputs:
    """Of so many input `features` (of images: channels) those that vary by less than the coding tells apart: by
    `widest` at most, where one unit or spike stands for `resolution` at least."""

    features: int
    hidden: int
    hidden_features: list[int]
    widest: float
    resolution: float


@dataclass(frozen=True)
class OutputVerdict:
    """An output against that of the ANN: what it stands for, at so many `places` of a sample, and the fields of
    `Verification` for it. `spread_error` is ‖ŷ - y‖₂/‖y - ȳ‖₂ with the mean ȳ of the samples."""

    meaning: Literal["classes", "class numbers", "values"]
    places: int
    agreement: float | None
    agreement_interval: tuple[float, float] | None
    error: float | None
    spread_error: float | None
    commonest_class: float | None
    judged_by: Literal["classes", "values"] | None
    missed: str | None


@dataclass(frozen=True)
class Verification:
    """How the spiking network follows the ANN on `samples` samples that calibrated nothing. Shares are from 0 to 1.

    `compared` are the forms of the network that gave the same spikes. `v_init` is V(0) in thresholds;
    `agreement_interval` has 95 % confidence; `error` is ‖ŷ - y‖₂/‖y‖₂, None for class numbers; `commonest_class` the
    share of samples that the ANN puts into one class; `missed` what the network falls short of to be called good;
    `saturated` the share of neurons per layer that fired in at least 95 % of the steps, `carried` per layer λ·rate over
    the ANN's mean activation; `longer` has more steps on fewer samples, where the network is poor;
    `outputs` has every output by name, the first one, which all this is about, among them; `accuracy` that of the
    network and of the ANN where there are labels, with the interval of their difference; `channels` what those of each
    layer do, `hidden_inputs` the features that the input coding hides; `initial_potentials` is by V(0) in thresholds,
    `0` and `0.5`. What has a default is missing in the oldest files.
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
    outputs: dict[str, OutputVerdict] = field(default_factory=dict)
    accuracy: float | None = None
    accuracy_interval: tuple[float, float] | None = None
    ann_accuracy: float | None = None
    drop_interval: tuple[float, float] | None = None
    channels: dict[str, Channels] = field(default_factory=dict)
    hidden_inputs: HiddenInputs | None = None
