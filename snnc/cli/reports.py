"""`--json` and the other outputs, alike in every command (docs/cli.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from os import PathLike

import click

from snnc.cli import options
from snnc.cli.console import STDOUT, Console


def _report_at_once(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Where the command fails from here on, its diagnostics are the JSON on stdout."""
    if value == STDOUT:
        ctx.ensure_object(Console).report_to(STDOUT)
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
    pictures: Iterable[str | None] = (),
) -> None:
    """SNN401 before the work begins where a file of a command cannot be written, SNN407 where pictures cannot be drawn;
    from here on `Console.report` writes the JSON."""
    drawn = [picture for picture in pictures if picture]
    others = [path for path in (*outputs, *drawn) if path]
    files = [path for path in (json_file, *others) if path]
    if files:
        _check_stdout(files, binary=STDOUT in others)
        from snnc.files import check_all_writable

        check_all_writable([path for path in files if path != STDOUT], inputs)
    if drawn:
        from snnc.measure.pictures import picture_format

        for picture in drawn:
            picture_format(picture)
    console.report_to(json_file)


def _check_stdout(files: list[str | PathLike[str]], *, binary: bool) -> None:
    """SNN401 where several outputs go to stdout, or one that is no text to a terminal."""
    from snnc.diagnostics import fail

    if files.count(STDOUT) > 1:
        fail("SNN401", "only one output can go to stdout", hint="write the others to files")
    if binary and sys.stdout.isatty():
        hint = "send it to a file or a program: `snnc ... -o - > FILE`"
        fail("SNN401", "this output is no text, and stdout is a terminal", hint=hint)
