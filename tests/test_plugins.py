"""Plug-ins: the example, installed and used in processes of its own, and what happens where one is broken."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.ir.signal import Signal
from snnc.methods.defaults import make_options
from snnc.operators import BY_ANN_NAME, OPERATORS, LinearOperator
from snnc.operators.functions import functions_used_by, opsets_for
from snnc.plugins import _ARGUMENTS, Registry, instance_of
from snnc.simulate import reference
from snnc.thresholds import ThresholdRule
from snnc.thresholds.vmax import Vmax

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin"
NET = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N, 4] x) => (float[N, 3] y)
{ a = MatMul (x, W)  b = Neg (a)  r = Relu (b)  y = MatMul (r, V) }
"""


def network() -> onnx.ModelProto:
    """Dense, negated, ReLU, dense."""
    model = onnx.parser.parse_model(NET)
    random = np.random.default_rng(0)
    for name, shape in {"W": (4, 8), "V": (8, 3)}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(random.normal(size=shape).astype("f"), name))
    return model


def outputs_of(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The first output of a model of standard operators and functions."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed in it."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, folder / "source")  # pip leaves traces where it builds
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    options = ["--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run([*command, *options], check=True, timeout=300)
    return folder / "site"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with the network and data for it."""
    onnx.save(network(), tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(80, 4)).astype(np.float32))
    return tmp_path


def run(work: Path, *arguments: str, path: Path | None = None, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    """`snnc` in a process that sees the plug-ins in `path`."""
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    result = subprocess.run(
        [sys.executable, "-m", "snnc", *arguments],
        cwd=work, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == exit_code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


def metadata(file: Path) -> dict[str, Any]:
    """The JSON parts of a converted file's metadata."""
    entries = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    return {key: json.loads(value) for key, value in entries.items() if value.startswith("{")}


CONVERT = ("convert", "net.onnx", "--calib", "x.npy", "--calib-steps", "64")


def test_the_operator_of_the_example(installed: Path, work: Path) -> None:
    run(work, *CONVERT)  # without it a factor of -1 in the weights
    assert {function.domain for function in onnx.load(work / "net.snn.onnx").functions} == {"ai.snnc"}
    result = run(work, *CONVERT, "--steps", "512", path=installed)
    assert "SNN511" not in result.stderr  # the reference simulator knew the operator
    file = work / "net.snn.onnx"
    converted = onnx.load(file)
    assert {function.domain for function in converted.functions} == {"ai.snnc", "com.example.snnc"}
    assert metadata(file)["snnc.verification"]["error"] < 0.15
    # The file needs the plug-in no more, whole or block by block.
    run(work, "run", "net.snn.onnx", "--input", "x.npy", "-o", "y.npy")
    expected = outputs_of(network(), np.load(work / "x.npy"))
    found = np.load(work / "y.npy")
    assert np.linalg.norm(found - expected) < 0.15 * np.linalg.norm(expected)
    run(work, "eval", "net.snn.onnx", "--data", "x.npy", "--steps", "8,512")
    assert "net.onnx can be converted" in run(work, "check", "net.onnx", path=installed).stdout
    run(work, *CONVERT, "--threshold", "max", "--steps", "512", path=installed)  # its activations can be measured
    assert metadata(file)["snnc.verification"]["error"] < 0.15


def test_without_its_account_the_reference_is_skipped(installed: Path, work: Path, tmp_path: Path) -> None:
    site = shutil.copytree(installed, tmp_path / "site")
    (entry_points,) = site.glob("*.dist-info/entry_points.txt")
    text = entry_points.read_text()
    assert "[snnc.reference]\nNegate" in text
    entry_points.write_text(text.replace("[snnc.reference]", "[nothing]"))
    result = run(work, *CONVERT, path=site)
    assert "warning[SNN511] it does not know Negate" in result.stderr


def test_the_rule_of_the_example(installed: Path, work: Path) -> None:
    run(work, *CONVERT, "--threshold", "mean-percentile", exit_code=2)
    found = {}
    for percent in ("60", "100"):
        run(work, *CONVERT, "--threshold", "mean-percentile", "--set", f"percent={percent}", path=installed)
        found[percent] = metadata(work / "net.snn.onnx")
    options = found["60"]["snnc.options"]
    assert (options["threshold"], options["v_init"], options["plugin_options"]) == (
        "mean-percentile",
        0.5,
        {"percent": 60},
    )
    assert found["60"]["snnc.calibration"]["threshold"] == "mean-percentile"
    # What the file tells can be read where the plug-in is not installed.
    assert "threshold=mean-percentile" in run(work, "inspect", "net.snn.onnx").stdout
    for wrong, message in (("percent=40", "must be from 50 to 100"), ("percent=high", "of the wrong type")):
        result = run(work, *CONVERT, "--threshold", "mean-percentile", "--set", wrong, path=installed, exit_code=2)
        assert message in result.stderr
    result = run(work, *CONVERT, "--set", "percent=60", path=installed, exit_code=2)
    assert "neither the method nor the threshold rule has an option 'percent'" in result.stderr
    assert "mean-percentile]" in run(work, "convert", "--help", path=installed).stdout


def test_the_method_of_the_example(installed: Path, work: Path) -> None:
    run(work, *CONVERT, "--method", "rmp-fast", path=installed)
    options = metadata(work / "net.snn.onnx")["snnc.options"]
    assert (options["method"], options["threshold"], options["steps"]) == ("rmp-fast", "mean-percentile", 64)
    result = run(work, *CONVERT, "--method", "rmp-fast", "--alpha", "0.5", path=installed, exit_code=2)
    assert "alpha is no option of the method rmp-fast: its thresholds are percentiles" in result.stderr
    sweep = ("sweep", "net.onnx", "--calib", "x.npy", "--data", "x.npy", "--steps", "8", "--method", "rmp-fast")
    assert "soft mean-percentile" in run(work, *sweep, path=installed).stdout


# --- broken plug-ins --------------------------------------------------------------------------------------------------


def distribution(folder: Path, name: str, entry_points: str, code: str = "") -> None:
    """Put a distribution with a module of its name into `folder`."""
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(entry_points)
    (folder / f"{name}.py").write_text(code)


def rules() -> Registry[ThresholdRule]:
    """A registry that has looked for nothing yet."""
    return Registry("snnc.thresholds", {"vmax": Vmax()}, instance_of(ThresholdRule, lambda rule: rule.name))


RULE = """
from snnc.thresholds.vmax import Vmax
class Odd(Vmax):
    name = "odd"
"""
ODD = "[snnc.thresholds]\nodd = brittle:Odd\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("", "AttributeError: module 'brittle' has no attribute 'Odd'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def Odd(", "SyntaxError"),
        ("Odd = 3", "TypeError: 3 is no ThresholdRule"),
        ("class Odd: pass", "is no ThresholdRule"),
        (f"{RULE}    estimate = property()\nOdd.name = 'even'", "ValueError: the entry point is named 'odd', the Thr"),
        (
            f"from snnc.ir.option import Option\n{RULE}    options = (Option('alpha', float, 1.0, ''),)",
            "'alpha' is one of",
        ),
        (
            f"from snnc.ir.option import Option\n{RULE}    options = (Option('calib', str, '', ''),)",
            "'calib' is one of",
        ),
        ("from snnc.thresholds import ThresholdRule\nclass Odd(ThresholdRule): name = 'odd'", "TypeError: Can't inst"),
    ],
)
def test_a_broken_plugin_is_one_diagnostic(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "brittle", ODD, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "brittle", raising=False)
    registry = rules()
    assert list(registry) == ["vmax", "odd"]  # nothing is imported
    assert registry["vmax"].name == "vmax"
    with pytest.raises(DiagnosticError) as caught:
        registry["odd"]
    (found,) = caught.value.diagnostics
    assert found.rule.code == "SNN409"
    assert found.message.startswith("'odd' of plug-in brittle 1.5 in snnc.thresholds: ")
    assert message in found.message


