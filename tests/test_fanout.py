"""Multiply-accumulates of the ANN and synaptic operations of the spikes, counted by hand on a small network."""

from __future__ import annotations

import numpy as np
import onnx

import snnc

# Conv 3x3 with pads on 4x4: along an axis 3·4 - 2 = 10 taps lie inside, so 100 on the plane for each pair of channels.
NET = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 1, 4, 4] x) => (float[N, 3] y)
  <float[2, 1, 3, 3] W = {1,1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1,1},
   float[8, 3] V = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}>
{
  a = Conv <pads = [1, 1, 1, 1]> (x, W)
  b = Relu (a)
  c = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (b)
  d = Flatten (c)
  y = MatMul (d, V)
}
"""


def test_the_ann_pools_before_it_multiplies_and_the_spikes_do_not() -> None:
    model = snnc.convert(onnx.parser.parse_model(NET), steps=8, threshold="model", input_scale=1.0, accept_poor=True)
    assert [layer.macs for layer in model.report.layers] == [0, 1 * 2 * 100, 2 * 2 * 2 * 3]
    everywhere = model.session().run(np.ones((1, 1, 4, 4), np.float32), steps=1)
    assert everywhere.spike_totals.tolist() == [[16, 8]]  # the largest sums, 9 taps, are reached by the inner pixels
    assert everywhere.synaptic_operations.tolist() == [[16 * 9 * 2 - (4 * 5 + 8 * 3) * 2, 8 * 3]]


def test_spikes_of_either_sign_cost_what_their_channel_costs() -> None:
    """Channels of the input that a convolution runs along: those at the ends reach two sums, the others three."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 4, 2] x) => (float[N, 1, 4] y) <float[1, 2, 3] W = {1, 1, 1, 1, 1, 1}>
    { a = Transpose <perm = [0, 2, 1]> (x)  b = Conv <pads = [1, 1]> (a, W)  y = Relu (b) }""")
    converted = snnc.convert(model, steps=8, threshold="model", input_scale=1.0, accept_poor=True)
    x = np.zeros((1, 4, 2), np.float32)
    x[0, 1], x[0, 3, 0] = -1, 1
    run = converted.session().run(x, steps=1)
    assert (run.spike_totals[0, 0], run.synaptic_operations[0, 0]) == (3, 2 * 3 + 2)
