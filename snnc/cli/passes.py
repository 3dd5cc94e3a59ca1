"""`snnc passes`: what a conversion runs."""

from __future__ import annotations

import textwrap

import click

from snnc.cli import options
from snnc.cli.console import Console
from snnc.ir.options import OPTIONS, Options


@click.command(short_help="List the passes of a conversion, in order.")
@options.declared(OPTIONS["method"])
@click.pass_obj
def passes(console: Console, method: str | None) -> None:
    """List the passes of a conversion in order: the level each takes and gives, and what it does."""
    from snnc.methods import METHODS

    for step in METHODS[method or Options.method].passes:
        levels = f"{step.takes.name.lower()} → {step.gives.name.lower()}"
        console.result(f"{step.name:<16} {levels}")
        console.result(textwrap.indent(textwrap.fill(step.summary, 76), "    "))
