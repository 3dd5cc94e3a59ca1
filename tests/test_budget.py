"""What a layer loses is split into parts that add up to its error, as independent arithmetic has them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import exact_networks
import golden
import networks
import numpy as np
import pytest
from commands import Invoke

import snnc
from snnc.measure import budget_signals
from snnc.measure.budget import PARTS, Budget, LayerBudget, Part
from snnc.measure.budget_report import budget_notes, budget_table, draw_budget
from snnc.simulate.ann import Ann, cut_ann, layer_probe

NET = networks.perceptron([6, 5])
MODEL = NET.model()
IMAGES = networks.images_for(MODEL, 30, seed=5)
WEIGHTS = [np.frombuffer(weight.raw_data, np.float32).reshape(tuple(weight.dims)) for weight in NET.weights]


def converted(model: Any = MODEL, **options: Any) -> snnc.SpikingModel:
    calib = networks.images_for(model, 40, seed=1)
    return snnc.convert(model, calib=calib, **{"relaxed": True, "accept_poor": True, **options})


def size(values: np.ndarray, norm: np.ndarray) -> float:
    return float(np.linalg.norm(values) / np.linalg.norm(norm))


def adds_up(budget: Budget) -> None:
    for layer in budget.layers:
        assert layer.error is not None
        assert tuple(layer.parts) == PARTS
        assert math.isclose(sum(part.share for part in layer.parts.values()), layer.error, abs_tol=1e-12)
        assert layer.error <= sum(part.size for part in layer.parts.values()) + 1e-12


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 40},
        {"steps": 40, "alpha": 0.3, "per_channel": True},
        {"steps": 40, "reset": "hard", "v_init": 0.5},
        {"method": "low-latency", "steps": 6},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_every_part_is_what_numpy_says(options: dict[str, Any]) -> None:
    """Of the second layer, whose inputs are spikes."""
    model = converted(**options)
    found = {layer.name: layer for layer in snnc.error_budget(model, MODEL, IMAGES).layers}
    adds_up(snnc.error_budget(model, MODEL, IMAGES))
    first, second = (layer for layer in model.report.layers if layer.kind == "neuron")
    steps = options["steps"]
    counts = {name: spikes.sum(0) for name, spikes in snnc.record(model, IMAGES, steps=steps).items()}
    ann = np.maximum(np.maximum(IMAGES @ WEIGHTS[0], 0) @ WEIGHTS[1], 0)
    given = counts[first.name] * first.scales() / steps
    of_inputs = np.maximum(given @ WEIGHTS[1].astype(np.float64), 0)
    clipped = np.minimum(of_inputs, second.scales())
    rate = counts[second.name] * second.scales() / steps
    layer = found[second.name]
    assert layer.error == pytest.approx(size(rate - ann, ann), rel=1e-5)
    assert layer.parts["inherited"].size == pytest.approx(size(of_inputs - ann, ann), rel=1e-4)
    assert layer.parts["clipping"].size == pytest.approx(size(clipped - of_inputs, ann), rel=1e-4, abs=1e-6)
    if options.get("reset") == "hard":
        worth = second.scales() / steps
        quantised = worth * np.clip(np.floor(clipped / worth + 0.5 + 1e-4), 0, steps)
        assert layer.parts["quantisation"].size == pytest.approx(size(quantised - clipped, ann), rel=1e-3)
        assert layer.parts["timing"].size == pytest.approx(size(rate - quantised, ann), rel=1e-3)
    else:
        assert layer.parts["quantisation"].size <= 1.01 * float(np.max(second.scales())) / steps * np.sqrt(
            rate.size
        ) / np.linalg.norm(ann)
    logits = found["y"] if "y" in found else list(found.values())[-1]
    expected = np.maximum(np.maximum(IMAGES @ WEIGHTS[0], 0) @ WEIGHTS[1], 0) @ WEIGHTS[2]
    assert logits.parts["inherited"].size == pytest.approx(size(rate @ WEIGHTS[2] - expected, expected), rel=1e-4)


def test_constant_inputs_lose_nothing_to_timing() -> None:
    """The first layer of direct coding: with soft reset its spikes are those that its charge stands for."""
    for options in ({"coding": "direct", "steps": 23}, {"method": "low-latency", "steps": 5}):
        image, first, second, *_ = snnc.error_budget(converted(**options), MODEL, IMAGES).layers
        assert image.parts["timing"] == Part(0.0, 0.0)
        assert first.parts["timing"] == Part(0.0, 0.0)
        assert first.parts["quantisation"].size > 0
        assert second.error is not None
        assert second.error > 0


def test_what_comes_too_late_is_timing() -> None:
    """Spikes of the first step cannot reach a quiet layer whose threshold takes several of them: after one step nothing
    but timing and quantisation is lost, and what more steps bring was timing."""
    model = converted(steps=64)
    few, many = (snnc.error_budget(model, MODEL, IMAGES, steps=steps).layers[-1].error for steps in (2, 64))
    assert few is not None
    assert many is not None
    assert many < few


@pytest.mark.parametrize("name", ["max-pool and biases", "sigmoid in front of an average", "leaky residual"])
def test_exact_networks_lose_nothing_to_timing(name: str) -> None:
    ann = exact_networks.body(name)
    model = exact_networks.converted(ann, relaxed=True)
    images = networks.images_for(ann, 12, seed=3)
    found = snnc.error_budget(model, ann, images)
    assert found.steps is None
    adds_up(found)
    for layer in found.layers:
        assert layer.parts["timing"] == Part(0.0, 0.0)
    assert any(layer.parts["quantisation"].size > 0 for layer in found.layers if layer.kind == "neuron")
    early = snnc.error_budget(model, ann, images, steps=2)
    adds_up(early)
    assert any(layer.parts["timing"].size > 0 for layer in early.layers)


def test_clipping_of_an_exact_network_is_that_of_its_counts() -> None:
    ann = exact_networks.body("leaky residual")
    model = exact_networks.converted(ann, relaxed=True)
    images = 20 * networks.images_for(ann, 12, seed=3)
    layers = snnc.error_budget(model, ann, images).layers
    assert layers[0].parts["clipping"].size > 0.5  # beyond the input scale


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = converted(steps=20)
    whole = snnc.error_budget(model, MODEL, IMAGES)
    monkeypatch.setattr(budget_signals, "largest_batch", lambda layers: 7)
    pieces = snnc.error_budget(model, MODEL, IMAGES)
    for one, other in zip(whole.layers, pieces.layers, strict=True):
        assert one.error == pytest.approx(other.error, rel=1e-6)
        for name in PARTS:
            assert one.parts[name].share == pytest.approx(other.parts[name].share, abs=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"leak": 4}, {"method": "low-latency", "delay": 3}], ids=lambda options: " ".join(options) or "rmp"
)
def test_outputs_at_a_relu_and_behind_junctions(options: dict[str, Any]) -> None:
    ann = networks.small().model()
    found = snnc.error_budget(converted(ann, steps=16, **options), ann, networks.images_for(ann, 10, seed=2))
    adds_up(found)
    assert [layer.kind for layer in found.layers] == ["input", "neuron", "neuron", "output", "output"]
    assert not found.skipped


def test_a_layer_that_the_ann_has_in_another_form_is_named() -> None:
    """A pool between a convolution and its ReLU moves behind the ReLU: there the ANN has no such values."""
    ann = golden.model("""# random: w [4, 2, 3, 3] seed 1
