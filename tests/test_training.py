"""Quantisers in training, the noise that stands for what the SNN leaves, and the SNN that it is measured with."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import math
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden
import numpy as np
import onnx
import pytest

import snnc
from snnc.data import DataSet
from snnc.ir.conversion import Conversion, Level
from snnc.measure.trials import start_from
from snnc.operators.layer import scale_of
from snnc.reading import torch_export
from snnc.simulate.ann import Ann
from snnc.simulate.reference import simulate

torch = pytest.importorskip("torch")

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    nn = torch.nn

EXAMPLES = Path(__file__).parent.parent / "examples"
CHAIN = ["Div", "Clip", "Mul", "Add", "Floor", "Div", "Mul"]


@pytest.fixture
def training() -> Any:
    return importlib.import_module("snnc.training")


def dyadic_network() -> nn.Sequential:
    """Two hidden layers and a residual sum; weights are multiples of 1/8, so that all sums are exact in float32 too."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.relu(self.inner(x) + x)
            return result

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), Residual(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 2 * 2, 4)
    )
    for parameter in network.parameters():
        parameter.data = (8 * 2 * parameter.data).round().clamp(-8, 8) / 8
    return network


def dyadic_images(samples: int, seed: int = 0) -> np.ndarray:
    """Multiples of 1/64 in [-2, 2]."""
    return (np.random.default_rng(seed).integers(-128, 129, (samples, 2, 6, 6)) / 64).astype(np.float32)


def set_thresholds(network: nn.Module, training: Any, *thresholds: float) -> None:
    for quantiser, threshold in zip(training.quantisers(network).values(), thresholds, strict=True):
        quantiser.threshold.data.fill_(threshold)


def fused(model: onnx.ModelProto, steps: int) -> Conversion:
    """`--method low-latency`, for an input in units of 1/64."""
    options: dict[str, Any] = {"method": "low-latency", "input_scale": 255 / 64, "steps": steps, "weight_bits": 16}
    conversion = golden.run_to(model, Level.FUSED, data=DataSet(dyadic_images(20, 1), None, "dyadic"), **options)
    start_from(conversion, 0.5)
    return conversion


def test_values_of_a_quantiser(training: Any) -> None:
    """λ = 2, L = 4: multiples of 1/2, halves up, from 0 to 2."""
    quantiser = training.Quantiser(levels=4, threshold=2.0)
    x = torch.tensor([-3.0, -0.1, 0.0, 0.24, 0.25, 0.6, 0.75, 1.9, 2.0, 7.0])
    y = [0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert quantiser(x).tolist() == y
    assert quantiser.eval()(x).tolist() == y


def test_gradients_go_straight_through_the_floor(training: Any) -> None:
    """With r = x/λ and q = y/λ: dy/dx = [0 <= r <= 1], dy/dλ = q - r·[0 <= r <= 1]."""
    quantiser = training.Quantiser(levels=4, threshold=2.0)
    x = torch.tensor([-1.0, 0.0, 0.6, 1.3, 2.0, 5.0], requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (quantiser(x) * weights).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 0.0]
    # y = 0, 0, 0.5, 1.5, 2, 2
    of_threshold = 3 * (0.25 - 0.3) + 4 * (0.75 - 0.65) + 5 * (1 - 1) + 6 * 1
    assert quantiser.threshold.grad.item() == pytest.approx(of_threshold, rel=1e-6)


def test_gradients_are_those_of_the_chain_without_its_floor(training: Any) -> None:
    """By automatic differentiation, the rounding error counted as a constant."""
    torch.manual_seed(0)
    values, upstream = 3 * torch.randn(100), torch.randn(100)
    quantiser = training.Quantiser(levels=4, threshold=1.7)
    x = values.clone().requires_grad_()
    (quantiser(x) * upstream).sum().backward()

    smooth, threshold = values.clone().requires_grad_(), torch.tensor(1.7, requires_grad=True)
    scaled = torch.clamp(smooth / threshold, 0, 1) * 4 + 0.5
    y = threshold * (scaled + (torch.floor(scaled) - scaled).detach()) / 4
    (y * upstream).sum().backward()
    assert x.grad is not None
    assert smooth.grad is not None
    assert threshold.grad is not None
    torch.testing.assert_close(x.grad, smooth.grad)
    torch.testing.assert_close(quantiser.threshold.grad, threshold.grad)


def test_noise_is_there_while_training_alone(training: Any) -> None:
    torch.manual_seed(0)
    quantiser = training.Quantiser(levels=4, threshold=2.0, noisy=True)
    x = torch.full((10_000,), 0.6)
    assert torch.equal(quantiser(x), torch.full_like(x, 0.5))  # nothing was measured yet
    quantiser.deviation.fill_(0.25)
    noise = quantiser(x) - 0.5
    assert noise.std().item() == pytest.approx(0.25, rel=0.03)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.01)
    assert torch.equal(quantiser.eval()(x), torch.full_like(x, 0.5))


