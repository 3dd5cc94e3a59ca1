"""What all readers share: errors of damaged files, and the choice of a split."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from os import PathLike

from snnc.diagnostics import DiagnosticError, fail


@contextmanager
def reading(path: PathLike[str], kind: str) -> Iterator[None]:
    """Report whatever goes wrong inside as SNN301: `path` cannot be read as `kind`."""
    try:
        yield
    except DiagnosticError:
        raise
    except Exception as error:  # the libraries that decode files raise anything when one is damaged
        fail("SNN301", f"{path} cannot be read as {kind}: {error or type(error).__name__}")


def choose_split(splits: Collection[str], wanted: str | None, where: str) -> str:
    """The split that `wanted` names: exactly, or as the only one that starts with it.

    None chooses the only split there is, or the data outside of any split, whose name is "". SNN301 lists the
    splits if the choice is not clear.
    """
    if wanted is None and len(splits) == 1:
        return next(iter(splits))
    if wanted is None and "" in splits:
        return ""
    if wanted is not None and wanted in splits:
        return wanted
    similar = [split for split in splits if wanted and split.startswith(wanted)]
    if len(similar) == 1:
        return similar[0]
    named = ", ".join(sorted(split for split in splits if split))
    if not named:
        fail("SNN301", f"{where} has no splits, so there is no {wanted!r}")
    if wanted is None:
        fail("SNN301", f"{where} has several splits: {named}", hint=_hint_to_splits(where, sorted(splits)))
    fail("SNN301", f"{where} has no split {wanted!r}, only: {named}")


def _hint_to_splits(where: str, splits: list[str]) -> str:
    """Which split to name for what."""
    training = [split for split in splits if split.startswith("train")]
    others = [split for split in splits if split and split not in training]
    if not training or not others:
        return f"name one: {where}:{next(split for split in splits if split)}"
    return f"name one: {where}:{training[0]} to calibrate, {where}:{others[0]} to measure"
