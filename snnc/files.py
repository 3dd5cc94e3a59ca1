"""Output files that appear whole or not at all, and reading converted networks back."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import stat
from collections.abc import Iterable
from os import PathLike
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from google.protobuf.message import DecodeError

from snnc.data import DataSet, Preparation, as_dataset, load
from snnc.data.preparation import shown
from snnc.data.twice import prepared_twice
from snnc.diagnostics import DiagnosticError, Diagnostics, fail
from snnc.emit import format1
from snnc.emit.block import Block
from snnc.emit.calibrated import extract_calibrated
from snnc.emit.embedded import extract
from snnc.emit.graded import graded_network
from snnc.emit.layer_operators import PLAIN
from snnc.emit.schedules import as_stream
from snnc.emit.written import read_block
from snnc.ir.conversion import LayerReport
from snnc.ir.domain import DOMAIN
from snnc.ir.option import whole
from snnc.ir.options import Options
from snnc.ir.records import read_record
from snnc.ir.report import Calibration, Certificate, Verification
from snnc.places import check_folder, file_behind, is_stream, mode_of, write_together
from snnc.runtime.session import FORMAT_VERSION, GRADED, beyond_limit

#: In the metadata of a graded form, which is no converted network, and what is not.
_GRADED_FORM, _OF_STEPS = "snnc.graded", ("snnc.block", "snnc.quantised", "snnc.network")


def write_atomically(path: str | PathLike[str], content: bytes) -> None:
    """Replace the file `path`, or the one that its links lead to, whole; a device or a pipe is written to. SNN401 if
    that is not possible: nothing has changed then."""
    write_together([(path, content)])


def check_writable(path: str | PathLike[str], inputs: Iterable[str | PathLike[str] | None] = ()) -> None:
    """SNN401 before hours of work, not after, where `path` cannot be written or is one of the `inputs`."""
    mode = mode_of(path)
    for other in inputs:
        if other is not None and mode is not None and os.path.exists(other) and os.path.samefile(path, other):
            fail("SNN401", f"{os.fspath(path)} is an input of this command and would be overwritten")
    if is_stream(path):
        if not os.access(path, os.W_OK):
            fail("SNN401", f"{os.fspath(path)} is not writable")
        return
    if mode is not None and not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "neither a file, a character device nor a pipe"
        fail("SNN401", f"{os.fspath(path)} is {kind}")
    folder = file_behind(path).parent
    if not folder.is_dir():
        fail("SNN401", f"{os.fspath(path)}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        fail("SNN401", f"{os.fspath(path)}: the folder {folder} is not writable")


def check_all_writable(
    paths: Iterable[str | PathLike[str] | None], inputs: Iterable[str | PathLike[str] | None] = ()
) -> None:
    """`check_writable` of all outputs of a command (None: not asked for), and SNN401 where two are one file."""
    inputs, seen = list(inputs), set()
    for path in paths:
        if not path:
            continue
        check_writable(path, inputs)
        place = os.path.realpath(path)
        if place in seen and not is_stream(path):
            fail("SNN401", f"{path} would be written twice", hint="give every output a file of its own")
        seen.add(place)


def check_folder_writable(folder: str | PathLike[str], names: Iterable[str]) -> None:
    """SNN401 where files of these names cannot be written into `folder`, or it cannot be made."""
    check_folder(folder)
    if os.path.isdir(folder):
        check_all_writable(os.path.join(folder, name) for name in names)


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    """Set an entry of `metadata_props`, replacing an older one."""
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    model.metadata_props.add(key=key, value=value)


class ConvertedFile:
    """A `.snn.onnx` file with its metadata.

    Attributes: `model`, `name`, `format_version`, `version` (of the snnc that wrote it), `options`, `layers`,
    `calibration`, `verification` and `certificate` (None where there is none), `block` (the block of 64 steps in it).

    Raises:
        DiagnosticError: SNN402 where it is not a converted network or damaged, SNN403 where its format is newer.
    """

    options: Options
    layers: list[LayerReport]
    calibration: Calibration | None
    verification: Verification | None
    certificate: Certificate | None
    block: Block

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        self.model, self.name = model, name
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        if "snnc.format_version" not in metadata:
            fail("SNN402", f"{name} carries no snnc.format_version")
        if _GRADED_FORM in metadata:
            hint = "give the network that it was written from, or run it with `snnc.runtime.GradedSession`"
            fail("SNN402", f"{name} is the graded form of a network", hint=hint)
        self.format_version = self._read_version(metadata["snnc.format_version"])
        try:
            self._read(metadata)
        except DiagnosticError as error:  # options that no conversion accepts
            fail("SNN402", f"the metadata of {name} is damaged ({error.diagnostics[0].message})")
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, StopIteration) as error:
            fail("SNN402", f"the metadata of {name} is damaged ({type(error).__name__}: {error})")

    def _read_version(self, text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            fail("SNN402", f"the metadata of {self.name} is damaged (format version {text!r})")
        if int(text) > FORMAT_VERSION:
            fail("SNN403", f"{self.name} has format {text}, this snnc reads up to {FORMAT_VERSION}")
        return int(text)

    def _read(self, metadata: dict[str, str]) -> None:
        def document(key: str) -> Any:
            return json.loads(metadata[f"snnc.{key}"])

        self.version = metadata["snnc.version"]
        calibration = document("calibration")
        verification = document("verification") if "snnc.verification" in metadata else {}
        options, states = document("options"), metadata["snnc.states"]
        if self.format_version == 1:
            format1.complete_options(options, calibration)
            self.block = format1.read_block(self.model, states)
        else:
            self.block = read_block(self.model, states, metadata["snnc.block"])
        for name in ("layer_levels", "plugin_options"):
            options[name] = [list(pair) for pair in dict(options.get(name, {})).items()]
        self.options = read_record(Options, options)
        self.layers = [read_record(LayerReport, layer) for layer in document("layers")]
        if not self.layers or self.layers[0].kind != "input":
            raise ValueError("the first layer is not the input")
        self.calibration = read_record(Calibration, calibration) if calibration else None
        self.verification = read_record(Verification, verification) if verification else None
        self.certificate = read_record(Certificate, document("certificate")) if "snnc.certificate" in metadata else None
        self._quantised = metadata.get("snnc.quantised")
        self._calibrated = metadata.get("snnc.network")

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(dim.dim_value for dim in self.model.graph.input[0].type.tensor_type.shape.dim[1:])

    @property
    def settles(self) -> bool:
        """Whether the network stops by itself, when it is quiet."""
        return bool(self.block.quiet)

    @property
    def preparation(self) -> Preparation:
        """What was said of the data that calibrated the network; nothing where nobody knows."""
        found = None if self.calibration is None else self.calibration.preparation
        return found or Preparation()

    def dataset(
        self, data: Any, preparation: Preparation | None = None, *, streams: int = 1, memory: int | None = None
    ) -> DataSet:
        """`data` (see `snnc.convert`; a DATA string may be of several `streams`) in the form that this network takes.

        Without `preparation` they are prepared as those that calibrated the network. A `DataSet` has been prepared
        before: it stays as it is. What takes more than `memory` bytes is read when it is asked for. SNN520 is logged
        where data are prepared in another way, SNN524 where they seem to be a second time.
        """
        said = Preparation.said(preparation)
        if isinstance(data, DataSet):
            done = None if said.given else data.preparation
            self._warn(said if done is None else done, complete=done is not None)
            return as_dataset(data, self.input_dims, **said.given)
        self._warn(said, complete=False)
        wanted = said.completed_by(self.preparation).given
        if isinstance(data, str | PathLike):
            found = load(data, self.input_dims, streams=streams, memory=memory, **wanted)
        else:
            found = as_dataset(data, self.input_dims, memory=memory, **wanted)
        added = Preparation(**{name: value for name, value in wanted.items() if name not in said.given})
        if said.mean is None and said.std is None and {"mean", "std"} & added.given.keys():
            self._warn_of_twice(found)
        notes = (*found.notes, f"{added} as the file says") if added.given else found.notes
        return dataclasses.replace(found, notes=notes)

    def _warn(self, said: Preparation, *, complete: bool) -> None:
        """SNN520 where `said` contradicts the file or, where it is `complete`, leaves out what the file says; not where
        it is that the data are ready."""
        if said.nothing_is_done:
            return
        problems = said.contradictions(self.preparation)
        if complete:
            missing = {name: value for name, value in self.preparation.given.items() if name in ("mean", "std")}
            problems += [f"no {name} instead of {shown(missing[name])}" for name in missing if name not in said.given]
        if problems:
            Diagnostics().report("SNN520", f"{self.name}: {'; '.join(problems)}")

    def _warn_of_twice(self, found: DataSet) -> None:
        """SNN524 where the data were prepared before they were `found` to be, and are twice now."""
        assert found.preparation is not None
        twice = prepared_twice(found, found.preparation, functools.partial(beyond_limit, self.layers))
        if twice is not None:
            (smallest, largest), share = twice
            message = (
                f"{found.name}: values from {smallest:.3g} to {largest:.3g} fit the input scale of {self.name} as they "
                f"are; with {self.preparation}, as the file says, {share:.0%} of them exceed it"
            )
            Diagnostics().report("SNN524", message)

    def quantised(self) -> onnx.ModelProto:
        """The quantised ANN at which the network settles; SNN402 where the file has none or it is damaged."""
        if self._quantised is None:
            message = f"{self.name} carries no quantised network: its method is {self.options.method}"
            fail("SNN402", message, hint="convert the network with `--method exact`")
        try:
            return extract(self._quantised, self.block.body_constants)
        except (ValueError, KeyError, DecodeError) as error:
            fail("SNN402", f"the quantised network in {self.name} is damaged ({error})")

    def calibrated(self) -> gs.Graph:
        """The network operator by operator, with the integers of its grid (level FUSED); SNN402 where the file has
        none, as those of older versions, or it is damaged."""
        if self._calibrated is None:
            hint = "convert the ANN again with this snnc"
            fail("SNN402", f"{self.name} tells its layers as they are run alone: it is older", hint=hint)
        try:
            return extract_calibrated(self._calibrated, self.block.body_constants)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, DecodeError) as error:
            fail("SNN402", f"the network in {self.name} is damaged ({type(error).__name__}: {error})")

    def stream_form(self) -> onnx.ModelProto:
        """The network as `--schedule stream` writes it, whatever the schedule of the file."""
        if self.options.schedule == "stream":
            return self.model
        model = as_stream(self.block)
        own = {entry.key for entry in model.metadata_props}
        for entry in self.model.metadata_props:
            if entry.key not in own:
                set_metadata(model, entry.key, entry.value)
        self._set_schedule(model, "stream")
        return model

    def graded_form(self) -> onnx.ModelProto:
        """The network as one sweep over its layers for each frame (docs/graded.md), run by `GradedSession`; SNN405
        where it does not settle, SNN402 where the file does not tell its layers one by one."""
        self.require_settling()
        model = graded_network(self.calibrated(), self.block)
        for entry in self.model.metadata_props:
            if entry.key not in (*_OF_STEPS, "snnc.states"):
                set_metadata(model, entry.key, entry.value)
        operators = {node.name: node.op_type for node in model.graph.node if node.domain == DOMAIN}
        layers = self._document("snnc.layers")
        for layer in layers:
            plain = None if layer.get("fused") is None else PLAIN
            layer["fused"] = operators.get(layer["name"], plain)
        set_metadata(model, "snnc.layers", json.dumps(layers))
        self._set_schedule(model, GRADED)
        set_metadata(model, _GRADED_FORM, "1")
        return model

    def _set_schedule(self, model: onnx.ModelProto, schedule: str) -> None:
        set_metadata(model, "snnc.options", json.dumps({**self._document("snnc.options"), "schedule": schedule}))

    def _document(self, key: str) -> Any:
        return next(json.loads(entry.value) for entry in self.model.metadata_props if entry.key == key)

    def require_settling(self) -> None:
        """SNN405 unless a frame can go on from where the last one ended."""
        if not self.settles or all(state.what != "entered charge" for state in self.block.states):
            fail(
                "SNN405",
                f"{self.name} was converted by the method {self.options.method}, whose spikes depend on time: a frame "
                "cannot go on from where the last one ended",
                hint="convert the ANN with `--method exact`",
            )

    def choose_steps(self, steps: int | None) -> int:
        """`steps`, or the file's own; SNN404 unless they are from 1 to its max_steps, and more than its delay, SNN405
        where they are no integer."""
        chosen, least = self.options.steps if steps is None else whole("steps", steps), self.options.delay + 1
        if not least <= chosen <= self.options.max_steps:
            fail("SNN404", f"{chosen} steps; {self.name} allows {least} to {self.options.max_steps}")
        return chosen

    def check_early_exit(self) -> None:
        """SNN405 where no sample can leave early: the steps are fixed, or the first output has no lead of a class."""
        unrolled = self.options.schedule == "unrolled"
        if unrolled or self.options.controls == "fixed":
            given = "--schedule unrolled" if unrolled else "--controls fixed"
            message = f"{self.name} was converted with {given}: its steps are fixed, and no sample can leave early"
            fail("SNN405", message, hint=f"convert it without `{given}`")
        tensor = self.model.graph.output[0].type.tensor_type
        sizes = [dim.dim_value for dim in tensor.shape.dim[1:]]
        if tensor.elem_type != onnx.TensorProto.FLOAT or not sizes or sizes[0] < 2 or set(sizes[1:]) - {1}:
            name = self.model.graph.output[0].name
            message = (
                f"the margin is the lead of a class, and the output {name!r} of {self.name} has no scores of classes"
            )
            fail("SNN405", message, hint="leave the margin away: every sample takes all steps")

    def choose_seed(self, seed: int | None) -> int:
        """`seed`, or the file's own; SNN405 unless it fits into a signed 64-bit integer."""
        chosen = self.options.seed if seed is None else whole("seed", seed)
        if not -(2**63) <= chosen < 2**63:
            fail("SNN405", f"seed is {chosen}, must fit into a signed 64-bit integer")
        return chosen
