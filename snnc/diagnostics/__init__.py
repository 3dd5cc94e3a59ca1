"""Every rule of the compiler, and how a broken rule is reported.

A diagnostic is for the user: rule code, the node with its operator and shape, what is wrong, where in the user's own
program the node comes from (`snnc.diagnostics.origins`), and a hint that works.
All problems of a stage are collected in `Diagnostics` and raised together. Broken invariants of our own code are
assertions that name the pass (`InternalError`), never diagnostics.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

from snnc.diagnostics.alike import Alike, alike
from snnc.diagnostics.origins import Origins
from snnc.diagnostics.rules import RULES, Rule
from snnc.diagnostics.words import in_python

log = logging.getLogger("snnc")

__all__ = ["RULES", "Alike", "Diagnostic", "DiagnosticError", "Diagnostics", "InternalError", "Rule", "fail"]


@dataclass(frozen=True)
class Diagnostic:
    """One finding: which rule, at which node, and what exactly was found there.

    `module` and `source` are what the exporter tells of the node: the module of the user (`features.0`) and the line
    (`net.py:42`) that it comes from; empty where it tells nothing.
    """

    rule: Rule
    message: str
    node: str = ""
    op: str = ""
    shape: str = ""
    hint: str = ""
    module: str = ""
    source: str = ""

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return self.rule.severity

    def __str__(self) -> str:
        """Finding and hint in the words of Python."""
        return in_python(self.text)

    @property
    def text(self) -> str:
        """Finding and hint in the words of the command line."""
        hint = self.hint or self.rule.hint
        return f"{self.finding}\n  hint: {hint}" if hint else self.finding

    @property
    def finding(self) -> str:
        """Its text without the hint: what was found, and where."""
        place = f"{self.place}: " if self.place else ""
        text = f"{self.severity}[{self.rule.code}] {place}{self.message}"
        return f"{text}\n  in: {self.origin}" if self.origin else text

    @property
    def place(self) -> str:
        """The node with its operator and shape, "" where it is about none."""
        if not (self.node or self.op):
            return ""
        return " ".join(filter(None, [self.op or "node", repr(self.node), self.shape]))

    @property
    def origin(self) -> str:
        """Module and line of the user's program, as far as they are known."""
        if self.module:
            return f"module {self.module}" + (f" ({self.source})" if self.source else "")
        return self.source

    @property
    def place_and_origin(self) -> str:
        """Both in a line."""
        return f"{self.place} in {self.origin}" if self.origin else self.place

    def fitting(self, settles: bool) -> Diagnostic:
        """The same with the hint for networks that settle, where that is asked for and no better one was given."""
        fits = settles and not self.hint and self.rule.settling_hint
        return replace(self, hint=self.rule.settling_hint) if fits else self

    def located(self, origins: Origins | None) -> Diagnostic:
        """The same with the module and the line that its node comes from, where they are known."""
        if origins is None or not self.node or self.module or self.source:
            return self
        found = origins.of(self.node)
        return replace(self, module=found.module, source=found.source)

    def to_json(self) -> dict[str, str]:
        """A stable dictionary (documented in docs/cli.md)."""
        return {
            "code": self.rule.code,
            "severity": self.severity,
            "node": self.node,
            "op": self.op,
            "shape": self.shape,
            "message": self.message,
            "hint": self.hint or self.rule.hint,
            "module": self.module,
            "source": self.source,
        }


class DiagnosticError(Exception):
    """The model or the data is at fault. Carries every problem that was found; the command line exits with 1."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))

    def __reduce__(self) -> tuple[type[DiagnosticError], tuple[list[Diagnostic]]]:
        """From one process to another with its diagnostics, not with their text."""
        return type(self), (self.diagnostics,)


class InternalError(AssertionError):
    """A broken invariant of snnc itself."""

    def __init__(self, place: str, message: str) -> None:
        """`place` is the pass or the command that found it."""
        super().__init__(f"internal error in {place!r}: {message} (please report this)")


@dataclass
class Diagnostics:
    """Collects findings. Warnings are kept and, if `logged`, logged (as an `Alike` each, in `together` one for all that
    are alike); `raise_errors` raises the errors together.

    `settles` says whether what they are of is a network that settles, for hints that fit; `origins` where its nodes
    come from, where that is known."""

    found: list[Diagnostic] = field(default_factory=list)
    logged: bool = True
    settles: bool = False
    origins: Origins | None = None
    _waiting: list[Diagnostic] | None = field(default=None, init=False, repr=False, compare=False)

    def report(self, rule: str, message: str, *, node: str = "", op: str = "", shape: str = "", hint: str = "") -> None:
        """Add one finding of the rule with this code; the same finding is kept once."""
        self.add(Diagnostic(RULES[rule], message, node, op, shape, hint))

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a finding that was made elsewhere."""
        diagnostic = self.completed(diagnostic)
        if diagnostic in self.found:
            return
        self.found.append(diagnostic)
        if not (diagnostic.rule.warning and self.logged):
            return
        if self._waiting is None:
            log.warning("%s", Alike((diagnostic,)))
        else:
            self._waiting.append(diagnostic)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it warnings wait to be logged, also where it fails: those of one rule with one hint are one then."""
        if self._waiting is not None:  # within another one
            yield
            return
        self._waiting = []
        try:
            yield
        finally:
            waiting, self._waiting = self._waiting, None
            for each in alike(waiting):
                log.warning("%s", each)

    def completed(self, diagnostic: Diagnostic) -> Diagnostic:
        """The same with all that is known here: a hint that fits, and where its node comes from."""
        return diagnostic.fitting(self.settles).located(self.origins)

    @property
    def errors(self) -> list[Diagnostic]:
        """The findings that forbid a conversion."""
        return [diagnostic for diagnostic in self.found if not diagnostic.rule.warning]

    @property
    def warnings(self) -> list[Diagnostic]:
        """The findings that a user should know of."""
        return [diagnostic for diagnostic in self.found if diagnostic.rule.warning]

    def raise_errors(self) -> None:
        """Raise all errors found so far, if there is one."""
        if self.errors:
            raise DiagnosticError(self.errors)


def fail(rule: str, message: str, *, node: str = "", op: str = "", shape: str = "", hint: str = "") -> NoReturn:
    """Raise a single error of the rule with this code."""
    raise DiagnosticError([Diagnostic(RULES[rule], message, node, op, shape, hint)])


def sort_by_node_order(diagnostics: Iterable[Diagnostic], order: Sequence[str]) -> list[Diagnostic]:
    """Sort findings by the position of their node in the graph, those without a node first."""
    position = {name: index for index, name in enumerate(order)}
    return sorted(diagnostics, key=lambda found: (position.get(found.node, -1), found.rule.code))
