"""Output files are whole or absent; converted files are read back, or refused with a reason."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snnc
from snnc.api import SpikingModel, open_converted
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile, set_metadata, write_atomically
from snnc.runtime import SpikingSession
from snnc.scratch import Scratch
from snnc.simulate.block_runner import StreamRunner

DIGITS = Path(snnc.__file__).parent / "demo" / "digits.onnx"


@pytest.fixture(scope="module")
def model() -> SpikingModel:
    return snnc.convert(DIGITS, steps=8)


def damaged(model: SpikingModel, key: str, value: str) -> str:
    """Code of the rule that refuses the file with this metadata."""
    copy = type(model.model)()
    copy.CopyFrom(model.model)
    set_metadata(copy, key, value)
    with pytest.raises(DiagnosticError) as caught:
        ConvertedFile(copy, "net.snn.onnx")
    return caught.value.diagnostics[0].rule.code


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_atomically(path, b"old")
    write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DiagnosticError, match="SNN401"):
        write_atomically(tmp_path / "out", b"a folder is in the way")
    with pytest.raises(DiagnosticError, match="SNN401"):
        write_atomically(tmp_path / "missing" / "out.bin", b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("key", ["options", "layers", "states", "block"])
@pytest.mark.parametrize("value", ["", "not json", "[1]", "null"])
def test_damaged_metadata_is_refused(model: SpikingModel, key: str, value: str) -> None:
    assert damaged(model, f"snnc.{key}", value) == "SNN402"


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("options", {"steps": "8"}),
        ("options", {"steps": True}),
        ("options", {"schedule": "spiral"}),
        ("options", {"alpha": 7}),  # a number, but none that a conversion accepts
        ("options", {"input_range": [0]}),
        ("calibration", {"samples": None}),
        ("calibration", {"input_scale": "large"}),
        ("verification", {"curve": [[1, 0.5]]}),
        ("verification", {"first_weak_layer": {"layer": "Relu_1"}}),
        ("block", {"body": [0, 10**6]}),
        ("block", {"body": [0, 1]}),
        ("block", {"loop": 0}),
        ("block", {"finals": []}),
    ],
)
def test_values_of_another_type_or_out_of_range_are_refused(
    model: SpikingModel, key: str, change: dict[str, Any]
) -> None:
    metadata = {entry.key: entry.value for entry in model.model.metadata_props}
    damaged_json = json.dumps({**json.loads(metadata[f"snnc.{key}"]), **change})
    assert damaged(model, f"snnc.{key}", damaged_json) == "SNN402"


def test_what_is_read_back_is_what_was_found(model: SpikingModel) -> None:
    file, report = ConvertedFile(model.model, "net"), model.report
    assert file.layers == report.layers
    assert (file.calibration, file.verification) == (report.calibration, report.verification)
    assert file.options.steps == 8


def test_formats(model: SpikingModel) -> None:
    assert damaged(model, "snnc.format_version", "3") == "SNN403"
    assert damaged(model, "snnc.format_version", "x") == "SNN402"


def test_unknown_keys_of_the_same_format_are_ignored(model: SpikingModel) -> None:
    copy = type(model.model)()
    copy.CopyFrom(model.model)
    file = ConvertedFile(copy, "net")
    set_metadata(copy, "snnc.options", json.dumps({**file.options.to_json(), "invented_later": 1}))
    assert ConvertedFile(copy, "net").options == file.options


def test_run_to_end_does_not_depend_on_the_batch(model: SpikingModel) -> None:
    import numpy as np

    images = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    runner = StreamRunner(ConvertedFile(model.model, "net").block)
    all_at_once, in_parts = (runner.run_to_end(images, 70, batch=batch) for batch in (5, 2))
    assert np.array_equal(all_at_once.spike_totals, in_parts.spike_totals)
    assert np.array_equal(all_at_once.outputs["logits"], in_parts.outputs["logits"])


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from snnc.cli.app import snnc as command

    net = tmp_path / "net.onnx"
    net.write_bytes(DIGITS.read_bytes())
    result = CliRunner().invoke(command, ["convert", str(net), "-o", str(net), "--steps", "4"])
    assert result.exit_code == 1
    assert net.read_bytes() == DIGITS.read_bytes()


def test_a_graph_that_does_not_fit_its_metadata_is_refused(model: SpikingModel) -> None:
    copy = type(model.model)()
    copy.CopyFrom(model.model)
    loop = next(node for node in copy.graph.node if node.op_type == "Loop")
    copy.graph.node.remove(loop)
    with pytest.raises(DiagnosticError, match="SNN402"):
        ConvertedFile(copy, "net.snn.onnx")


def test_a_file_of_the_first_release_still_runs() -> None:
    """Written before thresholds were resolved into the options: the same spikes, and it can be inspected."""
    path = Path(__file__).parent / "data" / "format1.snn.onnx"
    images = (np.arange(48) * 7 % 16 / 16).reshape(3, 1, 4, 4).astype(np.float32)
    expected = [[535, 281, 446], [516, 280, 443], [518, 279, 446]]
    for native in (True, False):
        result = SpikingSession(path, native=native).run(images, 70)
        assert result.spike_totals.tolist() == expected
    file = open_converted(path)
    assert (file.format_version, file.options.threshold, file.options.v_init) == (1, "vmax", 0.0)
    streamed = list(StreamRunner(file.block).run(images, [70]))[-1]
    assert streamed.spike_totals.tolist() == expected


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.ENAMETOOLONG, "a shorter name"),
        (errno.EACCES, "in a folder that exists"),
    ],
)
def test_the_hint_fits_the_error(number: int, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiagnosticError) as caught:
        write_atomically(tmp_path / "out", b"content")
    (found,) = caught.value.diagnostics
    assert (found.rule.code, found.message) == ("SNN401", f"{tmp_path}/out: {os.strerror(number)}")
    assert hint in found.text
    assert not list(tmp_path.iterdir())


def test_temporary_files_that_find_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiagnosticError, match=r"SNN412.*No space left on device\n  hint: let TMPDIR name"):
        Scratch().append(b"content")
