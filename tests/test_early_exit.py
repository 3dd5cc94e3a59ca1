"""Leaving early: what a sample gives is what a run of as many steps gives, and what is said of many margins is true."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import DIGITS, Invoke, refuse
from onnx import helper

import snnc
from snnc import api
from snnc.diagnostics import DiagnosticError
from snnc.measure.drop import Pairs, allowed_error, upper_bound
from snnc.measure.early_exit import CANDIDATES
from snnc.runtime import EarlyExitSession
from snnc.runtime.early_exit import default_interval, lead
from snnc.runtime.session import Result
from snnc.simulate.ann import Ann

OPTIONS: dict[str, dict[str, Any]] = {
    "rmp": {"calib_steps": 24, "steps": 40},
    "rmp, direct and leaky": {"coding": "direct", "calib_steps": 24, "steps": 40, "leak": 6},
    "low-latency": {"method": "low-latency", "steps": 16, "delay": 3},
    "exact": {"method": "exact", "levels": 12},
}
SAMPLES = 30


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    return networks.perceptron([12, 12], outputs=4).model()


@pytest.fixture(scope="module")
def images(network: onnx.ModelProto) -> np.ndarray:
    return networks.images_for(network, SAMPLES, seed=4)


@pytest.fixture(scope="module")
def models(network: onnx.ModelProto) -> dict[str, api.SpikingModel]:
    calib = networks.images_for(network, 60)
    return {name: snnc.convert(network, calib=calib, accept_poor=True, **given) for name, given in OPTIONS.items()}


def middle_margin(model: api.SpikingModel, images: np.ndarray) -> float:
    """Half of the median lead at the end."""
    return float(np.median(lead(model.run(images).logits))) / 2


def leaving(model: api.SpikingModel, images: np.ndarray, margin: float, **options: Any) -> Result:
    session = EarlyExitSession(api.open_converted(model).stream_form().SerializeToString())
    return session.run(images, margin, **options)


def test_leads() -> None:
    scores = np.array([[3, 1, 2.5], [1, 1, 0], [-4, -9, -2], [np.nan, 1, 0], [np.inf, 1, 0]], np.float32)
    assert np.array_equal(lead(scores), [0.5, 0, 2, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(lead(scores.reshape(5, 3, 1, 1)), lead(scores), equal_nan=True)


def test_intervals() -> None:
    assert [default_interval(steps, settles=False) for steps in (1, 16, 17, 32, 256, 4096)] == [1, 1, 2, 2, 16, 64]
    assert default_interval(4096, settles=True) == 4


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("every", [1, 5, None])
def test_samples_give_what_a_run_of_as_many_steps_gives(
    models: dict[str, api.SpikingModel], images: np.ndarray, name: str, every: int | None
) -> None:
    """Each alone, with the random numbers of its place."""
    model = models[name]
    session, margin = model.session(), middle_margin(models[name], images)
    found = model.run(images, exit_margin=margin, exit_every=every)
    taken = found.sample_steps
    assert taken is not None
    assert len(set(taken.tolist())) > 1
    for index in range(SAMPLES):
        alone = session.run(images[index : index + 1], max(1, int(taken[index])), first_sample=index)
        assert np.array_equal(found.logits[index], alone.logits[0])
        assert np.array_equal(found.spike_totals[index], alone.spike_totals[0])
        assert np.array_equal(found.synaptic_operations[index], alone.synaptic_operations[0])


@pytest.mark.parametrize("name", OPTIONS)
def test_samples_leave_when_their_lead_reaches_the_margin(
    models: dict[str, api.SpikingModel], images: np.ndarray, name: str
) -> None:
    """Not before, not later, and never at a step at which there is no output yet."""
    model, every = models[name], 2
    session, margin = model.session(), middle_margin(models[name], images)
    taken = model.run(images, exit_margin=margin, exit_every=every).sample_steps
    delay, end = OPTIONS[name].get("delay", 0), session.options.steps
    wanted = np.zeros(SAMPLES, np.int64)
    for steps in (*range(every, end, every), end):
        if steps <= delay:
            continue
        run = session.run(images, steps)
        settled = np.zeros(SAMPLES, bool) if run.sample_steps is None else run.sample_steps < steps
        here = steps if run.sample_steps is None else np.where(settled, run.sample_steps, steps)
        leaves = (wanted == 0) & ((lead(run.logits) >= margin) | settled | (steps == end))
        wanted = np.where(leaves, here, wanted)
    assert taken is not None
    assert np.array_equal(taken, wanted)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_margin_that_is_never_reached_changes_nothing(
    models: dict[str, api.SpikingModel], images: np.ndarray, name: str
) -> None:
    model = models[name]
    full, found = model.run(images), model.run(images, exit_margin=math.inf)
    assert np.array_equal(found.logits, full.logits)
    assert np.array_equal(found.spike_totals, full.spike_totals)
    assert found.sample_steps is not None
    if full.sample_steps is None:
        assert set(found.sample_steps) == {full.steps_used}
        assert found.spike_rates == pytest.approx(full.spike_rates)
    else:
        assert np.array_equal(found.sample_steps, full.sample_steps)


@pytest.mark.parametrize("name", ["rmp", "exact"])
def test_batches_and_forms_make_no_difference(
    models: dict[str, api.SpikingModel], images: np.ndarray, name: str
) -> None:
    margin = middle_margin(models[name], images)
    wanted = leaving(models[name], images, margin)
    model = api.open_converted(models[name]).stream_form().SerializeToString()
    for found in (
        leaving(models[name], images, margin, batch_size=7),
        EarlyExitSession(model, native=False).run(images, margin),
        EarlyExitSession(model, threads=1).run(images, margin),
    ):
        for field in ("logits", "sample_steps", "spike_totals"):
            assert np.array_equal(getattr(found, field), getattr(wanted, field)), field
    second = leaving(models[name], images[10:], margin, first_sample=10)
    assert np.array_equal(second.logits, wanted.logits[10:])


def test_no_samples(models: dict[str, api.SpikingModel], images: np.ndarray) -> None:
    nothing = models["low-latency"].run(images[:0], exit_margin=1.0)
    assert nothing.logits.shape == (0, 4)
    assert nothing.sample_steps is not None
    assert len(nothing.sample_steps) == 0


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_measured_is_what_running_gives(
    models: dict[str, api.SpikingModel], network: onnx.ModelProto, images: np.ndarray, name: str
) -> None:
    """Many margins from one simulation, each as if samples had left at it."""
    model, middle = models[name], middle_margin(models[name], images)
    labels = np.arange(SAMPLES) % 4
    margins = [0.3 * middle, middle, 4 * middle]
    found = api.evaluate_exits(model, (images, labels), margins, ann=network)
    assert [point.margin for point in found.points] == [None, *margins]
    end = model.run(images).logits.argmax(1)
    expected = next(iter(Ann(network).run(images).values())).argmax(1)
    for point in found.points:
        run = model.run(images, exit_margin=point.margin or math.inf, exit_every=found.every)
        classes, taken = run.logits.argmax(1), run.sample_steps
        assert taken is not None
        assert point.mean_steps == pytest.approx(taken.mean())
        assert point.median_steps == np.median(taken)
        assert point.steps_95 == pytest.approx(np.percentile(taken, 95))
        assert point.accuracy == pytest.approx((classes == labels).mean())
        assert point.agreement == pytest.approx((classes == expected).mean())
        assert point.same == pytest.approx((classes == end).mean())
        assert point.operations == pytest.approx(run.synaptic_operations.sum(1).mean())
    assert (found.points[0].same, found.points[0].decided) == (1.0, 0.0)
    assert found.points[1].decided >= found.points[2].decided > 0
    assert found.lead == pytest.approx(2 * middle)


def test_a_margin_is_chosen_by_what_it_may_cost(models: dict[str, api.SpikingModel], network: onnx.ModelProto) -> None:
    """The smallest whose bound is small enough: the next smaller one has a larger bound."""
    model = models["low-latency"]
    images = networks.images_for(network, 600, seed=9)
    labels = model.run(images).logits.argmax(1)
    labels[::7] = (labels[::7] + 1) % 4
    found = api.evaluate_exits(model, (images, labels.astype(np.int64)), target_drop="4%")
    chosen, error = found.chosen, allowed_error(CANDIDATES)
    assert chosen is not None
    assert chosen.met
    assert [point.margin for point in found.points[1:]] == [
        pytest.approx(share * found.lead) for share in CANDIDATES[: len(found.points) - 1]
    ]
    assert found.points[-1].margin == chosen.margin
    end = model.run(images).logits.argmax(1)
    for point in found.points[1:]:
        early = model.run(images, exit_margin=point.margin, exit_every=found.every).logits.argmax(1)
        pairs = Pairs(
            600, int(((end == labels) & (early != labels)).sum()), int(((end != labels) & (early == labels)).sum())
        )
        assert (upper_bound(pairs, error) <= 0.04) == (point.margin == chosen.margin)
    assert (chosen.lost, chosen.gained, chosen.bound) == (pairs.lost, pairs.gained, upper_bound(pairs, error))
    unlabelled = api.evaluate_exits(model, images, target_drop=0.04).chosen
    assert unlabelled is not None
    assert unlabelled.gained is None
    few = api.evaluate_exits(model, images[:20], target_drop=0.04)
    assert few.chosen is not None
    assert not few.chosen.met


def test_margins_are_given_or_chosen(models: dict[str, api.SpikingModel], images: np.ndarray) -> None:
    for margins, drop in (((), None), ((1.0,), 0.01)):
        with pytest.raises(DiagnosticError, match="not both, and not neither"):
            api.evaluate_exits(models["exact"], images, margins, target_drop=drop)
    with pytest.raises(DiagnosticError, match="target_drop is"):
        api.evaluate_exits(models["exact"], images, target_drop="40%")


def refusal(model: api.SpikingModel, images: np.ndarray, **options: Any) -> str:
    with pytest.raises(DiagnosticError) as error:
        model.run(images, **options)
    (found,) = error.value.diagnostics
    assert found.rule.code == "SNN405"
    return found.message


def test_what_makes_no_sense(models: dict[str, api.SpikingModel], network: onnx.ModelProto, images: np.ndarray) -> None:
    model = models["low-latency"]
    for margin in (0, -1, math.nan):
        assert refusal(model, images, exit_margin=margin).endswith("must be above 0")
    for every in (0, 65):
        assert refusal(model, images, exit_margin=1, exit_every=every).endswith("must be from 1 to 64")
    assert refusal(model, images, exit_every=2) == "exit_every is given, and no exit_margin"
    given: dict[str, Any] = {"calib": networks.images_for(network, 60), "method": "low-latency", "accept_poor": True}
    for name, value in (("schedule", "unrolled"), ("controls", "fixed")):
        fixed = snnc.convert(network, **{**given, name: value})
        assert "its steps are fixed" in refusal(fixed, images, exit_margin=1)
    with pytest.raises(ValueError, match="must be from 1 to"):
        model.run(images, 10**6, exit_margin=1)
    with pytest.raises(ValueError, match="--schedule stream"):
        EarlyExitSession(model.model.SerializeToString())


@pytest.mark.parametrize("outputs", ["one", "class numbers"])
def test_outputs_without_a_lead(outputs: str) -> None:
    model = networks.perceptron([8], outputs=1 if outputs == "one" else 3).model()
    if outputs == "class numbers":
        (y,) = model.graph.output
        model.graph.node.append(helper.make_node("ArgMax", [y.name], ["class"], axis=1))
        y.CopyFrom(helper.make_tensor_value_info("class", onnx.TensorProto.INT64, ["batch", 1]))
    found = snnc.convert(model, method="low-latency", accept_poor=True)
    images = networks.images_for(model, 3)
    assert "no scores of classes" in refusal(found, images, exit_margin=1)
    with pytest.raises(ValueError, match="one of scores of classes"):
        leaving(found, images, 1.0)


def test_files_that_are_streams_already(network: onnx.ModelProto, images: np.ndarray, tmp_path: Path) -> None:
    given: dict[str, Any] = {"method": "low-latency", "accept_poor": True, "calib": networks.images_for(network, 60)}
    model = snnc.convert(network, schedule="stream", **given)
    model.save(tmp_path / "net.snn.onnx")
    found = EarlyExitSession(tmp_path / "net.snn.onnx").run(images, 0.5, every=3)
    wanted = snnc.convert(network, **given).run(images, exit_margin=0.5, exit_every=3)
    for field in dataclasses.fields(Result):
        if field.name not in ("outputs", "spike_rates"):
            assert np.array_equal(getattr(found, field.name), getattr(wanted, field.name)), field.name


def test_the_command_line(invoke: Invoke, tmp_path: Path) -> None:
    invoke(
        "convert", DIGITS, "-o", "net.snn.onnx", "--method", "low-latency", "--steps", "16", "--calib", "digits:train"
    )
    measure = ("eval", "net.snn.onnx", "--data", "digits:test", "--samples", "60")
    shown = invoke(*measure, "--exit-margin", "1,4", "--json", "e.json").stdout
    assert all(len(line) <= 80 for line in shown.splitlines())
    exits = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["early_exit"]
    assert [point["margin"] for point in exits["points"]] == [None, 1, 4]
    assert (exits["steps"], exits["every"], exits["samples"]) == (16, 1, 60)
    assert exits["points"][1]["mean_steps"] < exits["points"][2]["mean_steps"] < 16
    run = ("run", "net.snn.onnx", "--input", "digits:test", "--exit-margin", "4")
    assert "steps used: " in invoke(*run, "-o", "y.npz").stderr
    with np.load(tmp_path / "y.npz") as found:
        assert 1 <= found["steps_used"].min() < found["steps_used"].max() <= 16
    refuse(invoke, "SNN405", *measure, "--exit-margin", "-1", exit_code=2)
    for wrong in (
        (*measure, "--exit-every", "2"),
        ("run", "net.snn.onnx", "--input", "digits:test", "--exit-every", "2"),
    ):
        assert "which is not given" in invoke(*wrong, exit_code=2).stderr
    shown = invoke(*measure, "--exit-margin", "auto", "--target-drop", "20%").stdout
    assert "target drop  20 %: the smallest margin " in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    for alone in (("--exit-margin", "auto"), ("--exit-margin", "1", "--target-drop", "1%"), ("--target-drop", "1%")):
        assert "belong together" in invoke(*measure, *alone, exit_code=2).stderr
    assert "give one seed" in invoke(*measure, "--exit-margin", "1", "--seeds", "1,2", exit_code=2).stderr
