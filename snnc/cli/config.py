"""Options of a project: `snnc.toml` or `[tool.snnc]` of `pyproject.toml` in the current folder (docs/cli.md).

A key is an option of every command that has it; a table has the name of a command and is for this one alone.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILES = ("snnc.toml", "pyproject.toml")


class Project:
    """What a file says, and its name; nothing where there is none."""

    def __init__(self, file: str = "", options: dict[str, Any] | None = None) -> None:
        self.file, self.options = file, options or {}

    @classmethod
    def here(cls) -> Project:
        """That of the current folder: the first file of the two that has options."""
        for file in _FILES:
            found = _read(file)
            if file == "pyproject.toml":
                found = found.get("tool", {}).get("snnc", {})
            if found:
                return cls(file, found)
        return cls()

    def defaults(self, command: click.Command, commands: Mapping[str, click.Command]) -> dict[str, Any]:
        """Values by the names of a command's parameters, as click takes them from a `default_map`."""
        flags = {name: _flags(each) for name, each in commands.items()}
        known = set().union(*flags.values())
        chosen: dict[str, Any] = {}
        for key, value in self.options.items():
            if isinstance(value, dict):
                self._require(key, set(flags), "command")
                continue
            self._require(key, known, "option of any command")
            chosen[key] = value
        own = self.options.get(command.name or "", {})
        for key in own:
            self._require(key, flags[command.name or ""], f"option of snnc {command.name}")
        chosen |= own
        parameters = {flag: each for each in command.params for flag in _names(each)}
        return {
            str(parameters[key].name): _as_text(value, several=parameters[key].multiple)
            for key, value in chosen.items()
            if key in parameters
        }

    def _require(self, key: str, known: set[str], what: str) -> None:
        """Wrong usage where `key` is not one of `known`."""
        if key in known:
            return
        near = difflib.get_close_matches(key, sorted(known), n=1)
        advice = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"{self.file}: there is no {what} called {key!r}.{advice}")


def _read(file: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from None


def _names(parameter: click.Parameter) -> list[str]:
    """`max-pool` of `--max-pool`; none of arguments."""
    return [flag[2:] for flag in parameter.opts if flag.startswith("--")]


def _flags(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in _names(parameter)}


def _as_text(value: Any, *, several: bool) -> Any:
    """As it would stand on the command line; switches as they are, `several` where an option is given several times."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return list(map(str, value)) if several else ",".join(map(str, value))
    return str(value)
