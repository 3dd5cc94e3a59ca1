"""From the weights and samples of a spiking graph to its integers: grids, thresholds, and what a spike is worth.

The rooms of the layers ask for what they need, in order of the graph (`Layer.calibrate`):

    round           the tree of synapses of a layer goes on its grid (snnc.integers.grid)
    estimate        V_th ← the threshold rule on the calibration samples
    set_threshold   θ_c = even integer nearest to α·V_th/σ_c, at least 2;  λ_c = σ_c·θ_c
    fix_threshold   λ_c is given; σ_c is made such that λ_c/σ_c is an even integer

A neuron whose ANN values are clipped at a cap has λ_c ≤ cap: in every step a spike, and it is worth what it is there.
Where all channels have one V_th, one λ is kept for all of them if that costs less than a thousandth: then σ_c·θ_c is
the same for every c, as the σ_c are powers of two apart. Where they are not (weights of few bits) and what reads the
spikes cannot tell channels apart, σ_c is made such that λ/σ_c is an even integer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import DiagnosticError, fail
from snnc.integers.activations import Activations
from snnc.integers.channels import carries_channels
from snnc.integers.grid import Limits, Rounded, fixed_scale, round_tree, weights_of, write_weights
from snnc.integers.layer_simulation import SpikeTrains
from snnc.integers.limits import LARGEST_CHARGE, reach, sum_limit, tree_limit
from snnc.integers.own_grid import round_on_own_grid
from snnc.integers.steps import Steps
from snnc.integers.tables import tabulate
from snnc.integers.weight_bits import error_share, round_within
from snnc.ir.conversion import Conversion
from snnc.ir.graph import producer, sample_shape
from snnc.ir.names import own
from snnc.ir.options import AUTO, MOST_WEIGHT_BITS
from snnc.ir.signal import FloatArray, collapsed
from snnc.ir.trees import depth, largest_total, layers, sources_of, targets, tree
from snnc.operators import SOURCES
from snnc.operators.layer import scale_of, write_scale
from snnc.thresholds import RULES, Estimate, Layer

# Of the output, for inputs as large as they can be: in thresholds or in what the layer gives where that is more; for
# readouts in what the strongest channel gives.
NOTABLE_ROUNDING_ERROR = 1 / 32
HOPELESS_ROUNDING_ERROR = 1 / 2
# A threshold of this many units is within a thousandth of any wanted one.
_FINE_THRESHOLD = 1024


class Calibrator:
    """The calibration of one conversion; knows λ of the spikes so far.

    `trains` are the spikes of the layers so far on the samples, `network` is the ANN on them; None for rules that need
    none. `alpha` multiplies the thresholds that are set from now on. `found` is called whenever there is one
    estimate more.
    """

    def __init__(
        self,
        conversion: Conversion,
        input_scale: float,
        trains: SpikeTrains | None = None,
        network: Activations | None = None,
    ) -> None:
        self.options, self.diagnostics = conversion.options, conversion.diagnostics
        self.input_scale, self.trains, self.network = input_scale, trains, network
        self.alpha = 1.0
        self.progress: Callable[[float], None] = lambda share: None
        self.found: Callable[[], None] = lambda: None
        self.scales: dict[str, FloatArray] = {}
        self.rounded: dict[str, Rounded] = {}
        self.estimates: dict[str, Estimate] = {}
        self.lost: dict[str, float] = {}
        self._layers = layers(conversion.graph)
        self._error_share = error_share(depth(conversion.graph))
        self._weights = {layer.inputs[0].name: weights_of(tree(layer.inputs[0])) for layer in targets(conversion.graph)}

    def settle(self, node: gs.Node, scale: FloatArray) -> None:
        """What a spike (of a readout: one unit of potential) of `node` is worth."""
        write_scale(node, scale)
        if node.op in SOURCES:
            self.scales[node.outputs[0].name] = scale_of(node)
        elif node.name in self.rounded:
            rounded = self.rounded[node.name]
            values = np.sqrt(rounded.signal.power) * rounded.scale
            self._judge_rounding(node, rounded.noise * rounded.scale / max(float(values.max()), np.finfo(float).tiny))

    def scale_of(self, tensor: gs.Tensor) -> FloatArray:
        """What a spike is worth that is only moved to `tensor`."""
        return fixed_scale(tensor, self.scales)

    def largest_count(self, tensor: gs.Tensor) -> int:
        """The largest magnitude of the counts of spikes that are only moved to `tensor`, in networks that settle."""
        total = largest_total(tensor)
        assert total is not None, f"the counts of {tensor.name!r} grow with time"
        return total

    def round(self, node: gs.Node, coarsest: FloatArray | None = None, multiple: FloatArray | None = None) -> Rounded:
        """Put the tree of `node` on its grid; `multiple` is a value that is to be an even number of units."""
        root = node.inputs[0]

        def round_to(bits: int) -> Rounded | None:
            limits = self._limits(node, bits)
            return round_tree(root, self._weights[root.name], self.scales, limits, coarsest, multiple)

        bits = self.options.weight_bits if node.op in SOURCES else MOST_WEIGHT_BITS
        rounded = round_within(bits, round_to, self._error_share)
        if rounded is None:
            current = self._limits(node, MOST_WEIGHT_BITS).current
            fail(
                "SNN406",
                f"no integer grid keeps its sums below {current:.0f}: its weights are too large, or too many "
                "layers follow each other without a Relu",
                node=node.name,
                op=node.op,
            )
        floats = self._weights[root.name]
        if not rounded.signal.magnitude and any(weights.weight.any() for weights in floats.values()):
            fail(
                "SNN406",
                "its weights are too small for any grid, or its inputs too large for so many steps",
                node=node.name,
                op=node.op,
            )
        self._write(node, rounded)
        return rounded

    def _write(self, node: gs.Node, rounded: Rounded) -> None:
        """Let the tree of `node` have these weights; they are kept once."""
        write_weights(node.inputs[0], rounded)
        rounded.weights = weights_of(tree(node.inputs[0]))
        self.rounded[node.name] = rounded

    def _limits(self, node: gs.Node, bits: int) -> Limits:
        """What the grid of the tree of `node` must keep, with weights of so many bits."""
        readout, charged = node.op not in SOURCES, "charge_value" in node.attrs
        return tree_limit(node.inputs[0], self.options.max_steps, bits, readout=readout, charged=charged)

    def round_on_own_grid(self, node: gs.Node) -> Rounded | None:
        """Put the tree of `node` on the grid of the user's own quantised weights; None, and nothing done, where it has
        none."""
        root = node.inputs[0]
        limits = self._limits(node, MOST_WEIGHT_BITS)
        charge = np.asarray(node.attrs.get("charge_value", 0.0), np.float64)
        charge = charge.reshape((1,) * (len(sample_shape(node.outputs[0])) - charge.ndim) + charge.shape)
        rounded = round_on_own_grid(root, self._weights[root.name], self.scales, limits, charge)
        if rounded is not None:
            self._write(node, rounded)
        return rounded

    def reads_given(self, node: gs.Node) -> bool:
        """Whether the user's own network says what every spike that `node` gets is worth."""
        sources = [producer(leaf) for leaf in sources_of(node)]
        return all(
            source is not None
            and ("value" in source.attrs or "unit" in source.attrs or (_passes_on(source) and self.reads_given(source)))
            for source in sources
        )

    def estimate(self, node: gs.Node) -> None:
        """Estimate V_th of `node`, where that is not known yet."""
        if node.name in self.estimates:
            return
        rounded = self.round(node)
        found = self._ask_the_rule(Layer(node, rounded, self.trains, self.network, self.options, self.progress))
        if not (np.asarray(found.threshold) > 0).any():
            found = _from_weights(node, rounded)
        self.estimates[node.name] = found
        self.found()

    def _ask_the_rule(self, layer: Layer) -> Estimate:
        """The estimate of the threshold rule; SNN409 where a plug-in's rule fails or gives no thresholds."""
        name = self.options.threshold
        plugged = name not in RULES.own
        try:
            found = RULES[name].estimate(layer)
        except Exception as error:
            if plugged and not isinstance(error, DiagnosticError):
                fail("SNN409", f"threshold rule {name!r}: {type(error).__name__}: {error}")
            raise
        values, channels = np.asarray(found.threshold, np.float64), sample_shape(layer.target.outputs[0])[0]
        if values.shape not in ((), (1,), (channels,)) or not (np.isfinite(values) & (values >= 0)).all():
            message = (
                f"threshold rule {name!r} gives {values.tolist()} for {layer.target.name!r} of {channels} channels"
            )
            assert plugged, message
            fail("SNN409", message)
        return found

    def value_of_a_spike(self, node: gs.Node, levels: int) -> FloatArray:
        """α·V_th over `levels`, or what is worth the cap where that is less: in ANN units, by channel where all that
        read the spikes can work with that. The tree of `node` is on its grid then."""
        channels = self.by_channel(node)
        estimated = np.asarray(self.estimates[node.name].threshold, np.float64)
        if not channels:
            estimated = estimated.max()
        elif estimated.ndim:
            estimated = np.where(estimated > 0, estimated, estimated.max())
        main_scale = self.rounded[node.name].main_scale if node.name in self.rounded else self.round(node).main_scale
        ones = (1,) * (len(sample_shape(node.outputs[0])) - 1)
        value: FloatArray = (self.alpha / levels * estimated * main_scale).reshape(-1, *ones)
        cap = np.asarray(node.attrs.get("cap", np.inf)) / levels
        return np.minimum(value, cap if channels else cap.min())

    def by_channel(self, node: gs.Node) -> bool:
        """Whether all that read the spikes of `node` can work with another λ for every channel."""
        return carries_channels(node.outputs[0], self._layers)

    def set_threshold(self, node: gs.Node, levels: int = 1) -> None:
        """Round `node` for good, and set its threshold to the value of a spike."""
        value = self.value_of_a_spike(node, levels)
        main_scale = self.rounded[node.name].main_scale
        # A threshold beyond what currents can reach would be one that potentials cannot start from.
        limit = sum_limit(reach(node.inputs[0], self.options.max_steps))
        coarsest = np.maximum(value / (2 * limit), self.coarsest_of_charge(node))
        rounded = self.round(node, coarsest)
        capped = np.asarray(node.attrs.get("cap", np.inf)) / levels
        cap = capped if value.size > 1 else capped.min()
        value = np.minimum(value * (rounded.main_scale / main_scale), cap)
        even = _even if np.isinf(cap).all() else _even_below
        units = value / rounded.scale
        if value.size == 1 and (not self.by_channel(node) or (units >= _FINE_THRESHOLD).all()):
            # One λ, that of the coarsest grid on which it is fine.
            fine = units >= _FINE_THRESHOLD
            shared = rounded.scale[fine].max() if fine.any() else rounded.scale.min()
            scale = np.asarray(even(value / shared) * shared)
            rounded = self._come_close(node, coarsest, scale, rounded)
            threshold = even(np.round(scale / rounded.scale, 6))  # an integer may come out a little below itself
        else:
            threshold = even(units)
            scale = threshold * rounded.scale
        if (scale > cap).any():
            message = f"no integer grid is fine enough for values that end at {float(cap.min()):g}"
            fail("SNN406", message, node=node.name, op=node.op)
        self.charge(node, rounded)
        self._write_threshold(node, threshold, scale, rounded)

    def _come_close(self, node: gs.Node, coarsest: FloatArray, scale: FloatArray, rounded: Rounded) -> Rounded:
        """`rounded`, or a grid a little coarser on which thresholds are worth `scale`, where any would be off by more
        than a thousandth: where weights have few bits, grids are not powers of two apart."""
        off = np.abs(_even(scale / rounded.scale) * rounded.scale / scale - 1)
        if (off <= 1 / _FINE_THRESHOLD).all() or (scale < 2 * rounded.scale).any():
            return rounded
        return self.round(node, coarsest, multiple=scale)

    def fix_threshold(self, node: gs.Node) -> None:
        """Round `node` for good, so that its threshold is the value of a spike that the network itself gives it."""
        value = np.asarray(node.attrs["value"], np.float64)
        if value.ndim and not self.by_channel(node):
            message = "its channels end at different values, and what reads it cannot tell its channels apart"
            fail("SNN406", message, node=node.name, op=node.op, hint="quantise all channels of this layer alike")
        value = value.reshape((1,) * (len(sample_shape(node.outputs[0])) - value.ndim) + value.shape)
        limit = sum_limit(reach(node.inputs[0], self.options.max_steps))
        rounded = self.round(node, coarsest=value / (2 * limit), multiple=value)
        self._write_threshold(node, np.rint(value / rounded.scale), value, rounded)

    def _write_threshold(self, node: gs.Node, threshold: FloatArray, scale: FloatArray, rounded: Rounded) -> None:
        """Give `node` an integer threshold, worth `scale`."""
        integers = collapsed(threshold).astype(np.int32)
        if integers.size == 1:
            integers = integers.reshape(())
        node.inputs = [node.inputs[0], gs.Constant(own(f"{node.name}/threshold"), integers)]
        self.settle_threshold(node, scale, rounded, integers)

    def coarsest_of_charge(self, node: gs.Node) -> FloatArray:
        """σ with which the charge that a neuron starts with leaves room for the rest."""
        values: FloatArray = np.abs(np.asarray(node.attrs.get("charge_value", 0.0), np.float64)) / LARGEST_CHARGE
        axes = len(sample_shape(node.outputs[0]))
        return values.reshape((1,) * (axes - values.ndim) + values.shape)

    def charge(self, node: gs.Node, rounded: Rounded) -> None:
        """Put the charge that a neuron starts with on its grid; SNN406 where there is no room for it on any."""
        if "charge_value" not in node.attrs:
            return
        charge = np.rint(node.attrs["charge_value"] / rounded.scale)
        if not (np.abs(charge) <= LARGEST_CHARGE).all():
            message = "its bias is too large for any grid that has room for its weights"
            fail("SNN406", message, node=node.name, op=node.op, hint="look at the training: who needs such a bias?")
        node.attrs["charge"] = charge.astype(np.int32)

    def tabulate(
        self, node: gs.Node, rounded: Rounded, value: FloatArray, limits: tuple[int, int]
    ) -> tuple[Steps, np.ndarray | None]:
        """The steps of a neuron that stands for any function, and its thresholds where they are uniform."""
        return tabulate(node, rounded, value, limits, self.options.max_steps)

    def settle_threshold(self, node: gs.Node, scale: FloatArray, rounded: Rounded, threshold: np.ndarray) -> None:
        """λ of a neuron, and what the rounding of its weights does to its rate."""
        write_scale(node, scale)
        self.scales[node.outputs[0].name] = scale_of(node)
        self._judge_rounding(node, rounded.noise / np.maximum(np.sqrt(rounded.signal.power), threshold))

    def report_rounding(self) -> None:
        """Warn of the layers that lose much to rounding."""
        for node_name, lost in self.lost.items():
            if lost > NOTABLE_ROUNDING_ERROR:
                message = f"rounding changes its output by up to {lost:.0%}"
                self.diagnostics.report("SNN509", message, node=node_name, hint=self._rounding_hint())

    def _judge_rounding(self, node: gs.Node, effect: FloatArray) -> None:
        lost = float(effect.max())
        if lost > HOPELESS_ROUNDING_ERROR:
            message = f"rounding its weights would change its output by up to {lost:.0%}"
            fail("SNN406", message, node=node.name, op=node.op, hint=self._rounding_hint())
        self.lost[node.name] = lost

    def _rounding_hint(self) -> str:
        """What helps where the user wants weights of few bits; "": what the rule says."""
        bits = self.options.weight_bits
        return "" if bits in (AUTO, MOST_WEIGHT_BITS) else "give weights more `--weight-bits`, or `auto`"


def _passes_on(source: gs.Node) -> bool:
    """Whether what it gives is worth what it reads, in whatever way."""
    return SOURCES[source.op].kind in ("pool", "product")


def _even(values: FloatArray) -> FloatArray:
    """The nearest even integers, at least 2."""
    return np.maximum(2.0, 2.0 * np.rint(values / 2))


def _even_below(values: FloatArray) -> FloatArray:
    """The largest even integers that are not above, at least 2."""
    return np.maximum(2.0, 2.0 * np.floor(values / 2))


def _from_weights(node: gs.Node, rounded: Rounded) -> Estimate:
    """The threshold of neurons that no sample ever excited: the largest sum that the weights allow."""
    largest = float((rounded.signal.high * rounded.unit).max())
    if largest <= 0:
        fail("SNN208", "no input can ever make it fire", node=node.name, op=node.op)
    return Estimate(largest, from_weights=True)
