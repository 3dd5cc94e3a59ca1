"""Running a model on a few samples to learn what no declaration says reliably: the shape and type of every tensor."""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from snnc.diagnostics import fail
from snnc.ir.names import own
from snnc.reading.protos import copied, data_inputs
from snnc.runtime.session import cpu_session

#: Of a sample, tensors of more elements are not computed: 1 GiB in float32.
MOST_ELEMENTS = 2**28
#: What all tensors of a few samples may take at once, in bytes.
MOST_BYTES = 2**32
# Of what onnxruntime logs: nothing but its own end, or what it is set to from the start.
_FATAL, _WARNINGS = 4, 2
_TYPE_NAMES = set(onnx.TensorProto.DataType.keys())
# A code, the node (a diagnostic names it), a place in the sources with the signature of a function or its template.
_NOISE = [
    re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : "),
    re.compile(r"^Load model from .* failed:"),
    re.compile(r"^Non-zero status code returned while running \S+ node\. Name:'[^']*' Status Message: "),
    re.compile(r"^(Exception during initialization: )?/\S+\.(cc|h):\d+ .*?\)( const)? "),
    re.compile(r"^/\S+\.(cc|h):\d+: \w+: Assertion `.*` failed: "),
    re.compile(r"\[with [^\]]*\] ?"),
    re.compile(r"(^|(?<=[\s.:]))\w+\.(cc|h):\d+ \w+ ?"),
]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of terminals
_TOO_LARGE = re.compile(r"Available memory of \d+ is smaller than requested")
_NO_MEMORY = "bad_alloc"
_FAILED_NODE = re.compile(r"running \S+ node\. Name:'([^']*)'")


class ProbeError(Exception):
    """A model cannot run on so many samples, or not as it should. `node` is where, "" where that is not known."""

    def __init__(self, message: str, node: str = "") -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True)
class Tensors:
    """What a run on some samples gives: of every tensor that the nodes of the main graph compute its shape and type,
    and the outputs."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype]
    outputs: dict[str, np.ndarray]


class Probe:
    """A model in onnxruntime, without any optimisation, so that every tensor of the file exists."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """SNN103 where onnxruntime cannot load the model or might die of it, SNN207 where a tensor would be absurdly
        large."""
        self._input = data_inputs(model)[0]
        self._dtype = helper.tensor_dtype_to_np_dtype(self._input.type.tensor_type.elem_type)
        declared = _loaded(exposed(model)).get_outputs()
        self._dtypes = {value.name: _dtype(value.type) for value in declared if value.type.startswith("tensor(")}
        shapes = {value.name: value.shape for value in declared}
        shapes[self._input.name] = [None] * len(self._input.type.tensor_type.shape.dim)
        _check_sizes(model, shapes)
        _check_scales(model, shapes)
        _check_sizes(model, _inferred(model))
        self._shapes = _loaded(_with_shapes(model, list(self._dtypes)))
        self._outputs = [value.name for value in model.graph.output]

    def samples(self, count: int) -> np.ndarray:
        """So many samples that differ from each other: from 0 to 1, or zeros where the input is of integers."""
        dims = [dim.dim_value for dim in self._input.type.tensor_type.shape.dim[1:]]
        if self._dtype.kind != "f":
            return np.zeros((count, *dims), self._dtype)
        return np.random.default_rng(0).random((count, *dims), np.float32).astype(self._dtype)

    def tensors(self, count: int) -> Tensors:
        """What is computed from `count` samples; ProbeError where that fails."""
        names, samples = [f"{own('shape_of')}/{name}" for name in self._dtypes], self.samples(count)
        found = self._run([*names, *self._outputs], samples)
        shapes = {name: tuple(map(int, shape)) for name, shape in zip(self._dtypes, found, strict=False)}
        shapes[self._input.name] = samples.shape
        outputs = dict(zip(self._outputs, found[len(names) :], strict=True))
        return Tensors(shapes, {**self._dtypes, self._input.name: self._dtype}, outputs)

    def outputs(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the model; ProbeError where it cannot run."""
        return dict(zip(self._outputs, self._run(self._outputs, samples), strict=True))

    def _run(self, names: list[str], samples: np.ndarray) -> list[np.ndarray]:
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            with quiet():
                found: list[np.ndarray] = self._shapes.run(names, {self._input.name: samples}, options)
        except Exception as error:
            node = _FAILED_NODE.search(str(error))
            if _TOO_LARGE.search(str(error)):
                message = f"it takes more than {MOST_BYTES / 2**30:.0f} GiB on {_counted(samples)}"
                fail("SNN207", message, node=node[1] if node else "", hint="look at the sizes that it is given")
            message = f"onnxruntime cannot run it on {_counted(samples)}: {first_line(error)}"
            raise ProbeError(message, node[1] if node else "") from error
        return found


