"""Nothing that the compiler says or rewrites is without a test.

Found out, not written down: which codes stand in golden cases and in the assertions of tests, which passes change the
model of a golden case, and which functions of the passes and of `snnc.reading` golden cases call.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import golden
import pytest

from snnc import pipeline
from snnc.diagnostics import RULES, DiagnosticError
from snnc.ir.conversion import Conversion, Pass
from snnc.levels import run_pass
from snnc.methods import METHODS
from snnc.methods.defaults import make_options

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.txt"))
CODE = re.compile(r"SNN\d{3}")

#: Passes that need no data and change no model, and why.
NO_REWRITING = {"validate": "it reports what is left, and sets the level"}
#: Functions that no golden case can call, by file, and why. `*` are all of a file.
NO_CASE = {
    "snnc/reading/external.py": {"*": "constants in other files: a case is one text (test_bad_files.py)"},
    "snnc/reading/torch_export.py": {"*": "modules of torch (test_torch.py)"},
    "snnc/reading/samples.py": {"with_samples_in_front": "of the exporters of torch (test_torch.py)"},
    "snnc/reading/tensors.py": {"_sparse_fault": "ONNX text has no sparse constants (test_bad_tensors.py)"},
}


@dataclass
class Record:
    """What golden cases do: which passes changed which case, and which functions were called, by file and line."""

    changed: dict[str, list[str]] = field(default_factory=dict)
    called: set[tuple[str, int]] = field(default_factory=set)

    def see(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            self.called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))


@pytest.fixture(scope="module")
def record() -> Record:
    """All golden cases, up to where a conversion needs data."""
    found = Record()
    for path in CASES:
        case = golden.read_case(path)
        sys.setprofile(found.see)
        try:
            conversion = Conversion(case.model, make_options(**case.options))
            for step in pipeline.before_data(conversion):
                before = list(golden.print_graph(conversion.graph))
                run_pass(step, conversion)
                if list(golden.print_graph(conversion.graph)) != before:
                    found.changed.setdefault(step.name, []).append(path.stem)
        except DiagnosticError:
            pass
        finally:
            sys.setprofile(None)
    return found


def rewriting_passes() -> dict[str, Pass]:
    """The passes of all methods that need no data, by name."""
    found: dict[str, Pass] = {}
    for method in METHODS.own:
        conversion = Conversion(
            golden.model("net (float[N] x) => (float[N] y) { y = Relu (x) }"), make_options(method=method)
        )
        found |= {step.name: step for step in pipeline.before_data(conversion)}
    return found


def test_every_pass_changes_a_golden_case(record: Record) -> None:
    passes = rewriting_passes()
    assert len(passes) > 25
    assert set(passes) - set(record.changed) == set(NO_REWRITING)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file: name and first line, that of a decorator where there is one. Results that are kept may
    be those of an earlier test: their functions are left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and not any("cache" in ast.unparse(each) for each in node.decorator_list):
            yield node.name, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def test_every_rewriting_is_called_by_a_golden_case(record: Record) -> None:
    """Passes rewrite in several ways, each a function; so does the reading of a file."""
    modules = [Path(sys.modules[step.run.__module__].__file__ or "") for step in rewriting_passes().values()]
    modules += sorted(Path(sys.modules["snnc.reading"].__file__ or "").parent.glob("*.py"))
    missing: dict[str, set[str]] = {}
    for path in modules:
        names = {name for name, line in functions(path) if (str(path), line) not in record.called}
        if names:
            missing[path.relative_to(HERE.parent).as_posix()] = names
    for name, reasons in NO_CASE.items():
        assert name in missing, f"{name} has golden cases: it is no exception"
        if "*" in reasons:
            del missing[name]
        else:
            assert set(reasons) <= missing[name]
            missing[name] -= set(reasons)
    assert {name: names for name, names in missing.items() if names} == {}


# --- rules ------------------------------------------------------------------------------------------------------------


def test_every_rule_is_triggered() -> None:
    """By a golden case, or by a test that asserts its code."""
    golden_codes = {code for path in CASES for code in CODE.findall(golden.read_case(path).expected)}
    tested: dict[str, set[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for name, code in asserted_codes(ast.parse(path.read_text(encoding="utf-8"))):
            tested.setdefault(code, set()).add(f"{path.stem}.{name}")
    assert set(RULES) - golden_codes - set(tested) == set()


def test_what_stands_in_a_negative_assertion_triggers_nothing() -> None:
    source = '''
def test_one():
    """SNN101"""
    assert "SNN102" not in text
    assert "SNN103" in text
    refuse(invoke, "SNN104")
    if "SNN105":
        pass
    (found,) = [each for each in all if each.code == "SNN109"]

@pytest.mark.parametrize("code", ["SNN106"])
def test_two(code):
    with pytest.raises(Error, match="SNN107"):
        pass

def helper():
    assert "SNN108"
'''
    found = set(asserted_codes(ast.parse(source)))
    assert found == {
        ("test_one", "SNN103"), ("test_one", "SNN104"), ("test_one", "SNN109"), ("test_two", "SNN106"),
        ("test_two", "SNN107"),
    }  # fmt: skip


def asserted_codes(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Test and code, for the codes in assertions, arguments of calls, parameters and unpacked values (which have to be
    there) of the tests of a file."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
            for place in (*function.decorator_list, *function.body):
                for node in ast.walk(place):
                    unpacked = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
                    if unpacked or isinstance(node, (ast.Assert, ast.Call)):
                        yield from ((function.name, code) for code in _codes(node))


def _codes(node: ast.AST) -> Iterator[str]:
    """The codes in an expression, without what is asserted not to be there."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.NotIn, ast.NotEq)):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from CODE.findall(node.value)
    for child in ast.iter_child_nodes(node):
        yield from _codes(child)