def test_arguments_of_convert_are_no_names_for_options() -> None:
    own = set(inspect.signature(snnc.convert).parameters) | set(inspect.signature(make_options).parameters)
    assert own - {"options"} <= set(_ARGUMENTS)


def test_entry_points_that_cannot_be_read_spoil_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    distribution(tmp_path, "brittle", ODD, RULE)
    distribution(tmp_path, "garbage", "[snnc.thresholds]\nnonsense\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "brittle", raising=False)
    with caplog.at_level(logging.WARNING, "snnc"):
        assert rules()["odd"].name == "odd"
    assert "warning[SNN510] the entry points of garbage cannot be read" in caplog.text


def test_a_plugin_is_imported_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "brittle", ODD, RULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "brittle", raising=False)
    registry = rules()
    assert "odd" in registry
    assert len(registry) == 2
    assert registry.plugged == []
    assert "brittle" not in sys.modules
    assert registry["odd"] is registry["odd"]
    assert [rule.name for rule in registry.plugged] == ["odd"]
    with pytest.raises(KeyError):
        registry["even"]


def test_names_that_are_taken_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    distribution(tmp_path, "brittle", "[snnc.thresholds]\nvmax = brittle:Odd\nodd = brittle:Odd\n", RULE)
    distribution(tmp_path, "rival", "[snnc.thresholds]\nodd = rival:Odd\n", RULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = rules()
    with caplog.at_level(logging.WARNING, "snnc"):
        assert type(registry["vmax"]) is Vmax
    assert "warning[SNN510] 'vmax' of plug-in brittle 1.5 in snnc.thresholds: snnc has one" in caplog.text
    with pytest.raises(DiagnosticError, match=r"SNN409.*plug-in (brittle|rival) 1\.5.*plug-in (brittle|rival) 1\.5"):
        registry["odd"]


def test_a_broken_plugin_leaves_other_conversions_alone(work: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    points = "[snnc.methods]\nslow = brittle:Slow\n[snnc.operators]\nNeg = brittle:Neg\nRelu = brittle:Relu\n"
    distribution(site, "brittle", ODD + points, "raise RuntimeError('out of order')")
    result = run(work, *CONVERT, path=site, exit_code=1)
    assert result.stderr.count("error[") == 1
    assert "error[SNN409] 'Neg' of plug-in brittle 1.5 in snnc.operators: RuntimeError: out of order" in result.stderr
    assert "warning[SNN510] 'Relu' of plug-in brittle 1.5" in result.stderr
    for option, name in (("--threshold", "odd"), ("--method", "slow")):
        result = run(work, *CONVERT, option, name, path=site, exit_code=1)
        assert f"error[SNN409] '{name}' of plug-in brittle 1.5" in result.stderr
    model = network()
    model.graph.node[1].op_type = "Relu"
    onnx.save(model, work / "net.onnx")
    assert "SNN409" not in run(work, *CONVERT, path=site).stderr


class Twice(LinearOperator):
    """y = x + x."""

    name, domain, ann_name = "Twice", "com.example.test", "Twice"
    functions = ("Once (a, b) => (y) { y = Add (a, b) }", "Twice (x) => (y) { y = com.example.test.Once (x, x) }")

    def signal(self, node: Any, operands: Sequence[Signal], weights: Any, exact: Any = None) -> Signal:
        return operands[0].times(2)

    def fanout(self, node: Any, position: Any, cost: Any) -> Any:
        return cost

    def current(self, node: Any, operands: Any, output: str, mode: Any, nodes: Any) -> str:
        return str(nodes.node("Twice", operands, output, domain=self.domain))


def test_functions_of_plugins_are_found_with_those_they_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPERATORS, "_plugged", {"Twice": Twice()})
    node = helper.make_node("Twice", ["x"], ["y"], domain="com.example.test")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    found = functions_used_by(graph)
    assert [function.name for function in found] == ["Once", "Twice"]
    model = helper.make_model(graph, functions=found, opset_imports=opsets_for(found), ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    assert np.array_equal(outputs_of(model, np.ones(2, np.float32)), [2, 2])
    carried = [onnx.FunctionProto.FromString(function.SerializeToString()) for function in found]
    carried[0].doc_string = "of the file"
    assert functions_used_by(graph, carried)[0].doc_string == "of the file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Conv"}, "its name in the spiking graph, 'Conv', is taken"),
        ({"name": "RMP"}, "is taken"),
        ({"domain": "ai.snnc"}, "the domain ai.snnc is that of snnc"),
        ({"domain": ""}, "its functions need a domain of their own"),
        ({"functions": ("Twice (x) => (y) { nonsense",)}, "a function of domain com.example.test: "),
        ({"ann_name": "Thrice"}, "the entry point is named 'Twice', the LinearOperator 'Thrice'"),
    ],
)
def test_an_operator_keeps_to_its_own(change: dict[str, Any], message: str) -> None:
    wrong = type("Wrong", (Twice,), change)
    with pytest.raises(ValueError, match=message):
        BY_ANN_NAME._load(wrong, "Twice")


def test_the_reference_keeps_its_own_accounts() -> None:
    with pytest.raises(ValueError, match="known"):
        reference.register("", "Conv", lambda attrs, x: x)
    with pytest.raises(ValueError, match="known"):
        reference.register("ai.snnc", "RMP", lambda attrs, x: x)


def test_without_plugins_the_operator_is_a_factor() -> None:
    assert snnc.check(network()) == []
