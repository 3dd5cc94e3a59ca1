"""The threshold rules, one file each, and the registry that finds them by name.

To add one: a file here with a class that fulfils `contract.ThresholdRule`, its name in `RULES`, and `python -m
snnc.cli.generate` for the documents. Plug-ins bring theirs as entry points of the group `snnc.thresholds`.
"""

from __future__ import annotations

from snnc.plugins import Registry, instance_of
from snnc.thresholds.balance import Balance
from snnc.thresholds.contract import Estimate, Layer, ThresholdRule
from snnc.thresholds.largest import Largest
from snnc.thresholds.mmse import Mmse
from snnc.thresholds.model import Model
from snnc.thresholds.percentile import Percentile
from snnc.thresholds.rate import Rate
from snnc.thresholds.vmax import Vmax

__all__ = ["RULES", "Estimate", "Layer", "ThresholdRule"]

#: Name → rule.
RULES: Registry[ThresholdRule] = Registry(
    "snnc.thresholds",
    {rule.name: rule for rule in (Rate(), Vmax(), Model(), Largest(), Percentile(), Mmse(), Balance())},
    instance_of(ThresholdRule, lambda rule: rule.name),
)
