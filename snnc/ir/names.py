"""Names of tensors and nodes: the public ones, those of snnc, and how snnc invents one that nothing else has.

A converted file holds the user's names (inputs, outputs, layers), the public names below, which hosts feed and read,
and names of snnc's own, which all begin with `snnc/`. Inner tensors of the user's network that have such a name are
renamed by the pass `ingest`; inputs and outputs must not have one (SNN106). Nodes keep the names that the user gave
them, whatever these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_graphsurgeon as gs

PREFIX = "snnc/"
#: What the host may feed beside the network's input: the last two in the schedule `stream` only.
STEPS, SEED, FIRST_SAMPLE, FIRST_STEP, COUNT = "steps", "seed", "first_sample", "first_step", "count"
#: The outputs beside those of the network.
SPIKE_TOTALS, SYNAPTIC_OPERATIONS = "spike_totals", "synaptic_operations"
#: One more where the network settles.
STEPS_USED = "steps_used"
PUBLIC = frozenset({STEPS, SEED, FIRST_SAMPLE, FIRST_STEP, COUNT, SPIKE_TOTALS, SYNAPTIC_OPERATIONS, STEPS_USED})
#: The steps so far as float64, which the schedule defines and the decoding reads.
ELAPSED = f"{PREFIX}elapsed"


def is_reserved(name: str) -> bool:
    """Whether a tensor of the user's network must not have this name."""
    return name in PUBLIC or name.startswith(PREFIX)


def own(label: str) -> str:
    """A name of snnc's own, for labels that are unique already."""
    return f"{PREFIX}{label}"


class Names:
    """Gives out names of snnc's own, each once, and none of those that are `taken`."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {ELAPSED, *taken}

    def take(self, names: Iterable[str]) -> Names:
        """Never give out one of `names`."""
        self._taken.update(names)
        return self

    def unique(self, label: str) -> str:
        """`snnc/<label>`, or the same with a number behind it; prefixes inside the label are dropped."""
        wanted = own(label.replace(PREFIX, ""))
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}/{number}"
        self._taken.add(name)
        return name


def names_in(nodes: Iterable[gs.Node]) -> Iterator[str]:
    """The names of `nodes` and of the tensors that they read and compute."""
    for node in nodes:
        yield node.name
        for tensor in (*node.inputs, *node.outputs):
            yield tensor.name
