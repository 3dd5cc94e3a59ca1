"""Bars, confidence, steps that the samples support; warnings, refusals and their remedies; the initial potential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from reports import verified

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.measure.evaluation import Curve, Point
from snnc.measure.intervals import interval
from snnc.measure.quality import GOOD, USABLE, Yardstick, steps_to_reach, supported_steps


def point(steps: int, agreement: float | None, error: float | None = 0.1) -> Point:
    return Point(steps, None, agreement, error, 1.0, {}, 0.0, 0.0, 0.0, 0.0)


def points(*agreements: float | None) -> list[Point]:
    return [point(2**power, agreement) for power, agreement in enumerate(agreements)]


def test_wilson_intervals() -> None:
    """Against the closed form by hand: 10 of 10, 0 of 10, 45 of 50 (Wilson 1927)."""
    assert interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert interval(0.9, 50) == pytest.approx((0.7864, 0.9565), abs=1e-4)


BOTH = Yardstick(128, classes=True, values=True)
CLASSES = Yardstick(128, classes=True, values=False)
VALUES = Yardstick(128, classes=False, values=True)
NEITHER = Yardstick(128, classes=False, values=False)


@pytest.mark.parametrize(
    ("found", "yardstick", "good", "usable"),
    [
        (point(1, 0.96, 0.2), BOTH, True, True),
        (point(1, 0.9, 0.2), BOTH, False, True),
        (point(1, 0.7, 0.2), BOTH, False, False),
        (point(1, 0.76, 0.2), BOTH, False, True),  # 0.76 of 128 may be 0.8 of all
        (point(1, 1.0, 0.6), BOTH, False, True),  # the class is right, the values are lost
        (point(1, 1.0, 0.98), BOTH, False, False),
        (point(1, 1.0, None), BOTH, False, False),
        (point(1, 1.0, 0.98), CLASSES, True, True),
        (point(1, 0.7, None), CLASSES, False, False),
        (point(1, None, 0.2), VALUES, True, True),
        (point(1, None, 0.4), VALUES, False, True),
        (point(1, None, 0.6), VALUES, False, False),
        (point(1, 0.1, 0.2), VALUES, True, True),  # one class only: agreement says nothing
        (point(1, 1.0, 0.6), VALUES, False, False),
        (point(1, 0.1, 0.9), NEITHER, True, True),
    ],
)
def test_bars(found: Point, yardstick: Yardstick, good: bool, usable: bool) -> None:
    assert (yardstick.missed(found, GOOD) is None) == good
    assert (yardstick.certainly_missed(found, USABLE) is None) == usable


def test_a_handful_of_samples_refuses_nothing() -> None:
    few, enough = Yardstick(7, classes=True, values=False), Yardstick(8, classes=True, values=False)
    assert few.certainly_missed(point(1, 0.0), USABLE) is None
    assert enough.certainly_missed(point(1, 0.0), USABLE) == "80 % agreement"


def curve(agreement: float | None, error: float | None, commonest: float | None) -> Curve:
    return Curve([point(1, agreement, error)], 64, 0, None, 1, 0.0, commonest)


def test_what_a_network_is_judged_by() -> None:
    assert Yardstick.of(curve(0.9, 0.1, 0.3), "soft", 0) == Yardstick(64, classes=True, values=True)
    assert Yardstick.of(curve(0.9, 0.1, 0.3), "hard", 0) == Yardstick(64, classes=True, values=False)
    assert Yardstick.of(curve(0.9, None, 0.3), "soft", 0) == Yardstick(64, classes=True, values=False)  # class numbers
    assert Yardstick.of(curve(0.9, 0.1, 0.95), "soft", 0) == Yardstick(64, classes=False, values=True)
    assert Yardstick.of(curve(0.9, 0.1, 0.95), "hard", 0) == Yardstick(64, classes=False, values=False)
    assert Yardstick.of(curve(None, 0.1, None), "hard", 0) == Yardstick(64, classes=False, values=True)


def test_values_with_a_leak_are_judged_where_there_is_nothing_else() -> None:
    assert Yardstick.of(curve(0.9, 0.1, 0.3), "soft", 6) == Yardstick(64, classes=True, values=False)
    assert Yardstick.of(curve(0.9, 0.1, 0.95), "soft", 6) == Yardstick(64, classes=False, values=True)
    assert Yardstick.of(curve(0.9, 0.1, 0.95), "hard", 6) == Yardstick(64, classes=False, values=False)
    assert Yardstick.of(curve(None, 0.1, None), "soft", 6) == Yardstick(64, classes=False, values=True)


def test_a_handful_of_samples_is_no_sign_that_there_is_one_class() -> None:
    """One sample is always of one class; its values may be off by more than those of outputs that are no classes."""
    single = Curve([point(1, 1.0, 0.66)], 1, 0, None, 1, 0.0, 1.0)
    yardstick = Yardstick.of(single, "soft", 0)
    assert yardstick.classes
    assert yardstick.certainly_missed(single.points[-1], USABLE) is None


def test_steps_are_recommended_only_where_the_samples_support_it() -> None:
    def steps(found: Sequence[Point], samples: int, classes: bool = True) -> int | None:
        return supported_steps(found, Yardstick(samples, classes=classes, values=True))

    assert steps(points(0.2, 0.97, 0.98, 1.0), 128) == 2
    assert steps(points(0.2, 0.97, 0.9, 1.0), 128) == 8  # what comes later counts too
    assert steps(points(0.2, 1.0, 1.0, 1.0), 8) is None  # eight samples show nothing
    assert steps(points(0.2, 1.0, 1.0, 0.9), 1000) is None
    assert steps([point(1, None, 0.5), point(2, None, 0.2), point(4, None, 0.1)], 8, classes=False) == 2
    assert supported_steps(points(1.0, 1.0), NEITHER) is None


def test_steps_to_reach() -> None:
    assert steps_to_reach(points(0.1, 0.9, 0.8, 0.95), 0.9, BOTH) == 8
    assert steps_to_reach(points(0.1, 0.9, 0.92, 0.95), 0.9, BOTH) == 2
    assert steps_to_reach(points(0.1, 0.2), 0.9, BOTH) is None
    assert steps_to_reach([point(1, 1.0, 0.5), point(2, 1.0, 0.2)], 0.2, VALUES) == 2


def deep(layers: int, width: int = 16) -> onnx.ModelProto:
    net = networks.Network((width,), np.random.default_rng(5))
    for _ in range(layers):
        net.dense(width, False)
        net.then("Relu")
    net.dense(4, False)
    net.output()
    return net.model()


def poor(**options: Any) -> DiagnosticError:
    """The refusal of a deep network; its thresholds compound over the layers."""
    with pytest.raises(DiagnosticError) as refusal:
        snnc.convert(deep(16), alpha=1.0, threshold="vmax", steps=64, **options)
    (diagnostic,) = refusal.value.diagnostics
    assert diagnostic.rule.code == "SNN408"
    return refusal.value


def options_of(hint: str) -> dict[str, Any]:
    """The options in the first backquotes of a hint, as arguments of `snnc.convert`."""
    words = hint.split("`")[1].split()
    pairs = zip(words[::2], words[1::2], strict=True)
    texts = {name.removeprefix("--").replace("-", "_"): value for name, value in pairs}
    return {name: float(v) if v.replace(".", "").isdigit() else v for name, v in texts.items()}


def test_a_refusal_names_the_first_weak_layer() -> None:
    text = str(poor())
    assert "the first layer whose rates vanish is layer " in text
    assert " of 16, RMP 'Relu_" in text
    assert "the bar is " in text


@pytest.mark.parametrize(
    ("layers", "given"),
    [
        (6, {"alpha": 1.0}),
        (6, {"alpha": 0.6}),
        (6, {"alpha": 1.0, "v_init": 0.5}),
        (6, {"threshold": "model"}),
        (16, {"threshold": "rate", "alpha": 0.1}),
        (16, {"reset": "hard", "alpha": 0.3}),
        (6, {"leak": 1}),
        (6, {"alpha": 1.0, "alpha_when": "after", "max_steps": 64}),
    ],
    ids=str,
)
def test_following_a_hint_gives_what_it_says(layers: int, given: dict[str, Any]) -> None:
    """Each remedy replaces what was given, and the conversion then prints the same numbers."""
    common: dict[str, Any] = {"steps": 64, "calib_samples": 32, "calib_steps": 64}
    try:
        found = snnc.convert(deep(layers), **common, **given).report.diagnostics.found
        hints = [diagnostic.hint for diagnostic in found if diagnostic.rule.code == "SNN503"]
    except DiagnosticError as error:
        hints = [diagnostic.hint for diagnostic in error.diagnostics]
    (hint,) = hints
    remedies = [part for part in hint.split("; ") if " gave " in part and not part.startswith("`--steps")]
    assert remedies, hint
    for remedy in remedies:
        change = {name: int(v) if name in ("steps", "leak") else v for name, v in options_of(remedy).items()}
        report = verified(snnc.convert(deep(layers), accept_poor=True, **{**common, **given, **change}).report)
        claimed = f"output error {report.error:.3f}"
        if report.agreement is not None:
            claimed = f"agreement {100 * report.agreement:.1f} %, {claimed}"
        assert remedy.endswith(f" gave {claimed}"), (remedy, claimed)


def test_what_is_of_no_help_is_what_was_tried() -> None:
    """No more steps are possible here, so none are claimed to have been tried."""
    with pytest.raises(DiagnosticError) as refusal:
        snnc.convert(deep(16), steps=4, max_steps=4)
    (diagnostic,) = refusal.value.diagnostics
    assert "--steps" not in diagnostic.hint
    assert diagnostic.hint.startswith("of no help: `--v-init 0.5`, `--rate-quantile 1 --v-init 0`")


def test_hard_reset_on_values_is_judged_by_their_error() -> None:
    net = networks.Network((8,), np.random.default_rng(5))
    net.dense(8, False)
    net.then("Relu")
    net.dense(1, False)
    net.output()
    with pytest.raises(DiagnosticError, match="SNN408"):
        snnc.convert(net.model(), reset="hard", alpha=0.01, steps=64)


def test_class_numbers_have_no_error() -> None:
    net = networks.Network((8,), np.random.default_rng(5))
    net.dense(8, False)
    net.then("Relu")
    net.dense(4, False)
    net.then("ArgMax", axis=1, keepdims=0)
    net.output()
    model = net.model()
    del model.graph.output[0].type.tensor_type.shape.dim[1:]
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    report = snnc.convert(model, calib=networks.images_for(model, 200, seed=1), steps=256).report
    found = verified(report)
    assert found.error is None
    assert (found.agreement or 0) >= 0.9
    assert found.judged_by == "classes"


def test_a_poor_conversion_can_be_accepted() -> None:
    report = snnc.convert(deep(16), alpha=1.0, steps=64, accept_poor=True).report
    assert "SNN503" in {found.rule.code for found in report.diagnostics.found}
    weak, carried = verified(report).first_weak_layer, verified(report).carried
    assert weak is not None
    assert weak.why == "vanishes"
    assert carried[weak.layer] == weak.share < 0.5
    neurons = [layer.name for layer in report.layers if layer.kind == "neuron"]
    earlier = neurons[: neurons.index(weak.layer)]
    assert earlier
    for name in earlier:
        assert carried[name] >= 0.5


def test_saturation_is_seen() -> None:
    report = snnc.convert(deep(6), alpha=0.05, steps=64, accept_poor=True).report
    weak = verified(report).first_weak_layer
    assert weak is not None
    assert weak.why == "saturates"
    assert weak.share == verified(report).saturated[weak.layer] > 0.01


def test_carried_shares_are_those_of_a_comparison_with_the_ann() -> None:
    """λ·count/T over the ANN's activation, by `snnc.compare` on the samples that were held back."""
    model = deep(3)
    images = networks.images_for(model, 50, seed=1)
    converted = snnc.convert(model, calib=images, steps=32, accept_poor=True)
    carried = verified(converted.report).carried
    samples = snnc.data.as_dataset(images).images[np.random.default_rng(0).permutation(50)[:10]]
    compared = snnc.compare(converted, model, samples)
    assert set(compared) == set(carried) != set()
    for name, (activation, spikes) in compared.items():
        assert carried[name] == pytest.approx(float(spikes.mean() / activation.mean()), rel=1e-5)