def exposed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all that its nodes compute as its outputs."""
    probe = copied(model)
    del probe.graph.output[:]
    for name in dict.fromkeys(name for node in model.graph.node for name in node.output if name):
        probe.graph.output.add().name = name
    return probe


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nobody hears what onnxruntime says of what is wrong with a model beside what it raises."""
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)


def first_line(error: Exception) -> str:
    """What an exception says, in a line, without what only authors of onnxruntime understand."""
    line = (_COLOURS.sub("", str(error)).strip().splitlines() or [type(error).__name__])[0]
    for noise in _NOISE:
        line = noise.sub("", line)
    return line.strip() or type(error).__name__


def _counted(samples: np.ndarray) -> str:
    return f"{len(samples)} sample{'' if len(samples) == 1 else 's'}"


def _loaded(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Sizes may be known only when it runs. Weights are no part of what is limited.
    _limit_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    try:
        return cpu_session(model.SerializeToString(), options)
    except Exception as error:
        if _NO_MEMORY in str(error):
            message = "onnxruntime has not the memory to find its sizes"
            fail("SNN207", message, hint="look at the sizes that it is given")
        fail("SNN103", f"onnxruntime cannot load the model: {first_line(error)}")


@functools.cache
def _limit_memory() -> None:
    """Let onnxruntime have an allocator, for sessions that ask for it, that gives MOST_BYTES at most."""
    kind = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = 1
    onnxruntime.create_and_register_allocator(
        kind, onnxruntime.OrtArenaCfg({"max_mem": MOST_BYTES, "arena_extend_strategy": as_requested})
    )


def _with_shapes(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """With the shape of each of these tensors as an output: the tensors themselves need not all be kept."""
    probe = copied(model)
    for name in names:
        shape = f"{own('shape_of')}/{name}"
        probe.graph.node.append(helper.make_node("Shape", [name], [shape]))
        probe.graph.output.add().name = shape
    return probe


def _dtype(text: str) -> np.dtype:
    """`tensor(float)` → float32."""
    name = text[len("tensor(") : -1].upper()
    kind = onnx.TensorProto.DataType.Value(name) if name in _TYPE_NAMES else 0
    return np.dtype(object) if kind == 0 else np.dtype(helper.tensor_dtype_to_np_dtype(kind))


def _inferred(model: onnx.ModelProto) -> dict[str, list[int | str | None]]:
    """What onnx infers of a single sample: sizes that follow from the size of the batch are known then too."""
    sized = copied(model)
    dim = data_inputs(sized)[0].type.tensor_type.shape.dim[0]
    dim.dim_value = max(1, dim.dim_value)
    del sized.graph.value_info[:]
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True)
    except Exception:  # what it trips over is no fault of the model as long as onnxruntime runs it
        return {}
    values = (*inferred.graph.value_info, *inferred.graph.output)
    return {value.name: [dim.dim_value or None for dim in value.type.tensor_type.shape.dim] for value in values}


def _check_sizes(model: onnx.ModelProto, shapes: dict[str, list[int | str | None]]) -> None:
    for node in model.graph.node:
        for name in node.output:
            size = math.prod(size for size in shapes.get(name) or [] if isinstance(size, int))
            if size > MOST_ELEMENTS:
                message = f"a sample of {name!r} would have {size} elements"
                fail("SNN207", message, node=node.name, op=node.op_type, hint="look at the sizes that it is given")


def _check_scales(model: onnx.ModelProto, shapes: dict[str, list[int | str | None]]) -> None:
    """SNN103 where a Resize takes a plane for its scales or sizes: versions of onnxruntime die of it when they run."""
    for node in model.graph.node:
        for name in node.input[1:] if node.op_type in ("Resize", "Upsample") else ():
            axes = len(shapes.get(name) or [1])
            if axes > 1:
                message = f"its scales or sizes, {name!r}, have {axes} axes, must have one"
                fail(
                    "SNN103", message, node=node.name, op=node.op_type, hint="give a number for every axis of its input"
                )
