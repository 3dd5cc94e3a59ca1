"""Where in the user's program a node comes from: the module and the line that torch's exporters write beside nodes.

The default exporter of torch (dynamo) writes both into the metadata of nodes, the older one names nodes after modules
(`/features/features.0/Conv` for `features.0`) and, if it was told to be verbose, has the calls in their doc strings.
Models come from anywhere: of what is not as torch writes it nothing is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

_SCOPES, _TRACE = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.stack_trace"
# More than torch writes of the deepest network; no time is lost on what a damaged file has there.
_MOST_TEXT = 2**16
_MOST_SHOWN = 120
_QUOTED = re.compile(r"'([^'\n]*)'")
# Outermost call first (of Python's own form), or innermost first.
_FRAME = re.compile(r'File "([^"\n]+)", line (\d{1,9})\b')
_OLD_FRAME = re.compile(r"^([^\n]+)\((\d{1,9})\): ", re.MULTILINE)
# torch itself, installed or built in place; networks in other packages are the user's choice.
_TORCH = re.compile(r"-packages/torch/|(?:^|/)torch/(?:nn|onnx|fx|jit|utils|export|_\w+)(?:/|\.py$)")
# The module of nodes that torch's exporter makes itself.
_NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"
_OPERATOR = re.compile(r"[A-Z][A-Za-z]*(?:_\d+)?")
_OWN = "snnc/"


@dataclass(frozen=True)
class Origin:
    """The `module` (`features.0`) and the line of the `source` (`net.py:42`) that a node comes from.

    Empty where nothing is known, the module also where it is the network itself.
    """

    module: str = ""
    source: str = ""


class Origins:
    """Where the nodes of a model come from. Nothing is read before the first question."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model

    def of(self, node: str) -> Origin:
        """Of a node of the model, or of one that a pass has made in its place: those are named `snnc/<node>/...`, or
        after what the node computes."""
        found = self._known.get(node)
        if found is not None or not node.startswith(_OWN):
            return found or Origin()
        maker = node.removeprefix(_OWN)
        while maker and maker not in self._known:
            maker = maker.rpartition("/")[0]
        return self._known.get(maker, Origin())

    @cached_property
    def _known(self) -> dict[str, Origin]:
        """By the names of nodes, and of the tensors that they compute."""
        known: dict[str, Origin] = {}
        for node in self._model.graph.node:
            origin = _origin(node)
            for name in (*node.output, node.name):
                if name:
                    known[name] = origin
        return known


def _origin(node: onnx.NodeProto) -> Origin:
    entries = {entry.key: entry.value for entry in node.metadata_props if entry.key in (_SCOPES, _TRACE)}
    listed = _text(entries.get(_SCOPES, ""))
    scopes = _QUOTED.findall(listed) if listed.startswith("[") else []
    module = scopes[-2] if len(scopes) > 1 else _module_of_name(_text(node.name))
    module = "" if module == _NO_MODULE else module
    return Origin(_shown(module), _source(_text(entries.get(_TRACE, "")), _text(node.doc_string)))


def _module_of_name(name: str) -> str:
    """`/features/features.0/Conv` → `features.0`: inside a Sequential, a scope begins with the one that it lies in."""
    before, *scopes, operator = name.split("/") if name.count("/") > 1 else [name, ""]
    if before or not _OPERATOR.fullmatch(operator):
        return ""
    path: list[str] = []
    for scope in scopes:
        if path and scope.startswith(f"{path[-1]}."):
            path.pop()
        path.append(scope)
    return ".".join(path)


def _source(trace: str, calls: str) -> str:
    """The innermost call that is not inside torch."""
    innermost_first = [*reversed(_FRAME.findall(trace)), *_OLD_FRAME.findall(calls)]
    for path, line in innermost_first:
        plain = path.replace("\\", "/")
        if not _TORCH.search(plain):
            return _shown(f"{plain.rpartition('/')[2]}:{line}")
    return ""


def _text(value: Any) -> str:
    """What is no text, as in a damaged file, or too long to be of torch, says nothing."""
    return value if isinstance(value, str) and len(value) <= _MOST_TEXT else ""


def _shown(text: str) -> str:
    return text if text.isprintable() and len(text) <= _MOST_SHOWN else ""
