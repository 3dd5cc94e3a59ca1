"""`snnc check`: everything that keeps a network from being converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console

if TYPE_CHECKING:
    from snnc.diagnostics import Diagnostic

# What a layer has that `--relaxed` converts: bias, batch normalization, max-pooling.
_RELAXED = {"SNN201", "SNN202", "SNN203"}


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
    chosen = options.conversion_options(arguments)
    found = api.check(net, **chosen)
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    console.diagnostics(found)
    if errors:
        way = ", with --relaxed it can" if relaxing_helps(net, found, chosen) else ""
        console.note(f"{errors} error{'' if errors == 1 else 's'}: {net} cannot be converted like this{way}")
        console.report_failure({"model": net, "convertible": False})
        ctx.exit(1)
    console.result(f"{net} can be converted")
    console.report({"model": net, "convertible": True})


def relaxing_helps(net: str, found: list[Diagnostic], chosen: dict[str, Any]) -> bool:
    """Whether `--relaxed` does away with all errors, where these are what it is about."""
    from snnc import api

    if not {each.rule.code for each in found if each.severity == "error"} <= _RELAXED or chosen.get("relaxed"):
        return False
    return all(each.severity != "error" for each in api.check(net, **{**chosen, "relaxed": True}))
