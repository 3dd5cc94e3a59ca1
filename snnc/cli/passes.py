"""`snnc passes`: what a conversion runs."""

from __future__ import annotations

import textwrap

import click

from snnc.cli import options, reports
from snnc.cli.console import Console
from snnc.ir.options import OPTIONS, Options


@click.command(short_help="List the passes of a conversion, in order.")
@options.declared(OPTIONS["method"])
@reports.json_report
@click.pass_obj
def passes(console: Console, method: str | None, json_file: str | None) -> None:
    """List the passes of a conversion in order: the level each takes and gives, and what it does."""
    from snnc.methods import METHODS

    reports.check_outputs(console, json_file)
    method = method or Options.method
    steps = METHODS[method].passes
    for step in steps:
        levels = f"{step.takes.name.lower()} → {step.gives.name.lower()}"
        console.result(f"{step.name:<16} {levels}")
        console.result(textwrap.indent(textwrap.fill(step.summary, 76), "    "))
    found = [
        {"name": step.name, "takes": step.takes.name.lower(), "gives": step.gives.name.lower(), "summary": step.summary}
        for step in steps
    ]
    console.report({"method": method, "passes": found})
