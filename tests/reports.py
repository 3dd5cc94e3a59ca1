"""Parts of a report that a whole conversion always has."""

from __future__ import annotations

from snnc.ir.conversion import Report
from snnc.ir.report import Verification


def verified(report: Report) -> Verification:
    """What was found in the end."""
    assert report.verification is not None
    return report.verification
