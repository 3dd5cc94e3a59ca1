"""`snnc check`: everything that keeps a network from being converted."""

from __future__ import annotations

from typing import Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console


@click.command(short_help="Report every problem of a network at once.")
@click.argument("net", type=options.EXISTING, metavar="NET.onnx")
@options.method
@options.strictness
@reports.json_report
@options.verbosity
@click.pass_context
def check(ctx: click.Context, /, net: str, json_file: str | None, **arguments: Any) -> None:
    """Report every problem of NET.onnx at once, with rule codes (see `snnc explain`).

    Exits with 1 if there is an error. Warnings alone are no error.
    """
    from snnc import api

    console: Console = ctx.obj
    reports.check_outputs(console, json_file, inputs=[net])
    found = api.check(net, **options.conversion_options(arguments))
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    console.diagnostics(found)
    if errors:
        console.note(f"{errors} error{'' if errors == 1 else 's'}: {net} cannot be converted like this")
        console.report_failure({"model": net, "convertible": False})
        ctx.exit(1)
    console.result(f"{net} can be converted")
    console.report({"model": net, "convertible": True})
