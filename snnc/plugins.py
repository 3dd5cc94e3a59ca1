"""What the compiler finds by name: operators, threshold rules and methods, its own and those of plug-ins.

A plug-in is an installed distribution with entry points in the groups `snnc.operators`, `snnc.thresholds`,
`snnc.methods` or `snnc.reference` (docs/plugins.md). The name of an entry point is the name that is looked up. A
plug-in is imported when one of its names is looked up for the first time, so that one that is broken only stops those
who use it. A name that snnc or another plug-in has already is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from importlib import metadata
from typing import Any, Generic, TypeVar

from snnc.diagnostics import RULES, Diagnostic, fail
from snnc.ir.options import OPTIONS

log = logging.getLogger("snnc")

Entry = TypeVar("Entry")
# What `snnc.convert` takes beside options of a conversion.
_ARGUMENTS = (
    *("model", "calib", "calib_memory", "checkpoint", "preparation", "progress", "estimates", "on"),
    *("relaxed", "plugin_options"),
)


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Name → entry. `own` are those of snnc; any other name is that of an entry point of `group`.

    Names are listed without importing anything. `load` makes an entry of what an entry point refers to (TypeError or
    ValueError: it is none), and `loaded` is called with each that a plug-in brought. `taken` are names that mean
    something else in snnc.

    Raises:
        DiagnosticError: SNN409, where a name of a plug-in is looked up that cannot be used.
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, Entry],
        load: Callable[[Any, str], Entry],
        loaded: Callable[[Entry], None] = lambda entry: None,
        taken: Collection[str] = (),
    ) -> None:
        self.group, self.own, self._taken = group, dict(own), frozenset(taken)
        self._load, self._on_load = load, loaded
        self._plugged: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        points = self._points.get(name)
        if name in self.own:
            return self.own[name]
        if name not in self._plugged:
            if points is None:
                raise KeyError(name)
            self.add(name, self._import(points))
            self._on_load(self._plugged[name])
        return self._plugged[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._plugged or name in self._points

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self.own, *self._plugged, *self._points])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def add(self, name: str, entry: Entry) -> None:
        """Know an entry of a plug-in by one more name."""
        self._plugged[name] = entry

    @property
    def plugged(self) -> list[Entry]:
        """The entries that plug-ins have brought so far, each once."""
        return list({id(entry): entry for entry in self._plugged.values()}.values())

    @cached_property
    def _points(self) -> dict[str, list[metadata.EntryPoint]]:
        """The entry points by name; those that want a name of snnc are refused with a warning."""
        points: dict[str, list[metadata.EntryPoint]] = {}
        for point in _entry_points(self.group):
            if point.name in self.own or point.name in self._taken:
                message = f"{point.name!r} of {_origin(point)} in {self.group}: snnc has one of this name"
                log.warning("%s", Diagnostic(RULES["SNN510"], message))
            else:
                points.setdefault(point.name, []).append(point)
        return points

    def _import(self, points: list[metadata.EntryPoint]) -> Entry:
        point = points[0]
        what = f"{point.name!r} of {_origin(point)} in {self.group}"
        if len(points) > 1:
            others = " and ".join(_origin(other) for other in points[1:])
            fail("SNN409", f"{what}: {others} has one of this name too", hint="uninstall one of them")
        try:
            return self._load(point.load(), point.name)
        except (Exception, SystemExit) as error:  # whatever the code of others does when it is imported
            fail("SNN409", f"{what}: {type(error).__name__}: {error}")


def _entry_points(group: str) -> Iterator[metadata.EntryPoint]:
    try:
        yield from metadata.entry_points(group=group)
    except Exception:  # one unreadable file spoils the whole list
        for distribution in metadata.distributions():
            try:
                yield from distribution.entry_points.select(group=group)
            except Exception as error:
                message = f"the entry points of {distribution.name} cannot be read ({type(error).__name__}: {error})"
                log.warning("%s", Diagnostic(RULES["SNN510"], message, hint="reinstall or uninstall it"))


def _origin(point: metadata.EntryPoint) -> str:
    return f"plug-in {point.dist.name} {point.dist.version}" if point.dist else f"plug-in {point.value}"


def instance_of(kind: type, name_of: Callable[[Any], str]) -> Callable[[Any, str], Any]:
    """How a registry loads objects of `kind`: a subclass (an instance is made) or an instance, that bears its name.

    Options that it declares must not have names of `snnc.convert`'s own.
    """

    def load(found: Any, name: str) -> Any:
        entry = found() if isinstance(found, type) else found
        if not isinstance(entry, kind):
            raise TypeError(f"{found!r} is no {kind.__name__}")
        if name_of(entry) != name:
            raise ValueError(f"the entry point is named {name!r}, the {kind.__name__} {name_of(entry)!r}")
        for option in getattr(entry, "options", ()):
            if option.name in _ARGUMENTS or option != OPTIONS.get(option.name, option):
                raise ValueError(f"its option {option.name!r} is one of snnc")
        return entry

    return load
