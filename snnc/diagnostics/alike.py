"""Warnings of one rule that were found together, as the one warning that a log gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snnc.diagnostics.words import in_python

if TYPE_CHECKING:
    from snnc.diagnostics import Diagnostic


@dataclass(frozen=True)
class Alike:
    """Findings with one rule and one hint; as text they are one, in the words of Python, with all their nodes."""

    found: tuple[Diagnostic, ...]

    def __str__(self) -> str:
        first, *others = self.found
        if not others:
            return str(first)
        places: dict[str, list[str]] = {}
        for each in self.found:
            places.setdefault(each.message, []).append(each.place_and_origin)
        lines = [f"{first.severity}[{first.rule.code}] {len(self.found)} findings:"]
        for message, named in places.items():
            nodes = ", ".join(filter(None, named))
            lines.append(f"  {nodes}: {message}" if nodes else f"  {message}")
        hint = first.hint or first.rule.hint
        return in_python("\n".join([*lines, f"  hint: {hint}"] if hint else lines))


def alike(found: Iterable[Diagnostic]) -> list[Alike]:
    """The findings by rule and hint, in the order in which the first of each were made."""
    groups: dict[tuple[str, str], list[Diagnostic]] = {}
    for each in found:
        groups.setdefault((each.rule.code, each.hint), []).append(each)
    return [Alike(tuple(group)) for group in groups.values()]
