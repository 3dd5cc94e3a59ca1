"""The cells of a sweep: their names, and how far all of them are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snnc.cli.console import Console
from snnc.cli.progress import Overall, Show, stages_of

if TYPE_CHECKING:
    from snnc.ir.options import Options


class SweepProgress:
    """Progress of every cell as a part of the progress of all; warnings name the cell from its first stage on."""

    def __init__(self, console: Console, labels: Sequence[str], options: Sequence[Options]) -> None:
        from snnc.api.sweeping import SIMULATING

        self._console, self._labels = console, labels
        self._cells = [
            Overall(self._teller(index), [*stages_of(chosen), (SIMULATING, 90.0)])
            for index, chosen in enumerate(options)
        ]

    def __call__(self, index: int, stage: str, share: float) -> None:
        """`share` of a stage of a cell is done."""
        self._console.tell_of(self._labels[index])
        self._cells[index](stage, share)

    def _teller(self, index: int) -> Show:
        def tell(stage: str, share: float) -> None:
            self._console.progress(f"{self._labels[index]}: {stage}", (index + share) / len(self._labels))

        return tell


def cell_label(reset: str, alpha: float | None, rule: str = "") -> str:
    """`soft α=0.6`, or `soft rate`, the reset and the rule, where no alpha is given."""
    return f"{reset} {rule}" if alpha is None else f"{reset} α={alpha:g}"
