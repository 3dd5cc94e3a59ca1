"""The fuzz test (tests/fuzz): a few mutants in every run of the tests, more where SNNC_FUZZ says how many."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import onnx
import pytest
from fuzz import pool, worker
from fuzz.attempt import Attempt, attempt
from fuzz.corpus import Seed, corpus
from fuzz.mutant import Mutant
from fuzz.truth import lie
from onnx import helper, numpy_helper

import snnc
from snnc.diagnostics import RULES, Diagnostic, DiagnosticError

ROOT = Path(__file__).parent.parent
COUNT = int(os.environ.get("SNNC_FUZZ", "150"))
# Of what is not refused, few are converted to the end: mutants a second are worth more here.
CONVERTED = 0.1


def fuzz(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command, with the models of tests/cases alone: the same mutants everywhere."""
    command = [sys.executable, "-m", "tests.fuzz", "--golden", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_mutants_are_converted_or_refused() -> None:
    found = fuzz("--count", str(COUNT), "--converted", str(CONVERTED))
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{COUNT:,} mutants" in found.stdout
    assert "0 findings" in found.stdout


def test_a_run_goes_on_where_its_log_ends(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert fuzz("--count", "3", "--converted", "0", "--log", log).returncode == 0
    assert len(log.read_text(encoding="utf-8").splitlines()) == 4
    assert "5 mutants" in fuzz("--count", "5", "--converted", "0", "--log", log, "--resume").stdout
    assert len(log.read_text(encoding="utf-8").splitlines()) == 6
    assert "5 mutants" in fuzz("--summarise", log).stdout
    other = fuzz("--seed", "1", "--count", "5", "--converted", "0", "--log", log, "--resume")
    assert other.returncode == 1
    assert "of another run" in other.stderr


@pytest.mark.parametrize("seed", [seed for seed in corpus(shared=False) if seed.name.startswith("own/")], ids=str)
def test_models_are_right_without_a_change(seed: Seed) -> None:
    options: dict[str, Any] = {"shape": "2,5,5"} if seed.name == "own/open" else {}
    method = "exact" if seed.name == "own/gate" else "rmp"
    snnc.convert(seed.model(), method=method, relaxed=True, calib_samples=24, accept_poor=True, **options)


# Every kind of finding, where something is wrong on purpose

HEAD = "import json, os, sys, time\nfor line in sys.stdin:\n    "


@pytest.mark.parametrize(
    ("body", "outcome", "place"),
    [
        ("os.abort()", "crash", "died with SIGABRT"),
        ("sys.exit(3)", "crash", "died with 3"),
        ("while True: pass", "hang", "hang"),
    ],
)
def test_workers_that_are_lost(body: str, outcome: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_CPU_SECONDS", 0.5)
    found = list(pool.tried([7, 8], 1, [sys.executable, "-c", HEAD + body]))
    assert [(each.number, each.outcome, each.place) for each in found] == [(7, outcome, place), (8, outcome, place)]


def a_mutant(in_memory: bool = True) -> Mutant:
    """One that is not changed."""
    (good,) = (seed for seed in corpus(shared=False) if seed.name == "own/flatten")
    return Mutant(0, good.name, (), {"relaxed": True}, good.content, in_memory)


def test_other_exceptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise KeyError("x")

    monkeypatch.setattr(snnc, "check", fail)
    found = attempt(a_mutant(), tmp_path, convert=False)
    assert (found.outcome, found.place) == ("exception", "KeyError at test_fuzz.py:fail")


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("it has a cycle", "refused"),
        ("[ONNXRuntimeError] : 2 : x", "text"),
        ("in conv.cc:275", "text"),
        (" ", "text"),
        ("Failed to allocate memory for requested buffer of size 1", "memory"),
    ],
)
def test_what_diagnostics_say(message: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise DiagnosticError([Diagnostic(RULES["SNN103"], message)])

    monkeypatch.setattr(snnc, "check", fail)
    assert attempt(a_mutant(in_memory=False), tmp_path, convert=False).outcome == outcome


def test_lines_of_the_user_are_no_foreign_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise DiagnosticError([Diagnostic(RULES["SNN204"], "it is too new", module="conv1", source="main.py:25")])

    monkeypatch.setattr(snnc, "check", fail)
    assert attempt(a_mutant(in_memory=False), tmp_path, convert=False).outcome == "refused"


def test_what_others_say() -> None:
    with tempfile.TemporaryFile() as said:
        said.write(b"[E:onnxruntime:] something\n")
        found = Attempt(0, "", [], {}, "refused")
        worker._add_what_was_said(found, said)
        assert (found.outcome, found.detail) == ("output", "[E:onnxruntime:] something\n")
        again = Attempt(0, "", [], {}, "refused")
        worker._add_what_was_said(again, said)
        assert again.outcome == "refused"


@pytest.mark.parametrize("method", ["rmp", "exact"])
def test_conversions_of_another_network(method: str) -> None:
    """Converted is one network, compared another one, whose last weights are of the other sign."""
    ann = onnx.load_model_from_string(a_mutant().content)
    steps: dict[str, Any] = {} if method == "exact" else {"steps": 256}
    found = snnc.convert(ann, method=method, relaxed=True, calib_samples=24, **steps)
    assert lie(ann, found, 0, None) == ""
    last = ann.graph.initializer[-1]
    last.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(last), last.name))
    assert "was said" in lie(ann, found, 0, None)


def test_a_network_that_loses_the_batch_of_one_sample_is_no_lie() -> None:
    """A Squeeze without axes: one sample has no axis of the batch in the ANN, two have one."""
    ann = onnx.load_model_from_string(a_mutant().content)
    (last,) = (node for node in ann.graph.node if "y" in node.output)
    last.output[0] = "before"
    ann.graph.node.append(helper.make_node("Squeeze", ["before"], ["y"]))
    found = snnc.convert(ann, method="exact", relaxed=True, levels=16, calib_samples=24)
    assert found.model.graph.output[0].name == "y"
    assert lie(ann, found, 0, None) == ""


def test_certificates_that_do_not_hold() -> None:
    """The quantised ANN inside the file is that of another conversion."""
    ann = onnx.load_model_from_string(a_mutant().content)
    found = snnc.convert(ann, method="exact", levels=8, calib_samples=24)
    other = snnc.convert(ann, method="exact", levels=7, calib_samples=24)
    (kept,) = (entry for entry in found.model.metadata_props if entry.key == "snnc.quantised")
    kept.value = next(entry.value for entry in other.model.metadata_props if entry.key == "snnc.quantised")
    assert lie(ann, found, 0, None).startswith("certified, but")
