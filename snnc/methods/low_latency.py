"""`low-latency`: as few steps as possible, for any network of ReLUs and for those that were trained for few steps.

The input is a current, not spikes, so nothing is random. A soft-reset neuron that starts at θ/2 and gets x in every
step has fired clip(floor(x·T/λ + 1/2), 0, T) times after T steps: it quantises x to T levels, and thresholds are chosen
for just that (Li et al., ICML 2021). Where the ANN was trained with such a quantiser, λ stands in its file (QCFS, Bu et
al., ICLR 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from snnc.ir.function_kind import Affine, Identity, Kind, Quantiser
from snnc.ir.graph import REGION
from snnc.ir.options import OPTIONS
from snnc.methods.contract import Method
from snnc.operators.neuron import RMP

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from snnc.ir.conversion import Pass
    from snnc.ir.options import Options

STEPS = 32
# Grids of so few steps lose no bits to the room of the potentials: weights of 16 bits are the limit then.
MAX_STEPS = 256
_FROM_ACTIVATIONS = "thresholds come from the activations of the ANN, not from spikes"


class LowLatency(Method):
    """Thresholds fit the steps of the file: with other steps a network is converted anew."""

    name = "low-latency"
    summary = (
        "few steps: soft reset from half a threshold, so that counts are activations rounded to the steps of the file"
    )
    source = "Li et al. 2021; Bu et al. 2022"
    coding = "direct"
    codings = ("direct",)
    options = (OPTIONS["delay"], OPTIONS["target_drop"])
    without: ClassVar[Mapping[str, str]] = {
        "reset": "what hard reset loses, no choice of thresholds brings back in a few steps",
        "leak": "what leaks away is lost, and counts would not be rounded activations",
        "alpha": _FROM_ACTIVATIONS,
        "alpha_when": _FROM_ACTIVATIONS,
        "calib_steps": _FROM_ACTIVATIONS,
        "seed": "nothing in it is random",
    }

    @property
    def passes(self) -> list[Pass]:
        from snnc import pipeline

        return pipeline.LOW_LATENCY

    def takes(self, kind: Kind) -> bool:
        """Affine functions, which are weights and currents; and quantisers that round to the nearest, from 0 up: just
        what its neurons compute after as many steps."""
        rounds = isinstance(kind, Quantiser) and kind.nearest and kind.low == 0
        return rounds or isinstance(kind, (Affine, Identity))

    def place_neuron(self, node: gs.Node, options: Options) -> None:
        """A quantiser → `RMP` with its largest value as the `value` of a spike; `Relu` → `RMP`."""
        if node.op != REGION:
            super().place_neuron(node, options)
            return
        kind = node.attrs["kind"]
        node.attrs = {"region": node.attrs["region"], "value": kind.step * kind.high, "v_init": 0.0}
        node.op, node.domain = RMP.name, RMP.domain

    def rules(self) -> list[str]:
        return ["mmse", "percentile", "balance", "max"]

    def defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that becomes a current is allowed; every channel has a threshold of its own."""
        return {
            "threshold": "mmse",
            "per_channel": True,
            "bias": "current",
            "batchnorm": "fold",
            "max_pool": "exact",
            "v_init": 0.5,
            "steps": STEPS,
            "calib_steps": 1,
            "max_steps": max(MAX_STEPS, given.get("steps", STEPS)),
        }

    def remedies(self, options: Options) -> list[tuple[str, dict[str, Any]]]:
        """Other rules: which one suits a network depends on its activations."""
        rules = [rule for rule in ("mmse", "percentile") if rule != options.threshold]
        return [(f"--threshold {rule}", {"threshold": rule}) for rule in rules]