# random: v [16, 3] seed 3
network (float[N, 2, 6, 6] x) => (float[N, 3] y) {
    sums = Conv <pads = [0, 0, 0, 0]> (x, w)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (sums)
    rectified = Relu (pooled)
    flat = Flatten (rectified)
    y = Gemm (flat, v)
}""")
    found = snnc.error_budget(converted(ann, steps=16), ann, networks.images_for(ann, 10, seed=2))
    adds_up(found)
    assert found.skipped == ["snnc/Relu_2/in_front_of_the_pool"]
    assert [layer.name for layer in found.layers] == ["x", "y"]
    assert "Not compared" in budget_notes(found)


@pytest.mark.parametrize("batch", ["N", 4])
def test_a_network_that_is_cut_gives_what_it_gave(batch: str | int) -> None:
    ann = networks.small().model()
    ann.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    if isinstance(batch, int):
        ann.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    else:
        ann.graph.input[0].type.tensor_type.shape.dim[0].dim_param = batch
    images = networks.images_for(ann, 6, seed=2)
    names = [layer.name for layer in converted(networks.small().model()).report.layers if layer.kind == "neuron"]
    probe, tensors = layer_probe(ann, names)
    values = probe.run(images)
    cut, inputs, outputs = cut_ann(ann, names)
    feeds = {inputs[name]: values[tensors[name]] for name in names}
    found = cut.run(images, feeds)
    for name in names:
        assert np.allclose(found[outputs[name]], values[tensors[name]], rtol=1e-5, atol=1e-6)
    last = ann.graph.output[-1].name
    assert np.allclose(found[last], Ann(ann).run(images)[last], rtol=1e-5, atol=1e-6)
    doubled = cut.run(images, {name: 2 * value for name, value in feeds.items()})
    assert np.array_equal(doubled[outputs[names[0]]], found[outputs[names[0]]])
    assert not np.allclose(doubled[last], found[last])


def test_the_command_shows_what_it_writes(invoke: Invoke, converted: Path) -> None:
    arguments = ["--ann", "net.onnx", "--data", "digits:test", "--samples", "20", "--steps", "32"]
    found = invoke("compare", converted, *arguments, "--json", "budget.json", "--plot", "budget.png")
    assert all(len(line) <= 80 for line in found.stdout.splitlines() if not line.startswith("wrote"))
    assert "Most is lost by" in found.stdout
    document = json.loads(Path("budget.json").read_text())
    assert (document["samples"], document["steps"], document["skipped"]) == (20, 32, [])
    for layer in document["layers"]:
        assert f"{100 * layer['error']:.2f}" in found.stdout
        assert sum(part["share"] for part in layer["parts"].values()) == pytest.approx(layer["error"])
    assert Path("budget.png").read_bytes().startswith(b"\x89PNG")
    refused = invoke("compare", converted, *arguments[:-1], "99999", exit_code=1)
    assert "SNN404" in refused.stderr


def test_layers_that_give_nothing_and_parts_that_cancel(tmp_path: Path) -> None:
    parts = dict(zip(PARTS, (Part(0.3, 0.3), Part(-0.1, 0.2), Part(-1e-9, 1e-9), Part(0.0, 0.0)), strict=True))
    layers = [LayerBudget("silent", "RMP", "neuron", None, {}), LayerBudget("n" * 90, "RMP", "neuron", 0.2, parts)]
    budget = Budget(layers, [], 1, 8)
    text = budget_table(budget)
    assert "-10.00" in text
    assert "-0.00" not in text
    assert max(map(len, text.splitlines())) == 80
    assert "1 sample," in budget_notes(budget)
    (tmp_path / "some.png").write_bytes(draw_budget(budget, title="cancelled"))
    (tmp_path / "none.png").write_bytes(draw_budget(Budget(layers[:1], [], 1, None)))
    assert (tmp_path / "some.png").stat().st_size > 5000


def test_what_prepares_the_input_is_no_error() -> None:
    """Numbers of an encoder that subtracts and divides are held against the input in the units of the input."""
    model = golden.model("""# random: V [4,5] seed 1
# random: W [5,3] seed 2
        net (float[N,4] x) => (float[N,3] y) <float m = {100.0}, float d = {50.0}> {
            c = Sub (x, m) p = Div (c, d) a = MatMul (p, V) r = Relu (a) y = MatMul (r, W)
        }
    """)
    images = np.random.default_rng(0).uniform(0, 255, (60, 4)).astype(np.float32)
    found = snnc.convert(model, method="exact", levels=64, calib=images, accept_poor=True)
    budget = snnc.error_budget(found, model, images)
    adds_up(budget)
    assert max(layer.error or 0.0 for layer in budget.layers) < 0.1
