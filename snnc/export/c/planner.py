"""From the calibrated graph of a converted file to a program; what cannot be written is refused, all at once."""

from __future__ import annotations

import re

import onnx_graphsurgeon as gs

from snnc.data import Preparation
from snnc.diagnostics import Diagnostics, fail
from snnc.export.c.inputs import input_of
from snnc.export.c.kernels import MOST_AXES
from snnc.export.c.layers import LAYERS, Layers
from snnc.export.c.memory import place
from snnc.export.c.program import Identifiers, Program
from snnc.export.c.trees import LINEAR, MOST_SPATIAL_AXES
from snnc.files import ConvertedFile
from snnc.ir.graph import sample_shape
from snnc.ir.option import whole

_WINDOWS = ("Conv", "SumPool", "SpikeMaxPool")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
#: Words that no prefix can be; the others of C are none that anybody would choose.
_KEYWORDS = frozenset(
    {"int", "long", "short", "char", "float", "double", "void", "static", "main", "register", "signed"}
)


def plan(file: ConvertedFile, name: str, most_steps: int | None, preparation: Preparation) -> Program:
    """The program of a converted network; `name` begins its public names, `most_steps` are as many as it will ever run
    (None: as many as the file allows; networks that settle have no such limit), `preparation` says what becomes of
    pixels where the file does not.

    Raises:
        DiagnosticError: SNN423, once for each node that cannot be written; SNN404, SNN405: an argument is wrong.
    """
    if not _NAME.fullmatch(name) or name in _KEYWORDS:
        hint = "use letters, digits and _, up to 32 of them, a letter first"
        fail("SNN405", f"{name!r} cannot begin the names of a C program", hint=hint)
    steps = _most_steps(file, most_steps)
    graph = file.calibrated()
    check(graph)
    encoder = next(node for node in graph.nodes if node.inputs[0].name == graph.inputs[0].name)
    program = Program(name, steps, input_of(encoder, preparation.completed_by(file.preparation)))
    if program.input.pixels is not None:
        program.constants.append(program.input.pixels)
    layers = Layers(program, Identifiers())
    for node in graph.nodes:
        if node.op in LAYERS:
            layers.write(node)
    place(program.scratch)
    return program


def _most_steps(file: ConvertedFile, asked: int | None) -> int | None:
    """How many steps there must be room for."""
    if file.settles:
        if asked is not None:
            message = f"most_steps: {file.name} runs until it is quiet, on input after input, and needs no number"
            fail("SNN405", message, hint="leave `--most-steps` away: its potentials have room for any number")
        return None
    steps = file.options.max_steps if asked is None else whole("most_steps", asked)
    if not 1 <= steps <= file.options.max_steps:
        fail("SNN404", f"{steps} steps; {file.name} allows 1 to {file.options.max_steps}")
    return steps


def check(graph: gs.Graph) -> None:
    """SNN423 for all that cannot be written."""
    found = Diagnostics()
    for node in graph.nodes:
        for problem, hint in _problems(node):
            shape = sample_shape(node.outputs[0])
            found.report("SNN423", problem, node=node.name, op=node.op, shape=str(list(shape)), hint=hint)
    found.raise_errors()


def _problems(node: gs.Node) -> list[tuple[str, str]]:
    if node.op not in (*LAYERS, *LINEAR):
        return [("it is an operator of a plug-in, for which there is no C", "convert the network without the plug-in")]
    if node.op in _WINDOWS and len(sample_shape(node.inputs[0])) - 1 > MOST_SPATIAL_AXES:
        return [(f"its windows have more than {MOST_SPATIAL_AXES} axes", "join axes with a Reshape")]
    if node.op == "SpikeProduct" and len(sample_shape(node.outputs[0])) > MOST_AXES:
        return [(f"its result has more than {MOST_AXES} axes", "join axes with a Reshape")]
    return []
