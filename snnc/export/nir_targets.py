"""Who reads an exported NIR graph, and what of it they read as NIR means it.

NIR (Pedersen et al., Nature Communications 2024) says what nodes compute in continuous time; every simulator imports it
in its own way, and several silently compute something else. A `Target` is what was found in the source of the named
version and held against its spikes (docs/exchange.md). What a target would compute otherwise is refused (SNN420).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Reset = Literal["soft", "hard"]
#: How a neuron is written (`nir_neurons`): `loop` is I → Threshold → Scale → I, `slow` a LIF that leaks nothing in
#: float32, `lowered` an IF whose threshold the target subtracts.
Form = Literal["IF", "loop", "slow", "lowered"]

ALL_NODES = frozenset({"Conv1d", "Conv2d", "SumPool2d", "Flatten", "Linear", "Affine", "Scale"})


@dataclass(frozen=True)
class Target:
    """One reader of NIR graphs.

    `forms` is how neurons of a reset are written, `refusals` why those of the other one are not; `nodes` are the linear
    nodes that it computes as NIR says. `dilations`: whether its convolutions have them; `starts`: whether potentials
    may start elsewhere than at 0; `thresholds`: whether the channels of a layer may have their own; `branches`: whether
    nodes may have several inputs and readers; `outputs`: whether there may be several; `integrates`: whether it has the
    node I for readouts.
    `delay` is in how many steps a layer's spikes arrive at the next one, `time_step` the length of a step in its time.
    """

    name: str
    summary: str
    forms: Mapping[Reset, Form]
    refusals: Mapping[Reset, str] = field(default_factory=dict)
    nodes: frozenset[str] = ALL_NODES
    dilations: bool = True
    starts: bool = False
    thresholds: bool = True
    branches: bool = True
    outputs: bool = False
    integrates: bool = False
    delay: int = 0
    time_step: float = 1.0


GENERIC = Target(
    "generic",
    "any reader that follows the equations of NIR",
    {"hard": "IF", "soft": "loop"},
    starts=True,
    outputs=True,
    integrates=True,
)
NORSE = Target(
    "norse",
    "norse.torch.from_nir of norse 1.1",
    {"hard": "IF"},
    {"soft": "norse sets the potential of an IF to 0, and imports neither Threshold nor Scale"},
    nodes=frozenset({"Conv2d", "Flatten", "Linear", "Affine"}),
    branches=False,  # nirtorch.load adds up what arrives in different steps
)
SNNTORCH = Target(
    "snntorch",
    "snntorch.import_nir.import_from_nir of snnTorch 1.0",
    {"hard": "slow"},
    {"soft": "snnTorch resets what it imports to 0 (LIF), or lets it leak (IF, with beta 0.9)"},
    nodes=frozenset({"Conv2d", "Flatten", "Linear", "Affine"}),
    thresholds=False,
    time_step=1e-4,
)
SPYX = Target(
    "spyx",
    "spyx.nir.from_nir of Spyx 1.0",
    {"soft": "lowered"},
    {"hard": "Spyx subtracts the threshold of an IF, whatever its v_reset says"},
    nodes=frozenset({"Conv2d", "SumPool2d", "Linear", "Affine"}),
    dilations=False,
    branches=False,
    delay=1,
)

TARGETS = {target.name: target for target in (GENERIC, NORSE, SNNTORCH, SPYX)}
