"""Options that commands share. Those of a conversion are declared in `snnc.ir.options.OPTIONS`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from snnc.cli.console import STDOUT, Console
from snnc.ir.option import Option
from snnc.ir.options import AUTO, OPTIONS

if TYPE_CHECKING:
    from snnc.data import DataSet
    from snnc.files import ConvertedFile
    from snnc.plugins import Registry

    NameType = click.ParamType[str]
    NumberType = click.ParamType[float | str]
else:
    NameType = NumberType = click.ParamType  # not generic before click 8.2

Command = TypeVar("Command", bound=Callable[..., Any])

EXISTING = click.Path(dir_okay=False)


class OutputFile(click.Path):
    """A file to write, or `-` for stdout, which then has nothing else."""

    _STDOUT = frozenset({STDOUT, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in self._STDOUT:
            if ctx is not None:
                ctx.ensure_object(Console).take_stdout()
            return STDOUT
        if str(value).startswith("-"):
            self.fail(f"{value!r} is neither a FILE nor - for stdout.", param, ctx)
        return super().convert(value, param, ctx)


OUTPUT = OutputFile(dir_okay=False)
OUTPUT_OR_FOLDER = OutputFile()


Callback = Callable[[click.Context, click.Parameter, "str | None"], "list[Any] | None"]


def _list_of(kind: type, example: str, *, distinct: bool = True) -> Callback:
    """Reads a comma-separated list; `distinct` drops repetitions."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> list[Any] | None:
        if value is None:
            return None
        try:
            values = [kind(part.strip()) for part in value.split(",")]
            return list(dict.fromkeys(values)) if distinct else values
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a list like {example}", ctx, param) from None

    return read


INTEGERS = _list_of(int, "1,2,4")
NUMBERS = _list_of(float, "0.5,0.25")
VALUES = _list_of(float, "0.5,0.25", distinct=False)
WORDS = _list_of(str, "a,b")


def MARGINS(ctx: click.Context, param: click.Parameter, value: str | None) -> list[Any] | None:
    """Reads `M,...`; `auto` is an empty list."""
    if value is not None and value.strip() == AUTO:
        return []
    return NUMBERS(ctx, param, value)


def RANGE(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Reads `LOW,HIGH`."""
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a range like 0,1", ctx, param) from None
    return low, high


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Reads `NAME=VALUE`, any number of times."""
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"{value!r} is not of the form NAME=VALUE", ctx, param)
    return {name.strip().replace("-", "_"): value for name, _, value in (pair.partition("=") for pair in values)}


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator for several options, listed by `--help` in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _set(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            setattr(ctx.ensure_object(Console), name, True)

    return callback


verbosity = together(
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set("verbose"),
        help="Say what is done and when; show tracebacks of internal errors.",
    ),
    click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_set("quiet"), help="Print nothing but errors."
    ),
)


class RegisteredName(NameType):
    """A name that a registry knows. Registries are asked when a command runs, so that `snnc --help` is quick."""

    name = "name"

    def __init__(self, group: str) -> None:
        self.group = group

    @property
    def registry(self) -> Registry[Any]:
        """The registry itself."""
        from snnc.methods import METHODS
        from snnc.thresholds import RULES

        registries: tuple[Registry[Any], ...] = (METHODS, RULES)
        return next(registry for registry in registries if registry.group == self.group)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(self.registry)}]"  # names of plug-ins last; nothing of theirs is imported

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.registry:
            self.fail(f"{value!r} is not one of {', '.join(map(repr, self.registry))}.", param, ctx)
        return str(value)


class NumberOrWord(NumberType):
    """A number, or the one word that may stand in its place."""

    name = "number"

    def __init__(self, word: str, kind: type[int] | type[float]) -> None:
        self.word, self.kind = word, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        try:
            return self.word if value == self.word else self.kind(value)
        except ValueError:
            number = "an integer" if self.kind is int else "a number"
            self.fail(f"{value!r} is neither {number} nor {self.word}.", param, ctx)


class Bytes(NumberType):
    """A number of bytes: `2GiB`, `500MB`, `1048576`."""

    name = "bytes"
    _UNITS: ClassVar[dict[str, int]] = {
        "": 1,
        **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", start=1)},
        **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", start=1)},
    }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", value.strip().upper())
        if found is None or found[2] not in self._UNITS:
            self.fail(f"{value!r} is no number of bytes like 2GiB or 500MB.", param, ctx)
        return int(float(found[1]) * self._UNITS[found[2]])


class Declared(NumberType):
    """A value as its declaration reads it from text."""

    name = "number"

    def __init__(self, option: Option) -> None:
        self.option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        from snnc.diagnostics import DiagnosticError

        try:
            found: float = self.option.plain(value)
        except DiagnosticError as error:
            self.fail(f"{error.diagnostics[0].message}.", param, ctx)
        return found


