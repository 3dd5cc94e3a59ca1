"""One mutant: converted or only checked, and what is wrong with how that went."""

from __future__ import annotations

import re
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import snnc
from snnc.diagnostics import Diagnostic, DiagnosticError
from snnc.simulate.ann import load_model

from .mutant import Mutant
from .truth import lie

# What only authors of other programs understand, in a message for a user.
_FOREIGN = re.compile(r"ONNXRuntimeError|onnxruntime_src|Traceback|0x[0-9a-f]{6}|<[a-z_]+ object|\.(cc|h|cpp|py):\d+")
# Where a node of torch comes from, in a line of its own: that is a line of the user's program.
_USERS_LINE = re.compile(r"^  in: .*$", re.MULTILINE)
_MEMORY = re.compile(r"bad_alloc|bad allocation|[Ff]ailed to allocate|MemoryError|Unable to allocate|[Oo]ut of memory")
_EXTERNAL = "data.bin"


@dataclass
class Attempt:
    """What came of a mutant: its `outcome` is converted, checked, refused (with `codes`), or a kind of finding, with a
    `place` by which equal ones are counted, and a `detail`."""

    number: int
    seed: str
    changes: Sequence[str]
    options: dict[str, Any]
    outcome: str
    codes: list[str] = field(default_factory=list)
    place: str = ""
    detail: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    def record(self) -> dict[str, Any]:
        """For a line of the log."""
        return asdict(self)

    @property
    def is_finding(self) -> bool:
        """Whether something has to be repaired."""
        return self.outcome not in ("converted", "checked", "refused")


def attempt(mutant: Mutant, folder: Path, convert: bool) -> Attempt:
    """Convert it, or only check it, in this process, with `folder` for its files."""
    found = Attempt(mutant.number, mutant.seed, mutant.changes, mutant.options, "checked")
    start = time.process_time()
    try:
        model = _model(mutant, folder)
        if model is not None:
            found.codes = _tried(found, mutant, model, convert)
    except DiagnosticError as error:
        found.outcome, found.codes = "refused", _codes(error.diagnostics)
        _judge_texts(found, error.diagnostics)
    except Exception as error:
        found.outcome, found.place = _kind(error), f"{type(error).__name__} at {_deepest(error)}"
        found.detail = "".join(traceback.format_exception(error))[-4000:]
    found.seconds = time.process_time() - start
    return found


def _model(mutant: Mutant, folder: Path) -> onnx.ModelProto | Path | None:
    """What is given to snnc; None where the bytes are none of a protobuf that could be in memory."""
    if mutant.in_memory:
        try:
            return onnx.load_model_from_string(mutant.content)
        except Exception:  # a file that cannot be read is tested as a file
            return None
    path = folder / "net.onnx"
    path.write_bytes(mutant.content)
    (folder / _EXTERNAL).write_bytes(np.linspace(-1, 1, 1024, dtype=np.float32).tobytes())
    return path


def _tried(found: Attempt, mutant: Mutant, model: onnx.ModelProto | Path, convert: bool) -> list[str]:
    if not convert:
        options = {name: value for name, value in mutant.options.items() if name not in ("calib_samples",)}
        problems = snnc.check(model, **options)
        errors = [problem for problem in problems if problem.severity == "error"]
        found.outcome = "refused" if errors else "checked"
        _judge_texts(found, problems)
        return _codes(errors)
    converted = snnc.convert(model, **mutant.options)
    found.outcome = "converted"
    _judge_texts(found, converted.report.diagnostics.found)
    ann = model if isinstance(model, onnx.ModelProto) else load_model(model)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        said = lie(ann, converted, mutant.number, mutant.options.get("input_range"))
    if said:
        found.outcome, found.place, found.detail = "lie", re.sub(r"[\d.]+|'[^']*'", "#", said)[:80], said
    return []


def _codes(diagnostics: Sequence[Diagnostic]) -> list[str]:
    return sorted({diagnostic.rule.code for diagnostic in diagnostics})


def _judge_texts(found: Attempt, diagnostics: Sequence[Diagnostic]) -> None:
    """A diagnostic has a message and a hint, and is in our words."""
    for diagnostic in diagnostics:
        text = str(diagnostic)
        if _MEMORY.search(text):
            found.outcome, found.place, found.detail = "memory", diagnostic.rule.code, text
        elif _FOREIGN.search(_USERS_LINE.sub("", text)) or not diagnostic.message.strip() or "hint: " not in text:
            found.outcome, found.place, found.detail = "text", f"{diagnostic.rule.code} {text[:60]!r}", text[:2000]


def _kind(error: Exception) -> str:
    return "memory" if isinstance(error, MemoryError) or _MEMORY.search(str(error)) else "exception"


def _deepest(error: Exception) -> str:
    """The last place of snnc, or of this test, on the way to an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    place = (own or frames)[-1]
    return f"{Path(place.filename).name}:{place.name}"
