"""The contract of a method: a whole way of converting, by name.

One file in this folder is one method. The compiler asks a method and knows none by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from snnc.operators.neuron import BY_RESET, RMP

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from snnc.ir.conversion import Pass
    from snnc.ir.function_kind import Kind
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
    #: The codings that it can work with.
    codings: ClassVar[tuple[str, ...]] = ("poisson", "direct")
    #: Whether the network runs until nothing changes any more, as its neurons take back what they fired too early.
    settles: ClassVar[bool] = False
    #: The option that `target_drop` chooses, where the method has that.
    target_chooses: ClassVar[Literal["steps", "levels"]] = "steps"
    #: Fields of `Options` that this method has not: name → the reason, which is told to those who set it.
    without: ClassVar[Mapping[str, str]] = {}
    #: Options that not every method has: fields of `Options` (`snnc.ir.options.OPTIONS`), or those that a plug-in
    #: declares.
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

    def takes(self, kind: Kind) -> bool:
        """Whether a function of this kind, which is no ReLU, can become a neuron: then it is a `Region`. Affine ones
        and the identity become a `Scale`."""
        return False

    def place_neuron(self, node: gs.Node, options: Options) -> None:
        """Turn a canonical node that has to become a neuron into one (level SPIKING): a `Relu`, a `Region` of a kind
        that it `takes`, or a `Relay`, which only stands in networks that settle."""
        node.op, node.domain = BY_RESET[options.reset], RMP.domain
        leak = {"leak": options.leak} if options.leak else {}
        node.attrs = {**kept(node), "v_init": 0.0, **leak}

    def remedies(self, options: Options) -> list[tuple[str, dict[str, Any]]]:
        """What may do better than `options` where a network is poor: the words on the command line, and the options
        they stand for."""
        return []


def kept(node: gs.Node) -> dict[str, Any]:
    """What a neuron has to know of the function that it stands for."""
    return {name: node.attrs[name] for name in ("cap",) if name in node.attrs}
