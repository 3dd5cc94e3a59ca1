"""`--json` and the other outputs, alike in every command (docs/cli.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from snnc.cli import options
from snnc.cli.console import STDOUT, Console

if TYPE_CHECKING:
    from snnc.measure.pictures import Theme


def _report_at_once(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Where the command fails from here on, its diagnostics are the JSON on stdout."""
    if value == STDOUT:
        ctx.ensure_object(Console).report_to(STDOUT)
    return value


json_report = click.option(
    "--json",
    "json_file",
    type=options.OUTPUT,
    callback=_report_at_once,
    metavar="FILE.json",
    help="Write everything as JSON; - prints it, and nothing else, on stdout.",
)


page_report = click.option(
    "--report",
    "page",
    type=options.OUTPUT,
    metavar="FILE.html",
    help="Write a page with tables and pictures, all in one file; measures some more for it.",
)


dark = click.option("--dark", is_flag=True, help="Draw in light colours on a dark ground, as for slides.")


def theme(dark: bool, plot: str | None) -> Theme:
    """The colours of the picture `plot`; a `--dark` that is given without a picture is no mistake of a config file."""
    from snnc.measure.pictures import theme_of

    given = click.get_current_context().get_parameter_source("dark") is ParameterSource.COMMANDLINE
    if given and plot is None:
        raise click.UsageError("--dark is about the picture of --plot, which is not given")
    return theme_of(dark=dark)


def check_outputs(
    console: Console,
    json_file: str | None,
    outputs: Iterable[str | PathLike[str] | None] = (),
    inputs: Iterable[str | PathLike[str] | None] = (),
    pictures: Iterable[str | None] = (),
    page: str | None = None,
) -> None:
    """SNN401 before the work begins where a file of a command cannot be written, SNN407 where pictures cannot be drawn;
    from here on `Console.report` writes the JSON."""
    drawn = [picture for picture in pictures if picture]
    others = [path for path in (*outputs, *drawn, page) if path]
    files = [path for path in (json_file, *others) if path]
    if files:
        _check_stdout(files, binary=STDOUT in others)
        from snnc.files import check_all_writable

        check_all_writable([path for path in files if path != STDOUT], inputs)
    if drawn:
        from snnc.measure.pictures import picture_format

        for picture in drawn:
            picture_format(picture)
    if page:
        _check_page(page)
    console.report_to(json_file)


def _check_page(page: str) -> None:
    """SNN401 where a report is not called what it is, SNN407 where its pictures cannot be drawn."""
    from snnc.diagnostics import fail
    from snnc.measure.pictures import require_matplotlib

    if page != STDOUT and not page.lower().endswith((".html", ".htm")):
        fail("SNN401", f"{page}: a report is a page of HTML", hint="call it FILE.html; numbers are `--json FILE.json`")
    require_matplotlib()


def _check_stdout(files: list[str | PathLike[str]], *, binary: bool) -> None:
    """SNN401 where several outputs go to stdout, or one that is no text to a terminal."""
    from snnc.diagnostics import fail

    if files.count(STDOUT) > 1:
        fail("SNN401", "only one output can go to stdout", hint="write the others to files")
    if binary and sys.stdout.isatty():
        hint = "send it to a file or a program: `snnc ... -o - > FILE`"
        fail("SNN401", "this output is no text, and stdout is a terminal", hint=hint)
