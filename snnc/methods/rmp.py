"""`rmp`: rate-coded spikes and soft reset (Han, Srinivasan, Roy: RMP-SNN, CVPR 2020); hard reset to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from snnc.ir.function_kind import Affine, Identity, Kind
from snnc.ir.options import Options
from snnc.methods.contract import Method

if TYPE_CHECKING:
    from snnc.ir.conversion import Pass


class Rmp(Method):
    """Rates approximate the activations; every threshold rule will do."""

    name = "rmp"
    summary = "the rate of firing stands for the ReLU's value; the residual potential stays after a spike"
    source = "[RMP-SNN]"
    coding = "poisson"

    @property
    def passes(self) -> list[Pass]:
        from snnc import pipeline

        return pipeline.RMP

    def takes(self, kind: Kind) -> bool:
        """Affine functions, which are weights and currents."""
        return isinstance(kind, (Affine, Identity))

    def defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`rate` for soft reset without `alpha`; where an alpha is given it scales the paper's `vmax`, and hard reset,
        whose rate is not linear in its input (RMP-SNN, eq. 3), keeps `vmax` too."""
        by_rate = "alpha" not in given and given.get("reset", Options.reset) == "soft"
        return {"threshold": "rate" if by_rate else "vmax"}

    def remedies(self, options: Options) -> list[tuple[str, dict[str, Any]]]:
        """No leak; the rule `rate` with its defaults, or where it is that already, the same without any saturation."""
        leak = [("--leak 0", {"leak": 0})] if options.leak else []
        rate = {"threshold": "rate", "alpha": 1.0, "alpha_when": "during", "rate_quantile": Options.rate_quantile}
        if options.reset == "hard":
            return [*leak, ("--reset soft --threshold rate --alpha 1", {**rate, "reset": "soft"})]
        if any(getattr(options, name) != value for name, value in rate.items()):
            return [*leak, ("--threshold rate --alpha 1", rate)]
        return [*leak, ("--rate-quantile 1", {"rate_quantile": 1.0})]
