"""The contract of a threshold rule: from what a layer receives, or gives in the ANN, to its threshold before alpha.

One file in this folder is one rule. The compiler asks a rule and knows none by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from snnc.integers.activations import Activations
    from snnc.integers.grid import Rounded
    from snnc.integers.histogram import Histogram
    from snnc.integers.layer_simulation import SpikeTrains
    from snnc.ir.option import Option
    from snnc.ir.options import Options

Progress = Callable[[float], None]
Needs = Literal["spikes", "activations", "nothing"]


@dataclass(frozen=True)
class Layer:
    """A layer whose threshold is wanted: its neurons, its tree on the integer grid, and what they will receive.

    By what the rule needs, either is there: the layers before it, frozen and spiking on the calibration samples, in
    `spike_trains`, or the ANN on these samples in `network`.
    """

    target: gs.Node
    rounded: Rounded
    spike_trains: SpikeTrains | None
    network: Activations | None
    options: Options
    progress: Progress

    @property
    def unit(self) -> FloatArray:
        """One unit of the layer's integer grid, in units of its input spikes; it broadcasts against a sample."""
        return self.rounded.unit

    @property
    def rows(self) -> int:
        """How many thresholds are wanted: one for each channel, or one."""
        return sample_shape(self.target.outputs[0])[0] if self.options.per_channel else 1

    def of_rows(self, values: FloatArray) -> FloatArray:
        """Values that broadcast against a sample, reduced to the largest one of each row, `[rows]`."""
        channels = sample_shape(self.target.outputs[0])[0]
        by_channel = np.broadcast_to(values.max(tuple(range(1, values.ndim))), (channels,))
        return by_channel if self.rows == channels else by_channel.max(keepdims=True)

    @property
    def trains(self) -> SpikeTrains:
        """The spikes so far, for rules that need them."""
        assert self.spike_trains is not None, "a rule that needs no spikes asks for them"
        return self.spike_trains

    @property
    def ann(self) -> Activations:
        """The ANN on the samples, for rules that need activations."""
        assert self.network is not None, "a rule that needs no activations asks for them"
        return self.network

    @property
    def activations(self) -> Histogram:
        """What this layer gives in the ANN."""
        return self.ann.of(self.target.name)

    @property
    def counts(self) -> tuple[int, int]:
        """The lowest and the highest spike count: those of a staircase, else no spike and one in every step."""
        attrs = self.target.attrs
        return int(attrs.get("low", 0)), int(attrs.get("high", self.options.steps))

    def in_input_spikes(self, values: FloatArray) -> FloatArray:
        """Values of the ANN in units of the layer's input spikes."""
        return values / self.rounded.main_scale


@dataclass(frozen=True)
class Estimate:
    """What a threshold rule found of a layer, in units of its input spikes (as the paper's V_th), before alpha.

    `f_in` and `v_in` as in `LayerReport`, None where no sums were measured. `from_weights`: no sample ever excited the
    layer, so its threshold is the largest sum that the weights allow. `threshold` is one number, or one for each
    channel (0 where it was never excited).
    """

    threshold: float | FloatArray
    f_in: float | None = None
    v_in: float | None = None
    from_weights: bool = False


class ThresholdRule(ABC):
    """A rule by which thresholds are chosen.

    `summary` completes "V_th is ..."; `source` is the paper and the place there. `needs` says what it looks at beside
    the weights: spikes of the layers before, activations of the ANN (then nothing is simulated), or nothing. `options`
    are those that no other rule has: fields of `Options` (`snnc.ir.options.OPTIONS`), or declarations of a plug-in's
    own.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[Needs] = "spikes"
    #: Whether estimates depend on the number of steps of the file.
    by_steps: ClassVar[bool] = False
    options: ClassVar[tuple[Option, ...]] = ()
    #: The membrane potential at step 0, in thresholds, where none is asked for; None chooses it by measurement.
    v_init: ClassVar[float | None] = 0.0
    #: A warning that every conversion with this rule gets: its code and message.
    caution: ClassVar[tuple[str, str] | None] = None

    @abstractmethod
    def estimate(self, layer: Layer) -> Estimate:
        """The threshold of `layer` in units of its input spikes; 0 where no weighted input sum was ever positive."""
