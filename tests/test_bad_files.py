"""Files that are no models, or damaged ones: always a diagnostic, in limited time."""

from __future__ import annotations

import os
from pathlib import Path

import golden
import networks
import onnx
import pytest
from bad_models import GOOD, WEIGHTS, codes, mlp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.simulate.ann import load_model

# Files


@pytest.mark.parametrize("suffix", [".onnx", ".json", ".textproto", ".onnxtxt", ""])
@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b"\xff\xfe\x00", os.urandom(300)], ids=range(5))
def test_files_that_are_no_models(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    assert codes(path) == ["SNN101"]


def test_a_model_is_one_whatever_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(golden.model(WEIGHTS + GOOD).SerializeToString())
    assert codes(path) == []


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert codes(tmp_path / "nothing.onnx") == ["SNN101"]
    assert codes(tmp_path) == ["SNN101"]


def test_truncated_files(tmp_path: Path) -> None:
    content = golden.model(WEIGHTS + GOOD).SerializeToString()
    path = tmp_path / "net.onnx"
    for size in range(1, len(content), 5):
        path.write_bytes(content[:size])
        assert codes(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    model = golden.model(WEIGHTS + mlp("a = MatMul (x, V) h = Relu (a) y = Softmax (h)"))
    content = bytearray(model.SerializeToString())
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    codes(path, steps=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [("offset", "abc"), ("length", "x"), ("length", "-5"), ("location", "../x"), ("location", "/x"), ("location", "")],
)
def test_bad_references_to_external_data(key: str, value: str, tmp_path: Path) -> None:
    model = golden.model(WEIGHTS + GOOD)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for name, text in {"location": "data.bin", key: value}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = name, text
    (tmp_path / "data.bin").write_bytes(bytes(48))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert codes(path) == ["SNN104"]


def in_another_file(location: str, length: int = 48) -> onnx.ModelProto:
    """A model whose first weight lies there."""
    model = golden.model(WEIGHTS + GOOD)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for name, text in {"location": location, "length": str(length)}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = name, text
    return model


def test_external_data_stay_in_the_folder_of_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    for place in (tmp_path, folder / "below"):
        (place / "data.bin").write_bytes(bytes(48))
    (folder / "link.bin").symlink_to(tmp_path / "data.bin")
    path = folder / "net.onnx"
    for location in ("../data.bin", "below/../../data.bin", str(tmp_path / "data.bin"), "link.bin"):
        path.write_bytes(in_another_file(location).SerializeToString())
        with pytest.raises(DiagnosticError, match=r"SNN104.*outside"):
            load_model(path)
    path.write_bytes(in_another_file("below/data.bin").SerializeToString())
    assert len(load_model(path).graph.initializer[0].raw_data) == 48


def test_external_data_in_constants(tmp_path: Path) -> None:
    model = golden.model(
        WEIGHTS + mlp("w = Constant <value = float[4,3] {1,2,3,4,5,6,7,8,9,1,2,3}> () a = MatMul (x, w)")
    )
    tensor = model.graph.node[0].attribute[0].t
    tensor.CopyFrom(in_another_file("data.bin").graph.initializer[0])
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert codes(path) == ["SNN104"]
    (tmp_path / "data.bin").write_bytes(bytes(48))
    assert len(load_model(path).graph.node[0].attribute[0].t.raw_data) == 48


def test_models_beyond_a_protobuf(tmp_path: Path) -> None:
    """Files with holes: nothing of them is read."""
    size = 2**31 + 2**20
    for name in ("huge.onnx", "data.bin"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert codes(tmp_path / "huge.onnx") == ["SNN107"]
    path = tmp_path / "net.onnx"
    path.write_bytes(in_another_file("data.bin", size).SerializeToString())
    assert codes(path) == ["SNN107"]


def test_a_model_survives_its_own_conversion(tmp_path: Path) -> None:
    path = tmp_path / "net.snn.onnx"
    snnc.convert(golden.model(WEIGHTS + GOOD), steps=8).save(path)
    assert codes(load_model(path)) == ["SNN405"]
    assert networks.images_for(golden.model(WEIGHTS + GOOD)).shape == (networks.SAMPLES, 4)


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    content = golden.model(WEIGHTS + mlp("a = MatMul (x, V) h = Relu (a) y = Softmax (h)")).SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(content.replace(b"\x12\x01N", b"\x12\x01\x80"))
    assert path.read_bytes() != content
    assert codes(path, steps=2) == ["SNN103"]
