"""`--json FILE` and `--json -`, alike in every command that reports (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike

import click

from snnc.cli import options
from snnc.cli.console import STDOUT, Console


def _report_at_once(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Everything but the JSON goes to stderr from here on, where that goes to stdout."""
    if value == STDOUT:
        ctx.ensure_object(Console).report_to(STDOUT)
    elif value is not None and value.startswith("-"):
        raise click.BadParameter(f"{value!r} is neither a FILE nor - for stdout", ctx, param)
    return value


def json_named(*names: str) -> Callable[[options.Command], options.Command]:
    """The option `--json` of every command that reports, under these names."""
    return click.option(
        *names,
        "json_file",
        type=options.OUTPUT,
        callback=_report_at_once,
        metavar="FILE.json",
        help="Write everything as JSON; - prints it, and nothing else, on stdout.",
    )


json_report = json_named("--json")


def check_outputs(
    console: Console,
    json_file: str | None,
    outputs: Iterable[str | PathLike[str] | None] = (),
    inputs: Iterable[str | PathLike[str] | None] = (),
) -> None:
    """SNN401 before the work begins where a file of a command cannot be written; from here on the FILE of `--json`
    gets the diagnostics where the command fails."""
    files = [None if json_file == STDOUT else json_file, *outputs]
    if any(files):
        from snnc.files import check_all_writable

        check_all_writable(files, inputs)
    console.report_to(json_file)
