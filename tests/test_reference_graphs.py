"""The reference simulator on whole graphs: against its parts, and whatever the order of nodes and samples."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from snnc.simulate import reference, reference_coding, reference_operators

# Calibrated graphs by hand


class Builder:
    """Builds a calibrated graph node by node; a node goes by the name of its output."""

    def __init__(self, *shape: int, scale: float = 1.0) -> None:
        self.x = gs.Variable("x", np.float32, ("N", *shape))
        self.graph = gs.Graph(inputs=[self.x], opset=18)
        self.encoded = self.node("PoissonEncode", "encoded", self.x, domain="ai.snnc", scale=scale)

    def node(self, op: str, name: str, *inputs: Any, domain: str | None = None, **attrs: Any) -> gs.Variable:
        """Append a node; inputs that are not tensors become float32 constants."""
        tensors = [
            value if isinstance(value, gs.Tensor) else gs.Constant(f"{name}.{i}", np.asarray(value, np.float32))
            for i, value in enumerate(inputs)
        ]
        output = gs.Variable(name)
        self.graph.nodes.append(gs.Node(op, name=name, attrs=attrs, inputs=tensors, outputs=[output], domain=domain))
        return output

    def neuron(
        self,
        name: str,
        current: gs.Variable,
        threshold: Any,
        op: str = "RMP",
        v_init: float = 0.0,
        scale: float = 1.0,
    ) -> gs.Variable:
        theta = gs.Constant(f"{name}.threshold", np.asarray(threshold, np.int32))
        return self.node(op, name, current, theta, domain="ai.snnc", v_init=v_init, scale=scale)

    def readout(self, name: str, current: gs.Variable, *bias: Any, scale: float = 1.0) -> gs.Variable:
        output = self.node("SpikeReadout", name, current, *bias, domain="ai.snnc", scale=scale)
        self.graph.outputs.append(output)
        return output


def small_network(op: str = "RMP", v_init: float = 0.0) -> gs.Graph:
    """Convolution, neuron, pooling, fully connected readout with bias, softmax, on inputs [N, 2, 6, 6]."""
    rng = np.random.default_rng(7)
    net = Builder(2, 6, 6, scale=2.0)
    weight = rng.integers(-40, 60, (4, 2, 3, 3))
    current = net.node("Conv", "conv", net.encoded, weight, rng.integers(-9, 9, 4), pads=[1, 1, 1, 1])
    thresholds = np.array([90, 120, 150, 180]).reshape(4, 1, 1)
    spikes = net.neuron("hidden", current, thresholds, op, v_init, scale=0.5)
    pooled = net.node("SumPool", "pool", spikes, domain="ai.snnc", kernel_shape=[2, 2], strides=[2, 2], divisor=4)
    flat = net.node("Reshape", "flat", pooled, gs.Constant("shape", np.array([-1, 36])))
    logits = net.readout("logits", net.node("Gemm", "fc", flat, rng.integers(-50, 50, (36, 3))), [0.5, 0.0, -1.0])
    net.node("Softmax", "probabilities", logits, axis=-1)
    return net.graph


def images(samples: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(samples, 2, 6, 6)).astype(np.float32)


def test_every_linear_operator() -> None:
    """A readout after one step is the current itself: each operator against plain numpy."""
    net = Builder(2, 4, 4)
    times = np.arange(1, 5).reshape(1, 1, 2, 2)
    pooled = net.node("SumPool", "pool", net.encoded, times, domain="ai.snnc", kernel_shape=[2, 2], strides=[2, 2])
    net.readout("pooled", net.node("Scale", "scaled", pooled, 3, domain="ai.snnc"))
    turned = net.node("Transpose", "turned", pooled, perm=[0, 2, 3, 1])
    flat = net.node("Reshape", "flat", turned, gs.Constant("shape", np.array([-1, 8])))
    weight = np.arange(-12, 12).reshape(8, 3)
    product, gemm = net.node("MatMul", "mm", flat, weight), net.node("Gemm", "gemm", flat, weight, [1, 2, 3])
    net.readout("sum", net.node("Add", "add", product, gemm))

    x = np.sign(np.random.default_rng(5).normal(size=(3, 2, 4, 4))).astype(np.float32)
    outputs = reference.simulate(net.graph, x, 1).outputs
    sums = x.reshape(3, 2, 2, 2, 2, 2).sum(axis=(3, 5)) * times
    assert np.array_equal(outputs["pooled"], 3 * sums)
    rows = sums.transpose(0, 2, 3, 1).reshape(3, 8)
    assert np.array_equal(outputs["sum"], 2 * rows @ weight + [1, 2, 3])


# Whole graphs


@pytest.mark.parametrize(("op", "reset"), [("RMP", "soft"), ("IF", "hard")])
@pytest.mark.parametrize("v_init", [0.0, 0.5])
def test_simulation_equals_its_parts(op: str, reset: reference.Reset, v_init: float) -> None:
    """The network written out over whole spike trains: encoder, convolution, neuron, pooling, readout."""
    graph, x, steps = small_network(op, v_init), images(3), 40
    result = reference.simulate(graph, x, steps, seed=4, first_sample=10, at=[1, 17], record=True)
    constants = {
        name: tensor.values.astype(np.int64)
        for name, tensor in graph.tensors().items()
        if isinstance(tensor, gs.Constant) and not name.startswith("logits")
    }

    encoded = reference_coding.poisson_spikes(x, 2.0, 4, 10, 0, steps)
    drive = [
        reference_operators.convolve(s.astype(np.int64), constants["conv.1"], constants["conv.2"], pads=[1] * 4)
        for s in encoded
    ]
    spikes, v = reference.neuron(np.stack(drive), constants["hidden.threshold"], reset, v_init)
    pooled = spikes.astype(np.int64).reshape(steps, 3, 4, 3, 2, 3, 2).sum(axis=(4, 6)).reshape(steps, 3, 36)
    integrated = np.cumsum(pooled @ constants["fc.1"], axis=0)

    assert np.array_equal(result.spikes["encoded"], encoded)
    assert np.array_equal(result.spikes["hidden"], spikes)
    assert np.array_equal(result.membranes["hidden"], v)
    assert np.array_equal(result.membranes["logits"], integrated[-1])
    assert result.totals["encoded"].tolist() == np.abs(encoded.astype(int)).sum(axis=(0, 2, 3, 4)).tolist()
    assert result.totals["hidden"].tolist() == spikes.sum(axis=(0, 2, 3, 4)).tolist()
    for t, outputs in {**result.outputs_at, steps: result.outputs}.items():
        assert np.array_equal(outputs["logits"], integrated[t - 1] / t + [0.5, 0.0, -1.0])
    assert set(result.outputs_at) == {1, 17}
    assert set(result.outputs) == {"logits"}


def test_simulation_does_not_depend_on_the_batch() -> None:
    graph, x = small_network(), images(5)
    whole = reference.simulate(graph, x, 20, first_sample=3, record=True)
    for first, last in itertools.pairwise([0, 1, 1, 5]):
        part = reference.simulate(graph, x[first:last], 20, first_sample=3 + first, record=True)
        assert np.array_equal(part.outputs["logits"], whole.outputs["logits"][first:last])
        assert np.array_equal(part.totals["hidden"], whole.totals["hidden"][first:last])
        assert np.array_equal(part.spikes["hidden"], whole.spikes["hidden"][:, first:last])


def test_nodes_may_come_in_any_order() -> None:
    graph, x = small_network(), images(2)
    expected = reference.simulate(graph, x, 10).outputs["logits"]
    graph.nodes.reverse()
    assert np.array_equal(reference.simulate(graph, x, 10).outputs["logits"], expected)


def test_a_sample_that_is_not_finite_gives_nan() -> None:
    x = images(3)
    x[1, 0, 0, 0] = np.nan
    logits = reference.simulate(small_network(), x, 5).outputs["logits"]
    assert np.isnan(logits[1]).all()
    assert np.isfinite(logits[[0, 2]]).all()


def test_what_is_not_calibrated_is_refused() -> None:
    def one_layer(weight: float = 2, threshold: int = 4) -> gs.Graph:
        net = Builder(1)
        current = net.node("Gemm", "fc", net.encoded, [[weight]])
        net.readout("out", net.node("Scale", "s", net.neuron("n", current, threshold), 1, domain="ai.snnc"))
        return net.graph

    x = np.ones((1, 1), np.float32)
    assert reference.simulate(one_layer(), x, 4).totals["n"].tolist() == [2]
    with pytest.raises(ValueError, match="integers"):
        reference.simulate(one_layer(weight=0.5), x, 4)
    with pytest.raises(ValueError, match="odd threshold"):
        reference.simulate(one_layer(threshold=3), x, 4)
    with pytest.raises(OverflowError, match="2\\^24"):
        reference.simulate(one_layer(weight=2**24), x, 4)
    with pytest.raises(OverflowError, match="2\\^31"):
        reference.simulate(one_layer(weight=2**23), x, 300)
    with pytest.raises(ValueError, match="steps"):
        reference.simulate(one_layer(), x, 0)
    unknown = one_layer()
    unknown.nodes[1].op = "Relu"
    with pytest.raises(ValueError, match="no calibrated path"):
        reference.simulate(unknown, x, 4)


# The value view of a residual network


@pytest.mark.parametrize("seed", range(5))
def test_a_residual_junction_equals_its_value_view(seed: int) -> None:
    """Spikes worth λ and thresholds λ in ANN units give the spikes of the integer graph, step by step.

    a = relu(W₁x), b = relu(W₂a), junction = relu(W₃b + a), output = W₄·junction. Every number is dyadic, so
    that float64 is exact in the value view. In the graph the current of a layer counts in σ = λ_main·2^-k:
    a weight is W·λ_in/σ, a threshold λ/σ, and the identity branch has the weight λ_a/σ_junction.
    """
    rng = np.random.default_rng(seed)
    weights = {name: rng.integers(-24, 40, (6, 6)) / 32 for name in "abj"}
    readout = rng.integers(-32, 32, (6, 2)) / 32
    worth = {"x": 2.0, "a": 3.0, "b": 1.5, "j": 2.578125}  # λ
    grid = {"a": worth["x"] / 64, "b": worth["a"] / 64, "j": worth["b"] / 128, "out": worth["j"] / 32}  # σ
    x, steps = rng.normal(size=(4, 6)).astype(np.float32), 96

    net = Builder(6, scale=worth["x"])
    current_a = net.node("Gemm", "I_a", net.encoded, weights["a"] * worth["x"] / grid["a"])
    a = net.neuron("a", current_a, worth["a"] / grid["a"], scale=worth["a"])
    current_b = net.node("Gemm", "I_b", a, weights["b"] * worth["a"] / grid["b"])
    b = net.neuron("b", current_b, worth["b"] / grid["b"], scale=worth["b"])
    main = net.node("Gemm", "main", b, weights["j"] * worth["b"] / grid["j"])
    identity = net.node("Scale", "identity", a, worth["a"] / grid["j"], domain="ai.snnc")
    j = net.neuron("j", net.node("Add", "I_j", main, identity), worth["j"] / grid["j"], scale=worth["j"])
    net.readout("out", net.node("Gemm", "I_out", j, readout * worth["j"] / grid["out"]), scale=grid["out"])
    result = reference.simulate(net.graph, x, steps, seed=seed, record=True)

    v = {name: np.zeros((4, 6)) for name in "abj"}

    def fire(name: str, current: np.ndarray, t: int) -> np.ndarray:
        """One step of a layer in the value view: takes and gives ANN units."""
        v[name] += current
        spikes = v[name] >= worth[name]
        v[name] -= worth[name] * spikes
        assert np.array_equal(result.spikes[name][t], spikes)
        return worth[name] * spikes

    total = np.zeros((4, 2))
    for t in range(steps):
        value_a = fire("a", worth["x"] * result.spikes["encoded"][t] @ weights["a"], t)
        value_b = fire("b", value_a @ weights["b"], t)
        total += fire("j", value_b @ weights["j"] + value_a, t) @ readout
    assert all(result.totals[name].sum() > 0 for name in "abj")
    assert np.array_equal(result.outputs["out"], total / steps)
