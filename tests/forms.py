"""Networks with one form of an operator between two layers, and what has to hold for each that converts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import golden
import networks
import numpy as np
import onnx
import onnxruntime
from exact_networks import LOOSE, compared
from numpy.testing import assert_allclose
from onnx import numpy_helper
from region_models import run_canonical

from snnc.api import convert
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Level
from snnc.simulate.ann import Ann

Constants = Mapping[str, Any]


def network(
    body: str, constants: Constants | None = None, opset: int = 18, planes: Sequence[int] = (6, 4), batch: str = "N"
) -> onnx.ModelProto:
    """x `[N, 2, planes...]` → Conv → Relu → a, then `body` from a (3 channels) to b, → Flatten → MatMul → y `[N, 2]`.

    Constants are float32, or int64 where they are given as integers.
    """
    random = np.random.default_rng(3)
    dims = ",".join(map(str, planes))
    ones = ",".join("1" * 2 * len(planes))
    front = f"front = Conv <pads = [{ones}]> (x, frontW) a = Relu (front)"
    initializers = [_tensor("frontW", random.normal(size=(3, 2, *[3] * len(planes))) / 3)]
    initializers += [_tensor(name, value) for name, value in (constants or {}).items()]

    def parsed(outputs: str, behind: str) -> onnx.ModelProto:
        header = f'<ir_version: 8, opset_import: ["": {opset}]>'
        text = f"{header} net (float[{batch},2,{dims}] x) => ({outputs}) {{ {front} {body} {behind} }}"
        model = onnx.parser.parse_model(text)
        model.graph.initializer.extend(initializers)
        return model

    session = onnxruntime.InferenceSession(parsed("float b", "").SerializeToString())
    (values,) = session.run(["b"], {"x": np.zeros((1, 2, *planes), np.float32)})
    initializers.append(_tensor("headW", random.normal(size=(values.size, 2)) / np.sqrt(values.size)))
    return parsed(f"float[{batch},2] y", "flat = Flatten (b) y = MatMul (flat, headW)")


def ending(
    tail: str, outputs: str = "float[N,?] y", constants: Constants | None = None, opset: int = 18
) -> onnx.ModelProto:
    """x `[N, 2, 6, 6]` → Conv → Relu → a, → Conv → maps `[N, 5, 3, 3]`, → Flatten → MatMul → scores `[N, 4]`, then
    `tail`, which reads maps and scores, to the outputs."""
    random = np.random.default_rng(9)
    shapes = {"frontW": (3, 2, 3, 3), "mapsW": (5, 3, 2, 2), "scoresW": (45, 4)}
    text = f"""<ir_version: 8, opset_import: ["": {opset}]> net (float[N,2,6,6] x) => ({outputs}) {{
        front = Conv (x, frontW) a = Relu (front) maps = Conv (a, mapsW) flat = Flatten (maps)
        scores = MatMul (flat, scoresW) {tail}
    }}"""
    model = onnx.parser.parse_model(text)
    for name, shape in shapes.items():
        size = float(np.prod(shape[:1] if len(shape) == 2 else shape[1:]))
        model.graph.initializer.append(_tensor(name, random.normal(size=shape) / np.sqrt(size)))
    model.graph.initializer.extend(_tensor(name, value) for name, value in (constants or {}).items())
    return model


def _tensor(name: str, value: Any) -> onnx.TensorProto:
    found = np.asarray(value)
    return numpy_helper.from_array(found.astype(np.int64 if found.dtype.kind == "i" else np.float32), name)


def check_canonical(model: onnx.ModelProto, **options: Any) -> list[str]:
    """Hold the canonical graph against onnxruntime; gives its operators in order."""
    graph = golden.run_to(model, Level.CANONICAL, **{"method": "exact", **options}).graph
    images = networks.images_for(model, 3, seed=5)
    expected = Ann(model).run(images)
    found = run_canonical(graph, images)
    for value, (name, wanted) in zip(found, expected.items(), strict=True):
        assert_allclose(value, wanted, rtol=1e-4, atol=1e-5, err_msg=name)
    return [node.op for node in graph.nodes]


def check_exact(model: onnx.ModelProto) -> None:
    """Convert it by the method exact: counts equal those of the quantised ANN, which follows the ANN."""
    images = networks.images_for(model, 120, seed=1)
    converted = convert(model, calib=images, **{**LOOSE, "levels": 64})
    assert not compared(converted, networks.images_for(model, 6, seed=2)).differences
    verification = converted.report.verification
    assert verification is not None
    assert all(output.error is None or output.error < 0.3 for output in verification.outputs.values())


def findings(model: onnx.ModelProto, **options: Any) -> list[tuple[str, str, str]]:
    """Rule, operator and message of everything that keeps a network from being converted."""
    try:
        golden.run_to(model, Level.CANONICAL, **{"method": "exact", **options})
    except DiagnosticError as error:
        return [(found.rule.code, found.op or "", found.message) for found in error.diagnostics]
    return []