def test_without_noise_a_deviation_changes_nothing(training: Any) -> None:
    quantiser = training.Quantiser(levels=4, threshold=2.0)
    quantiser.deviation.fill_(0.25)
    assert quantiser(torch.tensor([0.6])).item() == 0.5


@pytest.mark.parametrize(("levels", "threshold"), [(0, 1.0), (4, 0.0), (4, -1.0), (4, math.nan)])
def test_a_quantiser_that_cannot_be(training: Any, levels: int, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"at least one level|must be positive"):
        training.Quantiser(levels, threshold)


def test_relus_are_replaced_wherever_they_stand(training: Any) -> None:
    network = dyadic_network()
    assert training.replace_relus(network, levels=2, threshold=3.0, noisy=True) == ["1", "2.relu"]
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())
    found = training.quantisers(network)
    assert list(found) == ["1", "2.relu"]
    assert all((q.levels, q.threshold.item(), q.noisy) == (2, 3.0, True) for q in found.values())


def test_one_relu_at_two_places_becomes_two_quantisers(training: Any) -> None:
    relu = nn.ReLU()
    network = nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu)
    assert training.replace_relus(network) == ["1", "3"]
    assert network[1] is not network[3]


def test_a_network_without_relus_is_refused(training: Any) -> None:
    with pytest.raises(ValueError, match=r"no nn\.ReLU"):
        training.replace_relus(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="call replace_relus first"):
        training.SpikingNetwork(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


def test_spikes_by_hand(training: Any) -> None:
    """λ = 1, V from 1/2: currents of 0.3, 0.9, -0.5 and 2 in every step."""
    network = nn.Sequential(training.Quantiser(levels=4, threshold=1.0), nn.Identity())
    run = training.SpikingNetwork(network).run(torch.tensor([[0.3, 0.9, -0.5, 2.0]]), 4)
    # 0.8; 1.1 → 0.1; 0.4; 0.7    1.4 → 0.4; 1.3 → 0.3; 1.2 → 0.2; 1.1    -; -; -; -    one spike in each step
    assert run.counts["0"].tolist() == [[1.0, 4.0, 0.0, 4.0]]
    means = [[0, 1, 0, 1], [0.5, 1, 0, 1], [1 / 3, 1, 0, 1], [0.25, 1, 0, 1]]
    torch.testing.assert_close(run.outputs[:, 0], torch.tensor(means, dtype=torch.float32))


def test_the_residual_error_by_hand(training: Any) -> None:
    """Two neurons in a row, T = 2, λ = 1 and 2, L = 2; the second one gets spikes of 1, or 0, where the ANN has 0.5."""
    first, second, last = (nn.Linear(1, 1, bias=False) for _ in range(3))
    for layer, weight in ((first, 1.0), (second, 3.0), (last, 1.0)):
        nn.init.constant_(layer.weight, weight)
    network = nn.Sequential(first, training.Quantiser(2, 1.0), second, training.Quantiser(2, 2.0), last)
    # x = 0.5: V₁ = 1 → spike, then 0.5: none. ANN 0.5, SNN 1/2: no gap.
    #          V₂ = 1 + 3 = 4 → spike, 2; then 2 → spike. ANN: 1.5 → floor(2·0.75 + 0.5) / 2 · 2 = 2, SNN 2: no gap.
    # x = 0.25: ANN floor(0.5 + 0.5) / 2 = 0.5. V₁ = 0.75, none; then 1: a spike. SNN 1/2: no gap.
    #          V₂ = 1, none; then 1 + 3 = 4: a spike. ANN 2, SNN 2 · 1/2 = 1: the gap is 1.
    deviations = training.residual_deviations(network, [torch.tensor([[0.5], [0.25]])], steps=2)
    assert deviations["1"].item() == 0.0
    assert deviations["3"].item() == 0.5  # of gaps 0 and 1
    # With a second batch of equal gaps: the mean of the variances 0.25 and 0.
    batches = [torch.tensor([[0.5], [0.25]]), torch.tensor([[0.25], [0.25]])]
    deviations = training.residual_deviations(network, batches, steps=2)
    assert deviations["3"].item() == pytest.approx(math.sqrt(0.125))

    noise = training.ResidualNoise(network, batches, steps=2)
    noise.update()
    assert training.quantisers(network)["3"].deviation.item() == pytest.approx(math.sqrt(0.125))


def test_nothing_to_measure_on(training: Any) -> None:
    network = dyadic_network()
    training.replace_relus(network)
    with pytest.raises(ValueError, match="no batches"):
        training.residual_deviations(network, [], steps=4)


def test_measuring_and_exporting_leave_the_modes(training: Any, tmp_path: Path) -> None:
    """Also where a part of the network was frozen."""
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    training.replace_relus(network)
    network.train()
    network[1].eval()
    modes = [module.training for module in network.modules()]
    state = copy.deepcopy(network.state_dict())
    images = torch.from_numpy(dyadic_images(4))
    training.residual_deviations(network, [images], steps=4)
    training.export(network, images, tmp_path / "net.onnx")
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_quantiser_called_twice_in_a_pass_is_refused(training: Any) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.relu = nn.Linear(2, 2), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.relu(self.layer(self.relu(self.layer(x))))
            return result

    network = Twice()
    training.replace_relus(network)
    with pytest.raises(ValueError, match="called twice"):
        training.SpikingNetwork(network).run(torch.rand(1, 2), 2)


def test_max_pooling_is_refused(training: Any) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2))
    training.replace_relus(network)
    with pytest.raises(ValueError, match="2 is a MaxPool2d"):
        training.SpikingNetwork(network)


