"""Writes `snnc/api/options.py`, the options of a conversion with their types, from their declarations."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path

import snnc
from snnc.diagnostics.words import in_python
from snnc.ir.option import Option
from snnc.ir.options import OPTIONS, Options

#: The file that is written.
TYPED_OPTIONS = Path(snnc.__file__).parent / "api" / "options.py"

_HEAD = '''\
"""The options of `snnc.convert` with their types, for editors, type checkers and `help()`.

`python -m snnc.cli.generate` writes this file from the declarations in `snnc/ir/options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict


class ConvertOptions(TypedDict, total=False):
    """Options of a conversion: what is left out, or None, has the default of the method and the threshold rule.

'''
_MORE = (
    ("relaxed", "bool", 'The same as `bias="current", batchnorm="fold", max_pool="exact"`.  [default: False]'),
    ("plugin_options", "Mapping[str, object]", "Options that a plug-in's rule or method has of its own, by name."),
)
_WIDTH = 116


def typed_options() -> str:
    """The content of the file."""
    types = {field.name: str(field.type).replace("'", '"') for field in dataclasses.fields(Options)}
    known = [(name, _type_of(option, types[name]), _help(option)) for name, option in OPTIONS.items()]
    entries = [*known, *_MORE]
    paragraphs = [
        textwrap.fill(f"{name}: {text}", _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for name, _, text in entries
    ]
    fields = [f"    {name}: {kind}" for name, kind, _ in entries]
    return _HEAD + "\n".join(paragraphs) + '\n    """\n\n' + "\n".join(fields) + "\n"


def _help(option: Option) -> str:
    return in_python(option.help_text.replace("|", " or "))


def _type_of(option: Option, written: str) -> str:
    """The type that a caller may give: None leaves the choice to the conversion."""
    more = []
    if option.by_layer:
        more += ["Mapping[str, int]", "str"]
    if option.percent:
        more.append("str")
    if option.name == "shape":
        more.append("Sequence[int]")
    written = written.replace("tuple[float, float]", "Sequence[float]").removesuffix(" | None")
    return " | ".join([written, *more, "None"])
