"""How to convert: the options of a conversion, every one decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from snnc.diagnostics import fail
from snnc.ir.option import Option

# Beyond this many steps a layer's weights would keep fewer than five bits in 32-bit potentials.
LARGEST_MAX_STEPS = 2**25
# Inputs are float32, and so is everything that is computed from them.
SMALLEST_INPUT, LARGEST_INPUT = 1e-30, 1e30
# Counts of a block are exact in float32 with weights of 24 bits.
MOST_LEVELS = 4096
# Beyond it a leak takes nothing from the potentials of ordinary thresholds.
LARGEST_LEAK = 15
# A quantile below this would let a tenth of a layer's neurons saturate.
LEAST_RATE_QUANTILE = 0.9
# Who writes 0.5 means half a percent.
LARGEST_DROP = 0.2
# Rows of more bits are not packed in 16.
FEWEST_WEIGHT_BITS, MOST_WEIGHT_BITS = 4, 16
#: Of `weight_bits`: chosen layer by layer (`snnc.integers.weight_bits`). Of `alpha`: chosen by measurement
#: (`snnc.passes.choose_alpha`).
AUTO = "auto"


def _option(default: Any, help: str, **declared: Any) -> Any:
    """A field of `Options` with what its declaration (`snnc.ir.option.Option`) says beyond name, type and default."""
    return dataclasses.field(default=default, metadata={"help": help, **declared})


@dataclass(frozen=True)
class Options:
    """How to convert, every option decided. What a field means is said once, here: `OPTIONS` has the declarations.

    Defaults that depend on other options are those of `snnc.methods.defaults.make_options`. None leaves the choice to
    the conversion. Method and rule are names that need not be known here: a file may come from a plug-in that is not
    installed.
    """

    method: str = _option(
        "rmp",
        "How to convert, a name for all that follows: coding, thresholds, neurons and defaults.",
        registry="snnc.methods",
        group="method",
    )
    reset: Literal["soft", "hard"] = _option(
        "soft",
        "What a spike does to the membrane potential: subtract the threshold, or set it to zero.",
        group="neurons",
    )
    leak: int = _option(
        0,
        "Leaky neurons: every step begins with V - floor(V / 2^M). Small currents never make them fire.",
        default_text="0, no leak",
        metavar="M",
        group="neurons",
        low=0,
        high=LARGEST_LEAK,
    )
    coding: Literal["poisson", "direct", "charge"] = _option(
        "poisson",
        "The input: random spikes at the rate of its values, or the values themselves as a current of every step or as "
        "a charge that enters once.",
        default_text="that of the method",
        group="calibration",
    )
    levels: int = _option(
        16,
        "Levels that activations are quantised to: spikes that stand for the largest one. 16,conv1=32,fc=8 gives some "
        "layers others.",
        default_text="16, or chosen by --target-drop",
        metavar="L,...",
        group="neurons",
        low=1,
        high=MOST_LEVELS,
        by_layer=True,
    )
    alpha: float | Literal["auto"] = _option(
        1.0,
        "Factor on every threshold, and with it the rule vmax; auto tries several on the held-back samples.",
        default_text="1, and for soft reset the rule rate",
        metavar="A",
        group="neurons",
        low=0,
        high=1,
        above=True,
        word=AUTO,
    )
    threshold: str = _option(
        "rate",
        "Thresholds from mean input sums, from the largest one, from the weights alone, or from activations of the "
        "ANN: largest, percentile, least squared error at these steps, balanced.",
        default_text="rate for soft reset without --alpha, else vmax",
        registry="snnc.thresholds",
        group="calibration",
    )
    rate_quantile: float = _option(
        0.9997,
        "Share of neurons and samples that the rule rate keeps from saturating.",
        metavar="Q",
        group="calibration",
        low=LEAST_RATE_QUANTILE,
        high=1,
    )
    percentile: float = _option(
        99.9,
        "Percentage of activations that the rule percentile keeps from saturating.",
        metavar="P",
        group="calibration",
        low=50,
        high=100,
    )
    per_channel: bool = _option(
        False,
        "A threshold of its own for every channel (for flat layers: for every neuron), instead of one for each layer.",
        group="calibration",
    )
    alpha_when: Literal["during", "after"] = _option(
        "during",
        "Scale each threshold before the next layer is measured, or all of them at the end: that compounds, and "
        "networks of more than a few layers lose their signal or saturate.",
        group="calibration",
    )
    weight_bits: int | Literal["auto"] = _option(
        MOST_WEIGHT_BITS,
        "Bits of the integer weights of neurons, sign included (depthwise layers keep as many as fit); auto takes the "
        "fewest for each layer, from 8 on, at which rounding changes currents by less than 1 % over all layers in a "
        "row. Fewer bits are added faster.",
        metavar="B",
        group="calibration",
        low=FEWEST_WEIGHT_BITS,
        high=MOST_WEIGHT_BITS,
        word=AUTO,
    )
    calib_samples: int | None = _option(
        None,
        "Samples that calibrate.",
        default_text="512; of synthetic images 128, fewer for large networks",
        metavar="N",
        group="calibration",
        low=1,
    )
    calib_steps: int = _option(
        256, "Steps of the calibration.", default_text="256 or --max-steps", metavar="T", group="calibration", low=1
    )
    v_init: float | None = _option(
        None,
        "Membrane potential at step 0, in thresholds.",
        default_text="0; with the rule rate and those of activations 0.5 where it does clearly better on the held-back "
        "samples",
        group="calibration",
        choices=(0.0, 0.5),
    )
    input_scale: float | None = _option(
        None,
        "Input value that fires at every step.",
        default_text="largest |x| of the data or of --input-range",
        metavar="S",
        group="calibration",
        low=SMALLEST_INPUT,
        high=LARGEST_INPUT,
    )
    input_range: tuple[float, float] | None = _option(
        None,
        "Values of the synthetic images.",
        default_text="what the model says of its input, else -2,2",
        metavar="LOW,HIGH",
        group="calibration",
        low=-LARGEST_INPUT,
        high=LARGEST_INPUT,
    )
    max_steps: int = _option(
        4096,
        "Largest number of steps ever to be run.",
        metavar="T",
        group="calibration",
        low=1,
        high=LARGEST_MAX_STEPS,
    )
    shape: str = _option(
        "",
        "Shape of a sample where the network leaves sizes open, such as 3,48,192.",
        default_text="that of the network, else of --calib",
        metavar="SHAPE",
        group="reading",
    )
    bias: Literal["reject", "current"] = _option(
        "reject", "Layers with a bias: refuse them, or add the bias as a constant current.", group="strictness"
    )
    batchnorm: Literal["reject", "fold"] = _option(
        "reject", "Batch normalization: refuse it, or fold it into the layer in front.", group="strictness"
    )
    max_pool: Literal["reject", "exact"] = _option(
        "reject", "Max-pooling: refuse it, or compare spike counts.", group="strictness"
    )
    steps: int = _option(
        256,
        "Steps that the file runs by default.",
        default_text="256 or --max-steps",
        metavar="T",
        group="file",
        low=1,
    )
    delay: int = _option(
        0,
        "Steps that go by before the readout begins, as deep layers get their inputs late. They count as steps.",
        default_text="0, none",
        metavar="D",
        group="file",
        low=0,
    )
    target_drop: float | None = _option(
        None,
        "Choose the fewest steps (exact: levels) for which the held-back samples show, with 95 % confidence, that no "
        "more accuracy is lost against the ANN (without labels: that no more samples are in another class).",
        default_text="no choice, --steps or --levels",
        metavar="P%",
        group="file",
        low=0,
        high=LARGEST_DROP,
        above=True,
        percent=True,
    )
    seed: int = _option(0, "Seed of the input spikes.", metavar="S", group="file", low=-(2**63), high=2**63 - 1)
    schedule: Literal["loop", "unrolled", "stream"] = _option(
        "loop",
        "One call for all steps, the same without a Loop for a fixed number of them, or one call for each block of "
        "steps with the states outside.",
        group="file",
    )
    controls: Literal["optional", "required", "fixed"] = _option(
        "optional",
        "How the file takes steps and seed: optional inputs (not for JavaScript), required inputs, or constants.",
        group="file",
    )
    accept_poor: bool = _option(
        False,
        "Write the network even where it certainly agrees with the ANN on less than 80 % of samples or, if the "
        "outputs are no classes, has an output error above 0.5.",
        group="poor",
    )
    #: Layers with other levels: (name, levels), in order of the names.
    layer_levels: tuple[tuple[str, int], ...] = ()
    #: Options that a plug-in's rule or method has of its own: (name, value), in order of the names.
    plugin_options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in ("layer_levels", "plugin_options"):
            object.__setattr__(self, name, tuple(sorted(dict(getattr(self, name)).items())))
        for name, option in OPTIONS.items():
            option.check(getattr(self, name))
        for _, levels in self.layer_levels:
            OPTIONS["levels"].check(levels)
        if self.input_range is not None and max(map(abs, self.input_range)) < SMALLEST_INPUT:
            fail("SNN405", f"input_range is {self.input_range}, must reach {SMALLEST_INPUT}")
        for name in ("steps", "calib_steps"):
            if getattr(self, name) > self.max_steps:
                fail("SNN404", f"{name} is {getattr(self, name)}, larger than max_steps {self.max_steps}")
        # Where the steps are chosen, `steps` are those of nobody yet.
        steps = self.steps if self.target_drop is None else self.max_steps
        if self.delay >= steps:
            fail("SNN405", f"delay is {self.delay}, must be less than the {steps} steps: none is left to read")

    @property
    def factor(self) -> float:
        """`alpha`, once it has been chosen."""
        assert isinstance(self.alpha, float), "alpha has not been chosen yet"
        return self.alpha

    def levels_of(self, layer: str) -> int:
        """The levels of the activations of a layer."""
        return dict(self.layer_levels).get(layer, self.levels)

    def own(self, option: Option) -> Any:
        """The value of an option that a plug-in has declared."""
        return dict(self.plugin_options).get(option.name, option.default)

    def to_json(self) -> dict[str, Any]:
        """The options by name."""
        pairs = {name: dict(getattr(self, name)) for name in ("layer_levels", "plugin_options")}
        return {**dataclasses.asdict(self), **pairs}


def _declared() -> dict[str, Option]:
    hints = get_type_hints(Options)
    declared = {}
    for field in dataclasses.fields(Options):
        if "help" in field.metadata:
            kind, choices = _kind_of(hints[field.name])
            more = {"choices": choices, **field.metadata}
            declared[field.name] = Option(name=field.name, kind=kind, default=field.default, **more)
    return declared


def _kind_of(hint: Any) -> tuple[type, tuple[Any, ...]]:
    """The type, and all values of a Literal; `X | None` and `X | Literal[...]` are like X."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return type(arguments[0]), arguments
    if origin is tuple:
        return tuple, ()
    if arguments:
        return _kind_of(next(argument for argument in arguments if argument is not type(None)))
    return hint, ()


#: Name → declaration, in the order of `--help`.
OPTIONS: Mapping[str, Option] = _declared()
