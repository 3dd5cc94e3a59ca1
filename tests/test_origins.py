"""The module and the line of the user's program that a node comes from, in every finding at it."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden
import onnx
import pytest

import snnc
from snnc.diagnostics import RULES, Diagnostic, DiagnosticError
from snnc.diagnostics.origins import Origin, Origins
from snnc.ir.conversion import Level

if TYPE_CHECKING:
    from commands import Invoke

SCOPES, TRACE = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.stack_trace"
FRAME = 'File "{}", line {}, in forward\n    return x'
IN_TORCH = FRAME.format("/venv/lib/python3.11/site-packages/torch/nn/modules/activation.py", 143)


def node(name: str = "n", doc: str = "", **metadata: Any) -> onnx.ModelProto:
    """A model with one node; `scopes` and `trace` are what an exporter says of it."""
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 18]> g (float[N,2] x) => (float[N,2] y) {y = Relu (x)}'
    )
    made = model.graph.node[0]
    made.name, made.doc_string = name, doc
    for key, value in metadata.items():
        entry = made.metadata_props.add()
        entry.key, entry.value = {"scopes": SCOPES, "trace": TRACE}[key], value
    return model


def origin(*arguments: Any, **metadata: Any) -> tuple[str, str]:
    model = node(*arguments, **metadata)
    found = Origins(model).of(model.graph.node[0].name)
    return found.module, found.source


def test_what_the_default_exporter_says() -> None:
    trace = f"{FRAME.format('/home/me/net.py', 42)}\n  {FRAME.format('/home/me/blocks.py', 7)}\n  {IN_TORCH}"
    assert origin(scopes="['', 'features', 'features.0', 'relu']", trace=trace) == ("features.0", "blocks.py:7")
    assert origin(scopes="['', 'relu']", trace=trace) == ("", "blocks.py:7")
    assert origin(trace=IN_TORCH) == ("", "")
    assert origin(scopes="['_empty_nn_module_stack_from_metadata_hook', 'sym_size_int_1']") == ("", "")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("C:\\Users\\me\\net.py", "net.py:3"),
        ("/x/site-packages/torchvision/models/vgg.py", "vgg.py:3"),
        ("/home/me/torch/net.py", "net.py:3"),
        ("/home/me/pytorch/torch/nn/modules/conv.py", ""),
        ("torch/fx/passes/runtime_assert.py", ""),
        ("torch/net.py", "net.py:3"),
        ("C:\\lib\\site-packages\\torch\\nn\\functional.py", ""),
        ("/usr/lib/python3/dist-packages/torch/functional.py", ""),
        ("<string>", "<string>:3"),
    ],
)
def test_lines_inside_torch_are_not_the_users(path: str, shown: str) -> None:
    assert origin(trace=FRAME.format(path, 3))[1] == shown
    assert origin("n", f"{path}(3): forward\n")[1] == shown


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("/features/features.0/Conv", "features.0"),
        ("/features/features.1/conv/conv.0/conv.0.2/Clip", "features.1.conv.0.2"),
        ("/layer1/layer1.0/relu_1/Relu_3", "layer1.0.relu_1"),
        ("/0/0.1/0.1.0/Relu", "0.1.0"),
        ("/Relu", ""),
        ("Conv_12", ""),
        ("/features/conv/weight", ""),
        ("model/conv1/Conv2D", ""),
        ("//Relu", ""),
        ("/", ""),
    ],
)
def test_names_of_the_older_exporter(name: str, module: str) -> None:
    assert origin(name) == (module, "")


def test_calls_of_the_older_exporter() -> None:
    inside = "/x/site-packages/torch/nn/functional.py(1771): relu\n"
    assert origin("/a/Relu", f"{inside}/me/net.py(42): forward\n/me/main.py(3): <module>\n") == ("a", "net.py:42")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "[]", "['']", "'", "['', ''", "features.0", "[1, 2, 3]", "{'a': 'b'}", "[" * 50_000),
        *("['', '\x1b[31mred', 'relu']", "['', 'a\x00b', 'x']", f"['', '{'long' * 50}', 'relu']"),
        *("['', 'features', 'relu']" + " " * 2**17, "'" * 60_000, "['', 'a\nb', 'c']"),
    ],
)
def test_what_is_not_of_torch_says_nothing(text: str) -> None:
    assert origin(scopes=text, trace=text) == ("", "")
    assert origin("n", text) == ("", "")


@pytest.mark.parametrize(
    "frame",
    [
        *('File "a\x1bb.py", line 3, in x', 'File "a.py", line 99999999999999, in x', f'File "{"a" * 200}.py", line 1'),
        *('File "a.py", line x', 'File "', 'File ""', 'File "' * 10_000, "(" * 60_000),
    ],
)
def test_odd_lines_say_nothing(frame: str) -> None:
    assert origin(trace=frame, scopes="") == ("", "")
    assert origin("n", frame) == ("", "")


def test_text_that_is_none() -> None:
    model = node("marker", scopes="['', 'marker', 'x']")
    damaged = onnx.ModelProto.FromString(model.SerializeToString().replace(b"marker", b"ma\xffker"))
    assert Origins(damaged).of("anything") == Origin()
    assert {each.module for each in Origins(damaged)._known.values()} <= {"", "ma\\udcffker"}
    with pytest.raises(DiagnosticError, match="not valid UTF-8"):
        snnc.convert(damaged)


def test_nodes_that_passes_have_made() -> None:
    origins = Origins(node("/a/Relu", scopes="['', 'a', 'relu']"))
    for name in ("/a/Relu", "y", "snnc//a/Relu/mean", "snnc//a/Relu/mean/0/2", "snnc/y/relay"):
        assert origins.of(name) == Origin("a"), name
    for name in ("", "/a", "/a/Relu/mean", "snnc/", "snnc/x", "snnc//a"):
        assert origins.of(name) == Origin(), name


def test_of_a_diagnostic() -> None:
    bare = Diagnostic(RULES["SNN204"], "what", node="n", hint="so")
    text = str(bare)
    assert "in:" not in text
    assert bare.located(None) is bare
    for metadata, line in (
        ({"scopes": "['', 'a', 'n']"}, "  in: module a"),
        ({"trace": FRAME.format("net.py", 4)}, "  in: net.py:4"),
        ({"scopes": "['', 'a', 'n']", "trace": FRAME.format("net.py", 4)}, "  in: module a (net.py:4)"),
    ):
        assert str(bare.located(Origins(node(**metadata)))).splitlines() == [
            text.splitlines()[0],
            line,
            text.splitlines()[1],
        ]


WRITTEN_OUT = """
# random: w [4, 2, 3, 3] seed 1
# random: s [4, 4, 4] seed 2
# random: v [64, 3] seed 3
network (float[N, 2, 6, 6] x) => (float[N, 3] y) {
    sums = Conv (x, w)
    rectified = Relu (sums)
    normed = LayerNormalization <axis = 1> (rectified, s)
    flat = Flatten (normed)
    y = MatMul (flat, v)
}"""


def test_a_layer_that_was_written_out() -> None:
    """As sums, functions and products, each of which remembers the layer."""
    model = golden.model(WRITTEN_OUT)
    for made in model.graph.node:
        entry = made.metadata_props.add()
        entry.key, entry.value = SCOPES, f"['', 'blocks.{made.op_type}', 'x']"
    conversion = golden.run_to(model, Level.CANONICAL, method="exact")
    origins = conversion.diagnostics.origins
    assert origins is not None
    modules = {made.name: origins.of(made.name).module for made in conversion.graph.nodes}
    assert all(modules.values())
    assert len([name for name, module in modules.items() if module == "blocks.LayerNormalization"]) > 4
    conversion.diagnostics.report("SNN509", "what", node=next(name for name in modules if name.startswith("snnc/")))
    assert conversion.diagnostics.found[-1].module == "blocks.LayerNormalization"


# What the exporters of torch write


def exported(path: Path, dynamo: bool) -> None:
    torch = pytest.importorskip("torch")
    if dynamo and importlib.util.find_spec("onnxscript") is None:
        pytest.skip("onnxscript is not installed")
    torch.manual_seed(0)
    front = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, bias=False), torch.nn.ReLU())
    behind = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, bias=False), torch.nn.Sigmoid())

    class Net(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.features, self.classifier = torch.nn.Sequential(front, behind), torch.nn.Linear(16, 3, bias=False)

        def forward(self, images: Any) -> Any:
            return self.classifier(torch.erf(self.features(images).flatten(1)))  # on this line

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"verbose": False} if dynamo else {}
        torch.onnx.export(Net().eval(), (torch.rand(1, 2, 6, 6),), path, dynamo=dynamo, **how)


def line_of_forward() -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"test_origins.py:{next(index for index, line in enumerate(lines, 1) if line.endswith('# on this line'))}"


@pytest.mark.parametrize("dynamo", [True, False])
def test_both_exporters(dynamo: bool, tmp_path: Path, invoke: Invoke) -> None:
    exported(tmp_path / "torch.onnx", dynamo)
    source = line_of_forward() if dynamo else ""
    found = [each for each in snnc.check(tmp_path / "torch.onnx") if each.severity == "error"]
    assert [(each.op, each.module, each.source) for each in found] == [
        ("Sigmoid", "features.1.1", source),
        ("Erf", "", source),
    ]
    with pytest.raises(DiagnosticError) as raised:
        snnc.convert(tmp_path / "torch.onnx")
    assert raised.value.diagnostics == found
    listed = json.loads(invoke("check", "torch.onnx", "--json", "-", exit_code=1).stdout)["diagnostics"]
    assert [(each["module"], each["source"]) for each in listed if each["severity"] == "error"] == [
        ("features.1.1", source),
        ("", source),
    ]
    said = invoke("check", "torch.onnx", exit_code=1).stderr
    assert f"  in: module features.1.1{f' ({source})' if source else ''}\n" in said