@pytest.mark.parametrize("exporter", ["dynamo", "older", "dynamo in another form"])
def test_the_file_has_the_chain_that_the_compiler_reads(
    training: Any, tmp_path: Path, exporter: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By either of torch's exporters, and by the older one where the other writes quantisers in another way."""
    asked = []
    by_dynamo: Any = torch_export._by_dynamo
    by_tracing = torch_export._by_tracing

    def other_form(*given: Any) -> onnx.ModelProto:
        model = by_tracing(*given)
        next(node for node in model.graph.node if node.op_type == "Floor").op_type = "Ceil"
        return model

    def asking(name: str, export: Any) -> Any:
        def ask(*given: Any) -> Any:
            asked.append(name)
            return export(*given)

        return ask

    if exporter == "older":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    elif exporter == "dynamo":
        pytest.importorskip("onnxscript")
    else:
        by_dynamo = other_form
    monkeypatch.setattr(torch_export, "_by_dynamo", asking("dynamo", by_dynamo))
    monkeypatch.setattr(torch_export, "_by_tracing", asking("older", by_tracing))
    network = dyadic_network()
    training.replace_relus(network, levels=4)
    set_thresholds(network, training, 1.2345678, 2.3456789)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training.export(network, torch.from_numpy(dyadic_images(1)), tmp_path / "net.onnx")
    assert capfd.readouterr() == ("", "")
    assert asked == (["dynamo"] if exporter == "dynamo" else ["dynamo", "older"])
    monkeypatch.undo()
    reshaped = "Reshape" if exporter == "dynamo" else "Flatten"
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node if node.op_type != "Constant"]
    assert operators == ["Conv", *CHAIN, "Conv", "Add", *CHAIN, "AveragePool", reshaped, "Gemm"]
    converted = snnc.convert(tmp_path / "net.onnx", method="low-latency", steps=4, accept_poor=True)
    assert converted.report.calibration is not None
    assert (converted.report.calibration.given, converted.report.calibration.samples) == (2, 0)
    scales = [layer.scale for layer in converted.report.layers if layer.kind == "neuron"]
    assert scales == [float(np.float32(1.2345678)), float(np.float32(2.3456789))]


def test_a_threshold_that_is_not_positive_is_not_exported(training: Any, tmp_path: Path) -> None:
    network = dyadic_network()
    training.replace_relus(network)
    set_thresholds(network, training, 1.0, -0.5)
    with pytest.raises(ValueError, match=r"2\.relu is -0\.5"):
        training.export(network, torch.from_numpy(dyadic_images(1)), tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_the_same_spikes_as_those_of_the_compiler(training: Any, tmp_path: Path, steps: int) -> None:
    """Neuron for neuron; the logits to within the precision of float32."""
    network = dyadic_network()
    training.replace_relus(network, levels=4)
    set_thresholds(network, training, 2.0, 4.0)
    training.export(network, torch.from_numpy(dyadic_images(1)), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    x = dyadic_images(16)
    np.testing.assert_allclose(
        next(iter(Ann(model).run(x).values())), network.eval()(torch.from_numpy(x)).detach(), atol=1e-6
    )

    conversion = fused(model, steps)
    neurons = [node for node in conversion.graph.nodes if node.op == "RMP"]
    assert [scale_of(neuron).item() for neuron in neurons] == [2.0, 4.0]
    theirs = simulate(conversion.graph, x, steps, record=True)
    ours = training.SpikingNetwork(network).run(torch.from_numpy(x), steps)
    for neuron, counts in zip(neurons, ours.counts.values(), strict=True):
        expected = theirs.spikes[neuron.name].astype(np.int64).sum(0)
        assert np.array_equal(counts.numpy().astype(np.int64), expected)
        assert expected.any()
    np.testing.assert_allclose(ours.outputs[-1].numpy(), theirs.outputs["logits"], atol=1e-6)


def test_the_example_trains_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "residual_error"))
    for name in ("train", "networks", "images", "steps"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    example = importlib.import_module("train")
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8), np.arange(40) % 10
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    settings = example.Settings("small-vgg", True, 2, 12, 0.05, 5e-4, 0, "float32")
    found = example.train(settings, tmp_path / "data.npz", tmp_path / "net.onnx")
    assert list(found["snn"]) == [1, 2, 4, 8, 16]
    first, *others = found["deviations"].values()
    assert first == pytest.approx(0.0, abs=1e-6)  # its input is the same in all steps
    assert max(others) > 0
    converted = snnc.convert(tmp_path / "net.onnx", method="low-latency", steps=4, accept_poor=True)
    assert converted.report.calibration is not None
    assert converted.report.calibration.samples == 0
