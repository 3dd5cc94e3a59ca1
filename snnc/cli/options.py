"""Options that commands share. Those of a conversion are the fields of `snnc.ir.options.Options`, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from snnc.cli.console import Console

if TYPE_CHECKING:
    from snnc.data import DataSet

Command = TypeVar("Command", bound=Callable[..., Any])

EXISTING = click.Path(dir_okay=False)
OUTPUT = click.Path(dir_okay=False)


Callback = Callable[[click.Context, click.Parameter, "str | None"], "list[Any] | None"]


def _list_of(kind: type, example: str) -> Callback:
    """Reads a comma-separated list, dropping repetitions."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> list[Any] | None:
        if value is None:
            return None
        try:
            return list(dict.fromkeys(kind(part.strip()) for part in value.split(",")))
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a list like {example}", ctx, param) from None

    return read


INTEGERS = _list_of(int, "1,2,4")
NUMBERS = _list_of(float, "0.5,0.25")
WORDS = _list_of(str, "a,b")


def RANGE(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Reads `LOW,HIGH`."""
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a range like 0,1", ctx, param) from None
    return low, high


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

# --bias and --batchnorm have no default here, so that --relaxed knows whether the user chose them.
strictness = together(
    click.option(
        "--bias",
        type=click.Choice(["reject", "current"]),
        help="Layers with a bias: refuse them, or add the bias as a constant current.  [default: reject]",
    ),
    click.option(
        "--batchnorm",
        type=click.Choice(["reject", "fold"]),
        help="Batch normalization: refuse it, or fold it into the layer in front.  [default: reject]",
    ),
    click.option("--relaxed", is_flag=True, help="The same as --bias current --batchnorm fold."),
)

neurons = together(
    click.option(
        "--reset",
        type=click.Choice(["soft", "hard"]),
        default="soft",
        show_default=True,
        help="What a spike does to the membrane potential: subtract the threshold, or set it to zero.",
    ),
    click.option(
        "--alpha",
        type=float,
        help="Factor on every threshold, 0 < alpha <= 1, and with it the rule vmax.  [default: 1, and for soft reset "
        "the rule rate]",
    ),
)

calibration = together(
    click.option(
        "--threshold",
        type=click.Choice(["rate", "vmax", "model"]),
        help="Thresholds from mean input sums, from the largest input sum, or from the weights alone.  [default: rate "
        "for soft reset without --alpha, else vmax]",
    ),
    click.option(
        "--rate-quantile",
        type=float,
        metavar="Q",
        help="Share of neurons and samples that the rule rate keeps from saturating.  [default: 0.9997]",
    ),
    click.option(
        "--alpha-when",
        type=click.Choice(["during", "after"]),
        default="during",
        show_default=True,
        help="Scale each threshold before the next layer is measured, or all of them at the end: that compounds, and "
        "networks of more than a few layers lose their signal or saturate.",
    ),
    click.option(
        "--calib-samples",
        type=int,
        metavar="N",
        help="Samples that calibrate.  [default: 512; of synthetic images 128, fewer for large networks]",
    ),
    click.option(
        "--calib-steps", type=int, metavar="T", help="Steps of the calibration.  [default: 256 or --max-steps]"
    ),
    click.option(
        "--v-init",
        type=click.Choice(["0", "0.5"]),
        help="Membrane potential at step 0, in thresholds.  [default: 0; with the rule rate 0.5 where it does clearly "
        "better on the held-back samples]",
    ),
    click.option(
        "--input-scale",
        type=float,
        metavar="S",
        help="Input value that fires at every step.  [default: largest |x| of the data or of --input-range]",
    ),
    click.option(
        "--input-range",
        callback=RANGE,
        metavar="LOW,HIGH",
        help="Values of the synthetic images.  [default: what the model says of its input, else -2,2]",
    ),
    click.option(
        "--max-steps", type=int, default=4096, show_default=True, help="Largest number of steps ever to be run."
    ),
)

file_form = together(
    click.option(
        "--steps", type=int, metavar="T", help="Steps that the file runs by default.  [default: 256 or --max-steps]"
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of the input spikes."),
    click.option(
        "--schedule",
        type=click.Choice(["loop", "unrolled", "stream"]),
        default="loop",
        show_default=True,
        help="One call for all steps, in a Loop or unrolled; or one for each block of steps with the states outside.",
    ),
    click.option(
        "--controls",
        type=click.Choice(["optional", "required", "fixed"]),
        default="optional",
        show_default=True,
        help="How the file takes steps and seed: optional or required inputs, or constants.",
    ),
)

data_form = together(
    click.option("--scale", type=float, metavar="S", help="Factor on the stored values.  [default: guessed]"),
    click.option("--mean", callback=NUMBERS, metavar="M,...", help="Subtracted from the scaled values."),
    click.option("--std", callback=NUMBERS, metavar="S,...", help="Divides what remains."),
    click.option(
        "--layout",
        type=click.Choice(["NCHW", "NHWC"]),
        help="Order of the stored axes.  [default: guessed]",
    ),
)

threads = click.option("--threads", type=click.IntRange(min=1), help="Threads.  [default: all cores]")


def conversion_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a command as arguments of `snnc.convert`: what is None keeps its default."""
    chosen = {name: value for name, value in arguments.items() if value is not None}
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
    console: Console, spec: str, dims: tuple[int | None, ...], form: dict[str, Any], *, samples: int | None = None
) -> DataSet:
    """Read DATA for a network with this input shape, and say what was guessed.

    With `samples`, that many of them, spread evenly (data may be sorted by class).
    """
    import numpy as np

    from snnc import data

    loaded = data.load(spec, dims, **form)
    if samples is not None and samples < len(loaded):
        loaded = loaded.select(np.linspace(0, len(loaded) - 1, samples).round().astype(np.int64))
    notes = f": {'; '.join(loaded.notes)}" if loaded.notes else ""
    count = f"{len(loaded):,} sample{'s' if len(loaded) != 1 else ''}"
    console.note(f"data: {loaded.name}, {count}{notes}")
    return loaded
