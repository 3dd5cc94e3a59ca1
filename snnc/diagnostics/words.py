"""Findings in the words of Python: `--bias current` is `bias="current"` there."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"`([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?:[ =]([^\s-][^\s]*))?")
_HELP = re.compile(r"snnc ([a-z]+) --help")
_FLAGS = frozenset({"relaxed", "accept-poor", "per-channel", "potentials"})
_NAMES = {"eval": "evaluate", "bench": "measure"}


def in_python(text: str) -> str:
    """`text` with the options of the command line as keyword arguments."""
    parts = _QUOTED.split(text)
    quoted = {index: _code(part) for index, part in enumerate(parts) if index % 2}
    return "".join(f"`{quoted[i]}`" if i in quoted else _plain(part) for i, part in enumerate(parts))


def _code(part: str) -> str:
    """What stands between backquotes."""
    if help_page := _HELP.fullmatch(part):
        return f"help(snnc.{_NAMES.get(help_page[1], help_page[1])})"
    if not part.startswith("--"):
        return part
    return ", ".join(_argument(name, value) for name, value in _OPTION.findall(part))


def _argument(name: str, value: str) -> str:
    keyword = name.replace("-", "_")
    if not value:
        return f"{keyword}=True" if name in _FLAGS else keyword
    if re.fullmatch(r"-?[\d.]+", value) or value.isupper():
        return f"{keyword}=({value.replace(',', ', ')})" if "," in value else f"{keyword}={value}"
    return f'{keyword}="{value}"'


def _plain(part: str) -> str:
    """Text in which options are only named."""
    return _OPTION.sub(lambda found: found[0].replace(f"--{found[1]}", found[1].replace("-", "_")), part)
