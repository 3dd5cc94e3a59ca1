"""What cannot fit into memory is refused, with numbers, before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import DIGITS, Invoke, refuse

from snnc import memory
from snnc.cli.bench import require_room
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.simulate.ann import load_model


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 MiB are free."""
    monkeypatch.setattr(memory, "free_memory", lambda: 2**24)


@pytest.mark.usefixtures("tight")
def test_a_batch_that_is_too_large(invoke: Invoke, converted: Path) -> None:
    result = refuse(invoke, "SNN414", "bench", converted, "--batch", "100000")
    assert "100,000 images at once take 10.9 GiB of memory, and 16.0 MiB are free" in result.stderr
    file = ConvertedFile(load_model(converted), "net")
    (most,) = [int(word) for word in result.stderr.replace("`", " ").split() if word.isdecimal()]
    require_room(file, most)
    with pytest.raises(DiagnosticError, match="SNN414"):
        require_room(file, most + 1)


def test_a_model_that_is_too_large(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 9 * DIGITS.stat().st_size)
    assert "a conversion of this model of " in refuse(invoke, "SNN414", "convert", "net.onnx").stderr


def test_free_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    machine = memory.free_memory()
    assert machine is None or machine > 2**24
    for name, text in (("max", "3000"), ("current", "2500"), ("stat", "anon 1\ninactive_file 100")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.free_memory() == 600
    (tmp_path / "memory.max").write_text("max")
    assert memory.free_memory() != 600