@pytest.mark.parametrize("v_init", [0.0, 0.5, None])
def test_both_initial_potentials_are_measured(v_init: float | None) -> None:
    model = deep(2)
    images = networks.images_for(model, 100, seed=1)
    converted = snnc.convert(model, calib=images, threshold="rate", v_init=v_init, steps=32, accept_poor=True)
    found = verified(converted.report)
    trials, chosen = found.initial_potentials, found.v_init
    assert set(trials) == {"0", "0.5"}
    assert found.curve == trials[f"{chosen:g}"].curve
    assert [np.max(layer.v_init) > 0 for layer in converted.report.layers if layer.kind == "neuron"] == [chosen > 0] * 2
    if v_init is not None:
        assert chosen == v_init
    else:
        zero, half = (
            float(np.mean([row[1] or 0 for row in trials[name].curve if row[0] >= 16])) for name in ("0", "0.5")
        )
        samples = found.samples
        noise = np.sqrt(max(zero * (1 - zero), 1 / samples) / samples)
        assert chosen == (0.5 if half > zero + noise else 0.0)
    for start in (0.0, 0.5):
        alone = snnc.convert(model, calib=images, threshold="rate", v_init=start, steps=32, accept_poor=True)
        assert verified(alone.report).curve == trials[f"{start:g}"].curve


def test_the_choice_is_that_of_the_file() -> None:
    converted = snnc.convert(deep(2), steps=32, accept_poor=True)
    file = snnc.api.open_converted(converted)
    assert file.options.v_init == verified(converted.report).v_init
    assert converted.report.layers[1].v_init == file.layers[1].v_init
