"""Networks for the tests of the method exact, and what its quantised ANN is in a few lines of numpy."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx

from snnc.api import SpikingModel, convert
from snnc.diagnostics import DiagnosticError
from snnc.measure.certificate import Equality, compare_with_quantised

LOOSE: dict[str, Any] = {"method": "exact", "accept_poor": True}

#: Bodies in ONNX text, x: [N, 2, 6, 6] → y: [N, 3]; `# random:` lines as in golden cases.
BODIES = {
    "max-pool and biases": """
        # random: w [4, 2, 3, 3] seed 1
        # random: b [4] seed 2
        # random: v [16, 3] seed 3
        # random: c [3] seed 4
        sums = Conv <pads = [0, 0, 0, 0]> (x, w, b)
        rectified = Relu (sums)
        pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (rectified)
        flat = Flatten (pooled)
        y = Gemm (flat, v, c)""",
    "sigmoid in front of an average": """
        # random: w [4, 2, 3, 3] seed 5
        # random: b [4] seed 6
        # random: v [4, 3] seed 7
        sums = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        squashed = Sigmoid (sums)
        pooled = GlobalAveragePool (squashed)
        flat = Flatten (pooled)
        y = Gemm (flat, v)""",
    "leaky residual": """
        # random: w [2, 2, 3, 3] seed 8
        # random: b [2] seed 9
        # random: u [2, 2, 3, 3] seed 10
        # random: v [72, 3] seed 11
        sums = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        leaky = LeakyRelu <alpha = 0.2> (sums)
        more = Conv <pads = [1, 1, 1, 1]> (leaky, u)
        both = Add (more, leaky)
        swish = HardSwish (both)
        flat = Flatten (swish)
        y = Gemm (flat, v)""",
    "linear bottleneck": """
        # random: w [6, 2, 1, 1] seed 12
        # random: d [6, 1, 3, 3] seed 13
        # random: p [2, 6, 1, 1] seed 14
        # random: q [2] seed 15
        # random: v [72, 3] seed 16
        wide = Conv (x, w)
        wide_relu = Relu (wide)
        deep = Conv <pads = [1, 1, 1, 1], group = 6> (wide_relu, d)
        narrow = Conv (deep, p, q)
        sum = Add (narrow, x)
        again = Conv (sum, p2)
        flat_again = Relu (again)
        joined = Add (flat_again, sum)
        flat = Flatten (joined)
        y = Gemm (flat, v)
        # random: p2 [2, 2, 1, 1] seed 17""",
    "max-pool of currents and of the input": """
        # random: w [4, 2, 3, 3] seed 18
        # random: v [4, 3] seed 19
        coarse = MaxPool <kernel_shape = [2, 2], strides = [1, 1]> (x)
        sums = Conv (coarse, w)
        pooled = MaxPool <kernel_shape = [3, 3]> (sums)
        flat = Flatten (pooled)
        y = Gemm (flat, v)""",
    "squeeze and excitation": """
        # random: w [4, 2, 3, 3] seed 20
        # random: b [4] seed 21
        # random: d [2, 4, 1, 1] seed 22
        # random: u [4, 2, 1, 1] seed 23
        # random: p [2, 4, 1, 1] seed 24
        # random: v [72, 3] seed 25
        sums = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        map = Relu (sums)
        squeezed = GlobalAveragePool (map)
        few = Conv (squeezed, d)
        few_relu = Relu (few)
        many = Conv (few_relu, u)
        gate = Sigmoid (many)
        gated = Mul (map, gate)
        narrow = Conv (gated, p)
        sum = Add (narrow, x)
        flat_sum = Relu (sum)
        flat = Flatten (flat_sum)
        y = Gemm (flat, v)""",
    "gated linear unit": """
        # random: w [6, 2, 3, 3] seed 33
        # random: b [6] seed 34
        # random: v [108, 3] seed 35
        sums = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        value, control = Split <axis = 1, num_outputs = 2> (sums)
        gate = Sigmoid (control)
        gated = Mul (value, gate)
        flat = Flatten (gated)
        y = Gemm (flat, v)""",
}


def body(name: str) -> onnx.ModelProto:
    """The network of one of `BODIES`."""
    return model_of(BODIES[name])


def model_of(body: str) -> onnx.ModelProto:
    """The network with this body."""
    from golden import model

    lines = body.splitlines()
    weights = [line.strip() for line in lines if "# random:" in line]
    nodes = "\n".join(line for line in lines if "# random:" not in line)
    text = f"network (float[N, 2, 6, 6] x) => (float[N, 3] y) {{\n{nodes}\n}}"
    return model("\n".join([*weights, text]))


def converted(model: onnx.ModelProto, samples: int = 20, **options: Any) -> SpikingModel:
    """By the method exact, on random images."""
    return convert(model, calib=networks.images_for(model, samples, seed=1), **{**LOOSE, **options})


def converted_or_none(model: onnx.ModelProto, **options: Any) -> SpikingModel | None:
    """None where a layer of a random network can never fire or loses its weights on any grid."""
    try:
        return converted(model, **options)
    except DiagnosticError as error:
        if {found.rule.code for found in error.diagnostics} <= {"SNN208", "SNN406"}:
            return None
        raise


def compared(model: SpikingModel, images: np.ndarray) -> Equality:
    """With the quantised ANN that the file carries."""
    from snnc.api import open_converted

    file = open_converted(model)
    return compare_with_quantised(file.block, file.quantised(), images, most_steps=file.options.steps, batch=4)
