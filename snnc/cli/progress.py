"""How far a command is, over all its stages: one bar for a terminal, with the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console as Terminal
    from rich.progress import Progress

    from snnc.ir.options import Options

Show = Callable[[str, float], None]
_LONGEST_STAGE = 34


class Bar:
    """The bar itself, on the terminal of stderr. It is not there while text is printed."""

    def __init__(self, terminal: Terminal) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}", markup=False),
        )
        self._progress: Progress = Progress(
            *columns, console=terminal, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._progress.add_task("", total=1.0)
        self._shown = False

    def show(self, stage: str, share: float) -> None:
        """`share` of all is done."""
        if not self._shown:
            self._progress.start()
            self._shown = True
        self._progress.update(self._task, completed=min(1.0, share), description=stage[:_LONGEST_STAGE])

    def hide(self) -> None:
        """Wipe it, so that text can be printed in its place."""
        if self._shown:
            self._progress.stop()
            self._shown = False


class Overall:
    """Takes the share of a stage, and shows that of all of them: it never goes back."""

    def __init__(self, show: Show, stages: Sequence[tuple[str, float]]) -> None:
        """`stages`: what the names of stages begin with, or contain, in order, and how long they take."""
        self._show, self._stages = show, stages
        self._share = 0.0

    def __call__(self, stage: str, share: float) -> None:
        """`share` of this stage is done."""
        total = sum(weight for _, weight in self._stages)
        done = 0.0
        for word, weight in self._stages:
            if word in stage:
                self._share = max(self._share, (done + weight * min(1.0, share)) / total)
                break
            done += weight
        self._show(stage, self._share)


def stages_of(options: Options) -> list[tuple[str, float]]:
    """The stages of a conversion that `Overall` takes, with the shares of time that they have about."""
    from snnc.ir.options import AUTO
    from snnc.methods import METHODS

    tried = [(": ", 60.0)] if options.alpha == AUTO or options.target_drop is not None else []
    settled = [("certifying", 15.0)] if METHODS[options.method].settles else []
    return [
        *(("reading", 5.0), *tried, ("calibrating", 50.0), ("comparing", 20.0)),
        *(*settled, ("verifying", 10.0)),
    ]
