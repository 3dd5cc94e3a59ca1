"""The commands, and what every one of them does when something goes wrong.

Exit codes: 0 done; 1 the model or the data is at fault (diagnostics on stderr and in the JSON of `--json -`, no
file); 2 wrong usage; 70 an error in snnc; 130 interrupted.
"""

from __future__ import annotations

import traceback
from dataclasses import replace

import click

import snnc as package
from snnc.cli import (
    bench,
    check,
    compare,
    convert,
    demo,
    evaluate,
    explain,
    export,
    inspect,
    library,
    passes,
    plot,
    run,
    stream,
    sweep,
    verify,
)
from snnc.cli.config import Project
from snnc.cli.console import Console
from snnc.diagnostics import Diagnostic, DiagnosticError

MODEL_OR_DATA, USAGE, INTERNAL, INTERRUPTED = 1, 2, 70, 130


class Commands(click.Group):
    """A group that turns exceptions into messages and exit codes, and lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """With the options of the project as defaults of the command."""
        name, command, rest = super().resolve_command(ctx, args)
        project = Project.here()
        if command is not None and (defaults := project.defaults(command, self.commands)):
            ctx.default_map = {str(name): defaults}
            shown = ", ".join(f"{key.replace('_', '-')} {value}" for key, value in defaults.items())
            ctx.ensure_object(Console).introduce(f"defaults of {project.file}: {shown}")
        return name, command, rest

    def invoke(self, ctx: click.Context) -> object:
        console = ctx.ensure_object(Console)
        try:
            with console:
                return super().invoke(ctx)
        except DiagnosticError as error:
            console.diagnostics(_of_command(found, ctx.invoked_subcommand) for found in error.diagnostics)
            console.report_failure({})
            only_options = all(diagnostic.rule.code == "SNN405" for diagnostic in error.diagnostics)
            ctx.exit(USAGE if only_options else MODEL_OR_DATA)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            console.interrupted()
            ctx.exit(INTERRUPTED)
        except MemoryError:
            console.error("out of memory: use fewer samples")
            console.report_failure({})
            ctx.exit(MODEL_OR_DATA)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            console.error(f"{place}{error.strerror or error}")
            console.report_failure({})
            ctx.exit(MODEL_OR_DATA)
        except Exception as error:
            _report_internal(console, error)
            ctx.exit(INTERNAL)


def _of_command(found: Diagnostic, command: str | None) -> Diagnostic:
    """The same with a hint that leads to the help of the command that was run."""
    if found.hint or "`snnc convert --help`" not in found.rule.hint:
        return found
    return replace(found, hint=found.rule.hint.replace("snnc convert", f"snnc {command}"))


def _report_internal(console: Console, error: Exception) -> None:
    if console.verbose:
        console.plain(traceback.format_exc().rstrip())
    kind = type(error).__name__
    console.error(f"internal error, please report: {kind}: {error}")
    if not console.verbose:
        console.plain("  run it again with -v for the traceback")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package.__version__, prog_name="snnc")
def snnc() -> None:
    """Turn trained ONNX networks into spiking networks.

    \b
    snnc convert net.onnx --calib data.npz:train
    snnc eval net.snn.onnx --data data.npz:test --ann net.onnx
    """


COMMANDS = (
    convert.convert,
    check.check,
    evaluate.evaluate,
    verify.verify,
    compare.compare,
    plot.plot,
    sweep.sweep,
    run.run,
    stream.stream,
    bench.bench,
    export.export,
    inspect.inspect,
    passes.passes,
    explain.explain,
    library.library,
    demo.demo,
)
for command in COMMANDS:
    snnc.add_command(command)
