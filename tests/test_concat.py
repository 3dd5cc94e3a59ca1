"""Branches side by side (`Concat`) in networks that spike: signed or not, currents beside spikes, pools over them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.testing import assert_array_equal
from onnx import numpy_helper, parser

import snnc
from snnc.api import SpikingModel

# c is pooled, e and p are joined again in front of a max-pool.
NETWORK = """<ir_version: 8, opset_import: ["": 18]>
net (float[N,2,6,6] x) => (float[N,3] y) {
  a = Conv <pads = [1,1,1,1]> (x, A)
  r = Relu (a)
  l = LeakyRelu <alpha = 0.3> (a)
  c = Concat <axis = 1> (r, l, r)
  p = AveragePool <kernel_shape = [2,2], strides = [2,2]> (c)
  d = Conv <pads = [1,1,1,1]> (p, B)
  e = Relu (d)
  joined = Concat <axis = 1> (e, p, e)
  m = MaxPool <kernel_shape = [3,3]> (joined)
  f = Flatten (m)
  y = Gemm (f, C)
}"""


def with_weights(model: onnx.ModelProto, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    """The model with random weights of these shapes, in place."""
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        weight = (random.standard_normal(shape) / 3).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((64, 2, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def ann() -> onnx.ModelProto:
    return with_weights(parser.parse_model(NETWORK), A=(3, 2, 3, 3), B=(4, 9, 3, 3), C=(17, 3))


@pytest.fixture(scope="module")
def exact(ann: onnx.ModelProto, images: np.ndarray) -> SpikingModel:
    return snnc.convert(ann, method="exact", levels=32, calib=images, accept_poor=True)


def test_signed_beside_unsigned_spikes_run_in_the_event_driven_operator(images: np.ndarray) -> None:
    """The input has signs, a ReLU has none; the conversion itself holds the file against the reference simulator."""
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
    net (float[N,2,6,6] x) => (float[N,3] y) {
      a = Conv <pads = [1,1,1,1]> (x, A)
      r = Relu (a)
      joined = Concat <axis = 1> (r, x)
      p = AveragePool <kernel_shape = [2,2], strides = [2,2]> (joined)
      b = Conv <pads = [1,1,1,1]> (p, B)
      e = Relu (b)
      f = Flatten (e)
      y = Gemm (f, C)
    }""")
    with_weights(model, A=(3, 2, 3, 3), B=(4, 5, 3, 3), C=(36, 3))
    layers = snnc.convert(model, calib=images, steps=128, accept_poor=True).report.layers
    assert [(layer.signed, layer.fused) for layer in layers[:3]] == [
        (True, None),
        (False, "SpikingConv"),
        (False, "SpikingConv"),
    ]


def test_every_form_settles_at_the_quantised_ann(exact: SpikingModel, images: np.ndarray) -> None:
    assert snnc.verify(exact, images[:33]).differences == []
    native, functions = exact.session().run(images), exact.session(native=False).run(images)
    assert_array_equal(native.logits, functions.logits)
    assert_array_equal(native.spike_totals, functions.spike_totals)


@pytest.mark.parametrize("samples", [0, 1])
def test_small_batches(exact: SpikingModel, images: np.ndarray, samples: int) -> None:
    assert exact.session().run(images[:samples]).logits.shape == (samples, 3)


def test_currents_beside_spikes_are_worth_the_same(images: np.ndarray) -> None:
    """The branch without weights gets a synapse: else its spikes would count as units of the grid of the other one."""
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
    net (float[N,2,6,6] x) => (float[N,3] y) {
      a = Conv <pads = [1,1,1,1]> (x, A)
      r = Relu (a)
      b = Conv <pads = [1,1,1,1]> (r, B)
      joined = Concat <axis = 1> (b, r)
      q = Relu (joined)
      f = Flatten (q)
      y = Gemm (f, C)
    }""")
    with_weights(model, A=(3, 2, 3, 3), B=(2, 3, 3, 3), C=(180, 3))
    found = snnc.convert(model, method="low-latency", steps=256, calib=images).report.verification
    assert found is not None
    assert found.error is not None
    assert found.error < 0.02
