"""Cases in a file: options, a network in ONNX text, and what the compiler makes of it.

    # flags: --bias current --reset hard
    # level: canonical | spiking | calibrated | fused | emitted
    # random: W [4, 3, 3, 3] seed 1             an initializer drawn from a normal distribution, scaled by its fan-in
    net (float[N, 3, 8, 8] x) => (float[N, 4, 6, 6] y) {
      y = Conv (x, W)
    }
    # output
    the graph at that level (emitted: the nodes of the block, without those that count spikes), or the diagnostics

The text is that of `onnx.parser`; opset 18 and IR version 8 are added where the header is missing.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper

from snnc import pipeline
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.levels import run_pass
from snnc.methods.defaults import make_options

HEADER = '<ir_version: 8, opset_import: ["": 18]>\n'
_SEPARATOR = "# output\n"
_LEVELS = {level.name.lower(): level for level in Level if level > Level.SOURCE}
_MEASURING = ("choose_potential", "verify")
_COUNTING = tuple(f"snnc/{what}/" for what in ("totals", "operations", "spike_totals", "synaptic_operations"))


@dataclass(frozen=True)
class Case:
    """One case file. `source` is everything above the separator, as written."""

    path: Path
    source: str
    options: dict[str, Any]
    level: Level
    model: onnx.ModelProto
    expected: str

    def write(self, output: str) -> None:
        """Replace the expected part."""
        self.path.write_text(self.source + _SEPARATOR + output, encoding="utf-8")


def read_case(path: Path) -> Case:
    """Parse a case file."""
    source, _, expected = path.read_text(encoding="utf-8").partition(_SEPARATOR)
    directives = re.findall(r"^# (flags|level): *(.*)$", source, re.MULTILINE)
    values = dict(directives)
    options = _parse_flags(values.get("flags", ""))
    return Case(path, source, options, _LEVELS[values.get("level", "canonical")], model(source), expected)


def model(text: str) -> onnx.ModelProto:
    """A model from ONNX text; `# random:` lines become initializers, other comment lines are skipped."""
    lines = text.splitlines()
    body = "\n".join(line for line in lines if not line.startswith("#")).strip()
    parsed: onnx.ModelProto = onnx.parser.parse_model(body if body.startswith("<") else HEADER + body)
    for line in lines:
        match = re.fullmatch(r"# random: *(\S+) *\[(.*)\] *seed *(\d+)", line)
        if match:
            name, dims, seed = match.groups()
            parsed.graph.initializer.append(_random_weight(name, [int(size) for size in dims.split(",")], int(seed)))
    return parsed


def run_case(case: Case) -> str:
    """What the compiler makes of a case: the printed graph and the warnings, or the errors."""
    try:
        conversion = run_to(case.model, case.level, **case.options)
    except DiagnosticError as error:
        return "".join(f"{diagnostic}\n" for diagnostic in error.diagnostics)
    lines = list(print_graph(conversion.graph) if conversion.emitted is None else print_block(conversion.emitted))
    lines += [f"warning {found.rule.code}" for found in conversion.diagnostics.warnings]
    return "".join(f"{line}\n" for line in lines)


def run_to(
    ann: onnx.ModelProto, level: Level, data: Any = None, behind_spike: Sequence[Pass] = (), **options: Any
) -> Conversion:
    """The conversion of `ann`, stopped as soon as it has reached `level`, without the passes that only measure.

    `behind_spike` are passes of a test, run on the spiking graph before it is calibrated.
    """
    conversion = Conversion(ann, make_options(**options), data=data)
    passes = list(pipeline.passes_of(conversion))
    place = next(index for index, step in enumerate(passes) if step.name == "spike")
    for step in [*passes[: place + 1], *behind_spike, *passes[place + 1 :]]:
        if step.takes >= level:
            break
        if step.name in _MEASURING:
            continue
        run_pass(step, conversion)
    assert conversion.level == level
    return conversion


def print_graph(graph: gs.Graph) -> Iterator[str]:
    """One line per node: operator, name, inputs, outputs with their shapes, attributes."""
    for tensor in graph.inputs:
        yield f"input {tensor.name} {_shape(tensor.shape)}"
    for node in graph.nodes:
        inputs = ", ".join(_operand(tensor) for tensor in node.inputs)
        outputs = ", ".join(f"{tensor.name} {_shape(tensor.shape)}" for tensor in node.outputs)
        attrs = " ".join(f"{key}={_value(value)}" for key, value in sorted(node.attrs.items()))
        yield f"{node.op} {node.name!r} ({inputs}) -> {outputs} {attrs}".rstrip()
    yield "output " + ", ".join(tensor.name for tensor in graph.outputs)


def print_block(model: onnx.ModelProto) -> Iterator[str]:
    """One line per node of the block inside a converted model: operator, name, inputs, outputs, attributes."""
    block = ConvertedFile(model, "the case").block
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in block.body_constants}
    for node in block.body:
        if node.output[0].startswith(_COUNTING):
            continue
        inputs = ", ".join(_constant(constants[name]) if name in constants else name for name in node.input)
        values = {attr.name: onnx.helper.get_attribute_value(attr) for attr in node.attribute}
        attrs = " ".join(f"{key}={_value(value)}" for key, value in sorted(values.items()))
        yield f"{node.op_type} {node.name!r} ({inputs}) -> {', '.join(node.output)} {attrs}".rstrip()


def _operand(tensor: gs.Tensor) -> str:
    return _constant(np.asarray(tensor.values)) if isinstance(tensor, gs.Constant) else str(tensor.name)


def _constant(values: np.ndarray) -> str:
    if values.size <= 8:
        return f"{values.dtype} {_value(values.tolist())}"
    numbers = values.astype(np.float64)
    return f"{values.dtype} {_shape(values.shape)} sum {numbers.sum():.5g} max {np.abs(numbers).max():.5g}"


def _shape(shape: Any) -> str:
    return "[?]" if shape is None else "[" + ", ".join(str(size) for size in shape) + "]"


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _random_weight(name: str, dims: list[int], seed: int) -> onnx.TensorProto:
    fan_in = dims[0] if len(dims) == 2 else int(np.prod(dims[1:]))
    values = np.random.default_rng(seed).normal(size=dims) / np.sqrt(max(1, fan_in))
    return numpy_helper.from_array(values.astype(np.float32), name)


def _parse_flags(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    words = shlex.split(text)
    while words:
        name = words.pop(0).removeprefix("--").replace("-", "_")
        if not words or words[0].startswith("--"):
            options[name] = True
            continue
        value = words.pop(0)
        try:
            options[name] = ast.literal_eval(value)
        except ValueError:
            options[name] = value
    return options
