"""README.md of a program: how it is used, and what memory it takes."""

from __future__ import annotations

from snnc.export.c.program import Program
from snnc.export.c.text import lines


def readme(program: Program, network: str) -> str:
    """Markdown."""
    name = program.name
    rows = [f"| {_cell(layer)} | {flash:,} | {states:,} |" for layer, flash, states in program.bytes_by_layer()]
    scratch = ", ".join(f"{count:,} of {ctype}" for ctype, count in program.scratch_counts.items()) or "none"
    room = "any number of" if program.most_steps is None else f"{program.most_steps:,}"
    return lines(
        [
            f"# {_cell(network)} as C",
            "",
            "C99, integers only, no allocation, no library but `memset`. Every spike is the one that snnc gives.",
            "",
            "| file | what |",
            "|---|---|",
            f"| `{name}.h`, `{name}.c` | the network: states, `{name}_start`, `{name}_step`, the coding of its input |",
            f"| `{name}_weights.h`, `{name}_weights.c` | its constants |",
            f"| `{name}_float.h` | optional: inputs and outputs as floating-point numbers |",
            f"| `main.c`, `{name}_sample.h`, `Makefile` | an example; `make check` compares with snnc |",
            "",
            "## Memory",
            "",
            "Bytes of every layer: constants in flash (weights, biases, thresholds, tables), states in RAM.",
            "",
            "| layer | flash | RAM |",
            "|---|---:|---:|",
            *rows,
            "",
            f"- Flash, all constants: {program.flash_bytes:,} bytes, and the code.",
            f"- RAM, `{name}_state`: {program.struct_bytes:,} bytes: {program.state_bytes:,} of states and the step,",
            f"  {program.scratch_bytes:,} of scratch memory of a step ({scratch}).",
            f"- RAM, an input: {program.input.bytes:,} bytes.",
            "",
            f"Potentials have room for {room} steps. The size of the struct holds where numbers are",
            "aligned to their size, as on ARM and RISC-V.",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
