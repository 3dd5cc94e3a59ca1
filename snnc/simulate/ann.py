"""The ANN: reading the file, and running it as the opponent that every conversion is measured against."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import helper

from snnc.data.rows import Rows
from snnc.diagnostics import fail
from snnc.ir.names import own
from snnc.reading import structured
from snnc.reading.batch import sizes_inside
from snnc.reading.external import check_size, load_external_data
from snnc.reading.precision import in_float32
from snnc.reading.protos import copied
from snnc.reading.structure import node_names
from snnc.runtime.session import cpu_session

# Quantised networks (QDQ) are computed as their nodes say. The int8 kernels that onnxruntime puts in their place add
# pairs of products in 16 bits on CPUs without VNNI, which saturate: the same file then gives other outputs there.
_AS_WRITTEN = "session.disable_quant_qdq"


def load_model(path: str | PathLike[str]) -> onnx.ModelProto:
    """Read an ONNX file with its external data; every way in which that fails is a diagnostic."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size == 0:
            fail("SNN101", f"{path} is empty")
        check_size(size, str(path))
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except OSError as error:
        fail("SNN101", f"{path}: {error.strerror or error}")
    except (DecodeError, ValueError, TypeError):
        fail("SNN101", f"{path} is not an ONNX model, or is truncated ({size} bytes)")
    if not model.opset_import or not model.graph.output:
        fail("SNN101", f"{path} holds no ONNX graph")
    load_external_data(model, path)
    return model


class Ann:
    """The ANN in an onnxruntime session, as its file has it. Batches of any size, also where it is made for one.

    `as_written`: a quantised network is computed as its nodes say, which is the same everywhere; else by onnxruntime's
    integer kernels, which are fast.
    """

    def __init__(self, model: onnx.ModelProto, threads: int | None = None, *, as_written: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised too
        if as_written:
            options.add_session_config_entry(_AS_WRITTEN, "1")
        if threads is not None:
            options.intra_op_num_threads = threads
        self._model = structured(model)
        self.session = cpu_session(self._model.SerializeToString(), options)
        self._input = self.session.get_inputs()[0]
        kind = self._input.type[len("tensor(") : -1].upper()
        self._dtype = np.dtype(helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(kind)))
        self._outputs = [value.name for value in self.session.get_outputs()]
        batch = self._input.shape[0]
        self._batch: int | None = batch if isinstance(batch, int) else None

    def run(self, images: np.ndarray | Rows, more: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Every output by name, for `images` `[N, ...]` float32, and where there are `more` inputs their values.

        They are brought to the type of the input, and outputs of floats to float32; SNN303 where the input is of
        integers and the images are none.
        """
        feeds: dict[str, np.ndarray | Rows] = {self._input.name: images, **(more or {})}
        try:
            return self._run_in_batches(feeds, len(images), self._batch or 64)
        except Exception:
            if self._batch is not None:
                raise
            # The axis is declared free, but something inside is made for one number of samples.
            return self._run_in_found_batches(feeds, len(images))

    def shapes(self, dims: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shape of every output of a sample of the shape `dims`."""
        with_batch = self.run(np.zeros((1, *dims), np.float32))
        return {name: value.shape[1:] for name, value in with_batch.items()}

    def _typed(self, images: np.ndarray) -> np.ndarray:
        if self._dtype.kind == "f":
            return images.astype(self._dtype, copy=False)
        with np.errstate(invalid="ignore"):
            typed = images.astype(self._dtype)
        if not np.array_equal(typed.astype(np.float32), images):
            message = f"the network takes {self._dtype}, and the samples have fractions or other values beyond that"
            fail("SNN303", message, hint="give the values as they are stored: `--scale 1`, no mean and no std")
        return typed

    def _run_in_found_batches(self, feeds: dict[str, np.ndarray | Rows], samples: int) -> dict[str, np.ndarray]:
        failure: Exception | None = None
        for size in sizes_inside(self._model):
            self._batch = size
            try:
                return self._run_in_batches(feeds, samples, size)
            except Exception as error:
                failure = failure or error
        self._batch = None
        assert failure is not None
        raise failure

    def _run_in_batches(self, feeds: dict[str, np.ndarray | Rows], samples: int, size: int) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, samples, size):
            batch = {name: values[start : start + size] for name, values in feeds.items()}
            batch[self._input.name] = self._typed(batch[self._input.name])
            missing = max(0, start + size - samples) if self._batch else 0
            if missing:
                batch = {name: _padded(values, missing) for name, values in batch.items()}
            found = self.session.run(None, batch)
            count = min(size, samples - start) + missing
            if any(value.ndim and len(value) != count for value in found):
                raise ValueError(f"{count} samples went in, and another number came out")
            parts.append([value[: size - missing] for value in found])
        joined = [_in_float32(np.concatenate(column)) for column in zip(*parts, strict=True)]
        return dict(zip(self._outputs, joined, strict=True))


def _in_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


def _padded(values: np.ndarray, missing: int) -> np.ndarray:
    """With so many samples of zeros behind."""
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])


def layer_probe(model: onnx.ModelProto, names: Collection[str]) -> tuple[Ann, dict[str, str]]:
    """The ANN with more outputs, and which of them is the first output of each node in `names` (see `node_names`)."""
    probe = copied(structured(model))
    tensors = {
        name: node.output[0] for name, node in zip(node_names(probe), probe.graph.node, strict=True) if name in names
    }
    present = {value.name for value in probe.graph.output}
    for tensor in tensors.values():
        if tensor not in present:
            probe.graph.output.add().name = tensor
    return Ann(probe), tensors


def cut_ann(model: onnx.ModelProto, names: Collection[str]) -> tuple[Ann, dict[str, str], dict[str, str]]:
    """The ANN cut behind the first output of each node in `names` (see `node_names`), and by these names the inputs
    that take its place for all that reads it, and the outputs that have what the node itself gives."""
    cut = copied(in_float32(structured(model)))
    inputs, outputs = {}, {}
    for name, node in zip(node_names(cut), cut.graph.node, strict=True):
        if name in names:
            inputs[name], outputs[name] = node.output[0], own(f"cut/{name}")
            node.output[0] = outputs[name]
    moved = {inputs[name]: outputs[name] for name in inputs}
    for value in cut.graph.output:
        value.name = moved.get(value.name, value.name)
    infos = [value for value in cut.graph.value_info if value.name not in moved]
    del cut.graph.value_info[:]
    cut.graph.value_info.extend(infos)
    present = {value.name for value in cut.graph.output}
    for tensor, output in moved.items():
        cut.graph.input.append(helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
        if output not in present:
            cut.graph.output.add().name = output
    return Ann(cut), inputs, outputs
