"""What `snnc export --c` does and says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli.console import STDOUT, Console

if TYPE_CHECKING:
    from snnc.api.exporting_c import CExport


def export_c(
    console: Console, net: str, folder: str, name: str | None, most_steps: int | None, form: dict[str, Any]
) -> None:
    """Write the C of a converted network into a folder; `form` says what becomes of pixels."""
    from snnc import api
    from snnc.data import Preparation
    from snnc.places import check_folder

    if folder == STDOUT:
        raise click.UsageError("--c writes several files: -o is a FOLDER")
    check_folder(folder)
    named = {} if name is None else {"name": name}
    found = api.export_c(net, most_steps=most_steps, preparation=Preparation.of(**form), **named)
    console.lines(_lines(found))
    found.check_folder(folder)
    console.write_folder(Path(folder), found.contents)
    console.report(document(net, found))


def refuse_others(given: Mapping[str, Any], belongs_to: str) -> None:
    """A usage error where options are given that belong to another form."""
    for option, value in given.items():
        if value is not None:
            raise click.UsageError(f"--{option} belongs to {belongs_to}")


def _lines(found: CExport) -> list[str]:
    program = found.program
    outputs = len(program.readouts)
    return [
        f"C for microcontrollers: {len(program.layers)} layers, {outputs} output{'' if outputs == 1 else 's'}",
        f"flash: {program.flash_bytes:,} bytes of constants, and the code",
        f"RAM: {program.struct_bytes:,} bytes, {program.state_bytes:,} of them states; "
        f"{program.input.bytes:,} of an input",
    ]


def document(net: str, found: CExport) -> dict[str, Any]:
    """What `--json` writes (docs/cli.md)."""
    program = found.program
    return {
        "model": net,
        "name": program.name,
        "files": sorted(found.files),
        "most_steps": program.most_steps,
        "flash_bytes": program.flash_bytes,
        "state_bytes": program.state_bytes,
        "scratch_bytes": program.scratch_bytes,
        "struct_bytes": program.struct_bytes,
        "input_bytes": program.input.bytes,
        "layers": {
            layer: {"flash_bytes": flash, "state_bytes": states} for layer, flash, states in program.bytes_by_layer()
        },
    }
