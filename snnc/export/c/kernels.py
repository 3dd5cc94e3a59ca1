"""The functions of `templates/` for the types that a program calls them with.

A template is C with placeholders for integer types: `INPUT`, `WEIGHT`, `COUNT`, `SUM`. `conv(...)` called with
`int8_t`, `int8_t`, `int32_t` becomes `conv_8_8_32`, and the functions that it calls get the same types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from snnc.export.c.program import Call, Program

PLACEHOLDERS = ("INPUT", "WEIGHT", "COUNT", "SUM")
#: Axes of a product at most.
MOST_AXES = 6
_FUNCTION = re.compile(r"\b([a-z_]+)\(")


@cache
def template(name: str) -> str:
    """The text of a file of `templates/`."""
    return (resources.files(__package__) / "templates" / name).read_text("utf-8")


@cache
def _names() -> frozenset[str]:
    files = (resources.files(__package__) / "templates").iterdir()
    return frozenset(file.name.removesuffix(".c") for file in files if file.name.endswith(".c"))


def instance(call: Call) -> str:
    """The name of the function that a call calls."""
    return _instance(call.kernel, call.types)


def functions(program: Program, starts: Iterable[Call], others: Iterable[str]) -> list[str]:
    """The text of all functions that are called in a step, in the `starts`, and of the `others`, each behind those that
    it calls."""
    found: dict[str, str] = {}
    for call in (*starts, *program.calls()):
        _add(call.kernel, call.types, found)
    for name in others:
        _add(name, {}, found)
    return [named(text, program.name) for text in found.values()]


def named(text: str, name: str) -> str:
    """`text` with the types of this program."""
    return text.replace("NAME_", f"{name}_").replace("MOST_AXES", str(MOST_AXES))


def _add(kernel: str, types: Mapping[str, str], found: dict[str, str]) -> None:
    if _instance(kernel, types) in found:
        return
    text = template(f"{kernel}.c")
    called = [name for name in dict.fromkeys(_FUNCTION.findall(text)) if name in _names()]
    for name in called:
        if name != kernel:
            _add(name, types, found)
        text = re.sub(rf"\b{name}\(", f"{_instance(name, types)}(", text)
    for placeholder in PLACEHOLDERS:
        text = re.sub(rf"\b{placeholder}\b", types.get(placeholder, placeholder), text)
    found[_instance(kernel, types)] = text


def _instance(kernel: str, types: Mapping[str, str]) -> str:
    text = template(f"{kernel}.c")
    used = [types[name] for name in PLACEHOLDERS if re.search(rf"\b{name}\b", text)]
    return "_".join([kernel, *(ctype.removesuffix("_t").replace("int", "") for ctype in used)])
