"""The contract of a method: a whole way of converting, by name.

One file in this folder is one method. The compiler asks a method and knows none by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from snnc.ir.conversion import Pass
    from snnc.ir.option import Option
    from snnc.ir.options import Options


class Method(ABC):
    """A method: what it runs, the options it has, and their defaults.

    `summary` says in a sentence what it does, `source` is the paper; `coding` is how the input becomes spikes.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    coding: ClassVar[str]
    #: Fields of `Options` that this method has not: name → the reason, which is told to those who set it.
    without: ClassVar[Mapping[str, str]] = {}
    #: Options beyond the fields of `Options`, declared by a plug-in.
    options: ClassVar[tuple[Option, ...]] = ()

    @property
    @abstractmethod
    def passes(self) -> list[Pass]:
        """What a conversion runs, in order (`snnc.pipeline`)."""

    def rules(self) -> list[str]:
        """Names of the threshold rules that it can work with."""
        from snnc.thresholds import RULES

        return list(RULES)

    def defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults other than those of `Options`, by what the user has `given` (checked for types only)."""
        return {}

    def remedies(self, options: Options) -> list[tuple[str, dict[str, Any]]]:
        """What may do better than `options` where a network is poor: the words on the command line, and the options
        they stand for."""
        return []
