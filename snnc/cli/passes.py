"""`snnc passes`: what a conversion runs."""

from __future__ import annotations

import textwrap

import click

from snnc.cli.console import Console


@click.command(short_help="List the passes of a conversion, in order.")
@click.pass_obj
def passes(console: Console) -> None:
    """List the passes of a conversion in order: the level each takes and gives, and what it does."""
    from snnc.pipeline import PASSES

    for step in PASSES:
        levels = f"{step.takes.name.lower()} → {step.gives.name.lower()}"
        console.result(f"{step.name:<16} {levels}")
        console.result(textwrap.indent(textwrap.fill(step.summary, 76), "    "))