def declared(option: Option) -> Callable[[Command], Command]:
    """The option of a command from its declaration. What is not given is None, so that defaults can depend on others
    and what was given can be told from what was not."""
    flag = f"--{option.name.replace('_', '-')}"
    if option.kind is bool:
        return click.option(flag, is_flag=True, default=None, help=option.help)
    more: dict[str, Any] = {"help": option.help_text}
    if option.metavar:
        more["metavar"] = option.metavar
    if option.registry:
        more["type"] = RegisteredName(option.registry)
    elif option.choices:
        more["type"] = click.Choice([f"{choice:g}" if option.kind is float else choice for choice in option.choices])
    elif option.kind is tuple:
        more["callback"] = RANGE
    elif option.word:
        more["type"] = NumberOrWord(option.word, option.kind)
    elif option.percent or option.by_layer:
        more["type"] = Declared(option)
    else:
        more["type"] = option.kind
    return click.option(flag, **more)


def _group(name: str) -> Iterable[Callable[[Command], Command]]:
    return (declared(option) for option in OPTIONS.values() if option.group == name)


method = together(
    *_group("method"),
    click.option(
        "--set",
        "plugged",
        multiple=True,
        callback=_pairs,
        metavar="NAME=VALUE",
        help="An option of the plug-in that brings the method or the threshold rule.",
    ),
)
neurons = together(*_group("neurons"))
calibration = together(*_group("calibration"))
strictness = together(
    *_group("reading"),
    *_group("strictness"),
    click.option("--relaxed", is_flag=True, help="The same as --bias current --batchnorm fold --max-pool exact."),
)
file_form = together(*_group("file"))
accept_poor = together(*_group("poor"))
seed = declared(OPTIONS["seed"])
leak = declared(OPTIONS["leak"])


def _data_form(guessed: str, unchanged: str) -> Callable[[Command], Command]:
    """How samples are stored; `guessed` and `unchanged` say what holds where an option is not given."""
    return together(
        click.option("--scale", type=float, metavar="S", help=f"Factor on the stored values.  [default: {guessed}]"),
        click.option("--mean", callback=VALUES, metavar="M,...", help=f"Subtracted from the scaled values.{unchanged}"),
        click.option("--std", callback=VALUES, metavar="S,...", help=f"Divides what remains.{unchanged}"),
        click.option(
            "--layout",
            type=click.Choice(["NCHW", "NHWC"]),
            help=f"Order of the stored axes.  [default: {guessed}]",
        ),
    )


data_form = _data_form("guessed", "")


stored_form = _data_form("as the file says, else guessed", "  [default: as the file says]")

exit_every = click.option(
    "--exit-every",
    type=int,
    metavar="N",
    help="Steps between two looks at the lead, from 1 to 64.  [default: 1/16 of the steps; exact: 4]",
)

on = click.option(
    "--on",
    metavar="WHERE",
    help="Simulate samples on a cluster of Ray: ray starts one on this machine, ray://HOST:PORT or HOST:PORT is one "
    "that runs. The numbers are the same.  [default: in this process]",
)
worker_threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads; with --on those of each task.  [default: all cores; with --on 1]",
)
resume = click.option(
    "--resume",
    type=OUTPUT,
    metavar="FILE",
    help="Keep what has been measured in FILE until all is: after Ctrl-C the same command goes on from there.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads.  [default: all cores]",
)


def conversion_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a command as arguments of `snnc.convert`: what is None keeps its default."""
    chosen = {name: value for name, value in arguments.items() if value is not None}
    for name, text in chosen.pop("plugged", {}).items():
        if name in OPTIONS:
            raise click.BadParameter(f"--set is for options of plug-ins, --{name.replace('_', '-')} is one of snnc")
        chosen[name] = text
    if "v_init" in chosen:
        chosen["v_init"] = float(chosen["v_init"])
    return chosen


def refuse_data_form(form: dict[str, Any]) -> None:
    """SNN405 where options say how samples are stored, and none are given."""
    from snnc.diagnostics import fail

    for name, value in form.items():
        if value is not None:
            fail("SNN405", f"--{name} tells how samples are stored, and there are none: synthetic images have a range")


def load_data(
    console: Console,
    spec: str,
    dims: tuple[int | None, ...],
    form: dict[str, Any],
    *,
    samples: int | None = None,
    memory: int | None = None,
) -> DataSet:
    """Read DATA for a network with this input shape, and say what was guessed.

    With `samples`, that many of them, spread evenly (data may be sorted by class). With a limit of `memory` bytes,
    larger data are read when they are asked for.
    """
    from snnc import data

    return _chosen(console, data.load(spec, dims, memory=memory, **form), samples)


def load_data_for(
    console: Console,
    file: ConvertedFile,
    spec: str,
    form: dict[str, Any],
    *,
    samples: int | None = None,
    streams: int = 1,
    memory: int | None = None,
) -> DataSet:
    """The same for a converted file: what `form` leaves open is as with the data that calibrated it. Of several
    `streams` the samples are frames (`snnc.data.load`)."""
    from snnc.data import Preparation

    return _chosen(console, file.dataset(spec, Preparation.of(**form), streams=streams, memory=memory), samples)


def _chosen(console: Console, loaded: DataSet, samples: int | None) -> DataSet:
    import numpy as np

    if samples is not None and samples < len(loaded):
        loaded = loaded.select(np.linspace(0, len(loaded) - 1, samples).round().astype(np.int64))
    notes = f": {'; '.join(loaded.notes)}" if loaded.notes else ""
    count = f"{len(loaded):,} sample{'s' if len(loaded) != 1 else ''}"
    console.note(f"data: {loaded.name}, {count}{notes}")
    return loaded
