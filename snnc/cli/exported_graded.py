"""What `snnc export --graded` does and says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from snnc.cli import options
from snnc.cli.console import Console

if TYPE_CHECKING:
    from snnc.api.exporting_graded import GradedExport


def export_graded(
    console: Console, net: str, output: str, data: str | None, samples: int | None, form: dict[str, Any]
) -> None:
    """Write the graded form of a converted network, checked on `samples` of `data`."""
    from snnc import api
    from snnc.api.exporting import SAMPLES

    samples = SAMPLES if samples is None else samples
    file = api.open_converted(net)
    dataset = None if data is None else options.load_data_for(console, file, data, form, samples=samples)
    found = api.export_graded(net, data=dataset, samples=samples)
    console.lines(_lines(found))
    console.write(output, found.content)
    console.report(document(net, found))


def _lines(found: GradedExport) -> list[str]:
    operators, course = _operators(found), found.course
    layers = sum(number for name, number in operators.items() if name.startswith(("GradedConv", "GradedGemm")))
    events, frames = int(course.spikes.sum()), f"{course.checked:,} frame{'' if course.checked == 1 else 's'}"
    return [
        f"graded form: one sweep for each frame, {layers} layer{'' if layers == 1 else 's'} in one operator each",
        f"checked: counts, potentials and outputs of {frames} are those of fresh runs",
        f"({events:,} event{'' if events == 1 else 's'})",
    ]


def _operators(found: GradedExport) -> Counter[str]:
    return Counter(node.op_type for node in found.model.graph.node if node.op_type.startswith("Graded"))


def document(net: str, found: GradedExport) -> dict[str, Any]:
    """What `--json` writes (docs/cli.md)."""
    course = found.course
    return {
        "model": net,
        "operators": dict(sorted(_operators(found).items())),
        "check": {
            "frames": course.checked,
            "events": int(course.spikes.sum()),
            "operations": int(course.operations.sum()),
        },
    }
